#include "core_witness_internal.h"

#include <string.h>

#include "scheduler/policy.h"

void witness_init(witness *w, int worker_ranks, const qd_scheduling *scheduling) {
    memset(w, 0, sizeof *w);
    w->worker_ranks = worker_ranks;
    w->policy = qd_policy_names[scheduling->policy];
    note_teams(w, scheduling);
    bool multifactor = strcmp(w->policy, "multifactor") == 0;
    w->classes = multifactor && scheduling->preempt_by == QD_PREEMPT_CLASS;
    w->loans = multifactor && scheduling->preempt_by != QD_PREEMPT_NONE;
    w->by_class = w->loans || w->has_quotas;
    w->preempts = strcmp(w->policy, "attained") == 0 || w->by_class;
    w->min_run_ns = (int64_t)(scheduling->min_run_s * 1e9);
    w->grace_ns = (int64_t)(scheduling->save_grace_s * 1e9);
    w->patience_ns = (int64_t)(scheduling->promotion * scheduling->quantum_s * 1e9);
    w->grow = scheduling->grow;
    w->grow_min_run_ns = (int64_t)(scheduling->grow_min_run_s * 1e9);
    w->grow_cost_ns = (int64_t)(scheduling->grow_cost_s * 1e9);
    w->reservation_grace_ns = w->grace_ns;
    w->spare_wait_ns = (int64_t)(scheduling->spare_wait_s * 1e9);
    w->swap = scheduling->swap;
    w->migrate = scheduling->migrate;
    w->migrate_per_hour = scheduling->migrate_per_hour;
    w->swap_ratio = scheduling->swap_ratio;
    w->time_ns = INT64_MIN;
}

/* What each policy promises at the end of an instant. */
static const struct {
    const char *policy;
    bool (*promises[5])(witness *w);
} promises[] = {
    {"fifo", {nobody_was_passed, the_head_does_not_wait_for_nothing, spare_ranks_are_dealt_fairly}},
    {"sjf", {nobody_was_passed, the_head_does_not_wait_for_nothing}},
    {"easy", {the_head_is_not_delayed, the_head_does_not_wait_for_nothing}},
    {"conservative", {the_head_is_not_delayed, the_head_does_not_wait_for_nothing}},
    {"multifactor",
     {not_all_wait_though_each_fits, nobody_makes_room_for_nothing, quotas_are_kept,
      nobody_takes_what_is_owed}},
    {"attained", {nobody_waits_beside_idle_ranks}},
};

static bool decided_rightly(witness *w) {
    if (w->reservation_count > 0)
        return the_next_reservations_get_their_ranks(w);
    for (size_t i = 0; i < sizeof promises / sizeof promises[0]; i++)
        for (int k = 0; strcmp(promises[i].policy, w->policy) == 0 && promises[i].promises[k]; k++)
            if (!promises[i].promises[k](w))
                return false;
    return true;
}

bool witness_see(witness *w, const qd_event *event, const qd_action_list *actions,
                 const qd_core *core) {
    bool was_shut_down = w->shut_down;
    for (int i = 0; i < w->job_count; i++)
        w->jobs[i].started_now = w->jobs[i].stopped_now = w->jobs[i].grows_now =
            w->jobs[i].migrates_now = false;
    for (int i = 0; i < w->job_count && event->kind == QD_EVENT_RESIZE; i++)
        w->jobs[i].waited = !w->undecided && waits_for_ranks(w, &w->jobs[i]);
    w->undecided = event->more;
    note_event(w, event);
    note_limits(w, core);
    if (!event->more)
        pass_edges(w);
    /* Lets see_action tell "again" from "earlier in this event". */
    w->shut_down = false;
    for (int i = 0; i < actions->count; i++) {
        if (was_shut_down && actions->actions[i].kind == QD_ACTION_SHUTDOWN)
            return broken(w, "a second SHUTDOWN");
        if (!see_action(w, event, &actions->actions[i]))
            return false;
    }
    w->shut_down = w->shut_down || was_shut_down;
    return (event->more || (decided_rightly(w) && running_reservations_have_their_ranks(w, core) &&
                            nobody_runs_past_its_limit(w) && nobody_saves_past_the_grace(w) &&
                            nobody_migrates_for_nothing(w))) &&
           accounts_keep_their_limits(w) && nobody_waits_for_ever(w) &&
           members_know_their_orders(w) && shutdown_comes_when_due(w) && views_agree(w, core);
}
