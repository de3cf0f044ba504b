#include "models/planner_shortlist.h"

static int64_t ranks_of(const qd_plan_layout *l) {
    return (int64_t)l->dp * l->pp * l->tp;
}

bool qd_search_same_grid(const qd_plan_layout *a, const qd_plan_layout *b) {
    return a->dp == b->dp && a->pp == b->pp && a->tp == b->tp;
}

/* Differences in the last digits decide nothing: the plan that was tried first stays. */
static bool better(const qd_search *s, const qd_plan *a, const qd_plan *b) {
    if (s->aim == QD_SEARCH_FEWEST_RANKS && ranks_of(&a->layout) != ranks_of(&b->layout))
        return ranks_of(&a->layout) < ranks_of(&b->layout);
    return a->step_s < b->step_s * (1 - 1e-9);
}

bool qd_search_wanted(const qd_search *s, const qd_search_list *list, const qd_plan *plan) {
    return list->count < QD_SEARCH_KEPT || better(s, plan, &list->plans[list->count - 1]);
}

void qd_search_keep(const qd_search *s, qd_search_list *list, const qd_plan *plan) {
    int at = 0;
    for (; at < list->count; at++)
        if (qd_search_same_grid(&list->plans[at].layout, &plan->layout))
            break;
    if (at < list->count && !better(s, plan, &list->plans[at]))
        return;
    if (at == list->count && list->count < QD_SEARCH_KEPT)
        list->count++;
    else if (at == list->count)
        at--; /* the worst one goes */
    for (; at > 0 && better(s, plan, &list->plans[at - 1]); at--)
        list->plans[at] = list->plans[at - 1];
    list->plans[at] = *plan;
}
