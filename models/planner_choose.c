#include <stdlib.h>

#include "models/planner_search.h"
#include "models/planner_shortlist.h"
#include "runtime/error.h"

static void add_losers(const qd_planner *p, const qd_search_list *list, int first, int most,
                       bool only_faster, qd_plan_choice *choice) {
    for (int i = first; i < list->count && choice->loser_count < most; i++) {
        qd_plan_loser *loser = &choice->losers[choice->loser_count];
        bool chosen_grid = qd_search_same_grid(&list->plans[i].layout, &choice->best.layout);
        if (only_faster && (chosen_grid || list->plans[i].step_s >= choice->best.step_s))
            continue;
        loser->plan = list->plans[i];
        qd_plan_reason(p, &choice->best, &loser->plan, loser->reason);
        choice->loser_count++;
    }
}

int qd_planner_choose(qd_planner *planner, int64_t ranks, const qd_plan_pins *pins,
                      qd_plan_choice *choice) {
    qd_search *s = calloc(1, sizeof *s);
    if (!s)
        return qd_error_set(QD_ENOMEM, "no memory to choose a layout");
    s->ranks = ranks;
    s->pins = *pins;
    int rc = qd_planner_search(planner, s);
    if (!rc && s->fit.count == 0)
        rc = qd_plan_refuse(planner, s);
    if (!rc) {
        *choice = (qd_plan_choice){.best = s->fit.plans[0], .tried = s->tried};
        add_losers(planner, &s->fit, 1, QD_PLAN_MOST - 2, false, choice);
        add_losers(planner, &s->unfit, 0, QD_PLAN_MOST, true, choice);
    }
    free(s);
    return rc;
}
