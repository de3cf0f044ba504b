#include "core_witness_internal.h"

#include <string.h>

/* Bit rank - 1 for each. */
static uint64_t mask_of(const int *ranks, int count) {
    uint64_t mask = 0;
    for (int i = 0; i < count; i++)
        mask |= UINT64_C(1) << (ranks[i] - 1);
    return mask;
}

static bool ranks_are_a_set(const witness *w, const qd_action *a) {
    for (int i = 0; i < a->rank_count; i++)
        if (a->ranks[i] < 1 || a->ranks[i] > w->worker_ranks)
            return false;
    return a->rank_count > 0 &&
           __builtin_popcountll(mask_of(a->ranks, a->rank_count)) == a->rank_count;
}

static bool see_start(witness *w, witness_job *job, const qd_action *a) {
    bool resized = job->resize_to > 0;
    if (resized && !see_resized(w, job, a))
        return false;
    if (job->state != QD_STATE_RUNNING || (job->held && !resized))
        return broken(w, "job %lld started though it is held", (long long)a->job);
    if (w->draining)
        return broken(w, "job %lld started after a drain", (long long)a->job);
    if (!resized && waits_for_its_name(w, job))
        return broken(w, "job %lld started beside one of its name", (long long)a->job);
    job->claimed = a->reason && strcmp(a->reason, "room was made for it") == 0;
    if (count_ranks(w, is_on_its_way) > 0)
        return broken(w, "job %lld started before all workers had come", (long long)a->job);
    if (!is_size_of(&job->submit, a->rank_count))
        return broken(w, "job %lld got %d ranks", (long long)a->job, a->rank_count);
    if (a->attempt != job->attempt + 1 || a->epoch <= w->epoch || job->live > 0)
        return broken(w, "job %lld: attempt %d, epoch %u", (long long)a->job, a->attempt, a->epoch);
    const witness_reservation *r = resized ? NULL : find_reservation(w, job->submit.reservation);
    if (r && !r->running)
        return broken(w, "job %lld started before its reservation", (long long)a->job);
    if (!resized)
        job->inside = r ? r->is.number : 0;
    job->way_by_ns = 0;
    if (!(resized ? is_as_demanded(w, job, a) : has_its_place(w, job, a)))
        return false;
    job->members = mask_of(a->ranks, a->rank_count);
    for (int i = 0; i < a->rank_count; i++) {
        if (!is_free(&w->ranks[a->ranks[i]]))
            return broken(w, "rank %d was given to job %lld though it is not free", a->ranks[i],
                          (long long)a->job);
        w->ranks[a->ranks[i]].job = a->job;
        w->ranks[a->ranks[i]].busy_ns = w->ranks[a->ranks[i]].against = 0;
    }
    w->epoch = a->epoch;
    job->attempt = a->attempt;
    job->size = job->live = job->granted = a->rank_count;
    job->start_ns = w->time_ns;
    job->told = false;
    job->owed_until_ns = 0;
    job->started_now = !resized;
    return true;
}

/* STOP and ABORT go to exactly the members that have not ended, once. */
static bool see_order(witness *w, witness_job *job, const qd_action *a) {
    int live[WITNESS_MAX_RANKS];
    int count = witness_live_members(w, a->job, live);
    bool *told = a->kind == QD_ACTION_STOP ? &job->stopped : &job->aborted;
    if (*told || job->aborted)
        return broken(w, "job %lld was told twice to end", (long long)a->job);
    bool stops = a->kind == QD_ACTION_STOP && !w->draining;
    bool late = is_late(w, job) && !job->resized;
    int64_t by_ns = stops && !late && job->resize_to == 0 ? way_by(w, job, a->reason) : 0;
    if (stops && late) {
        job->timed_out = true;
    } else if (by_ns > 0) {
        job->makes_room = true;
        job->way_by_ns = by_ns;
    } else if (stops && w->preempts && job->resize_to == 0 && job->state != QD_STATE_PENDING &&
               !find_reservation(w, job->inside) &&
               (!w->by_class || may_make_room(w, job, false))) {
        job->makes_room = true;
        job->grace_ns = grace_from_now(w);
    } else if (stops && job->resize_to == 0) {
        return broken(w, "job %lld was stopped without a drain", (long long)a->job);
    }
    if (a->attempt != job->attempt || count != a->rank_count ||
        mask_of(live, count) != mask_of(a->ranks, count))
        return broken(w, "job %lld: %s to others than its live members", (long long)a->job,
                      qd_action_names[a->kind]);
    *told = true;
    if (a->kind == QD_ACTION_STOP) {
        job->stopped_ns = w->time_ns;
        job->stopped_now = true;
    }
    bool hopeless =
        job->ended[QD_OUTCOME_FAILED] || job->ended[QD_OUTCOME_ABORTED] || job->cancelled;
    job->cut = a->kind == QD_ACTION_ABORT && !hopeless && grace_is_over(w, job);
    return true;
}

/* It saves already, and is not to go on, since it, or what has happened, is in the way. */
static bool see_it_go_on_no_more(witness *w, witness_job *job, const qd_action *a) {
    if (cannot_go_on(w, job))
        return true;
    job->way_by_ns = way_by(w, job, a->reason);
    job->makes_room = true;
    return job->way_by_ns > 0 ||
           broken(w, "job %lld does not go on, for nothing", (long long)a->job);
}

static bool see_state(witness *w, witness_job *job, const qd_action *a) {
    if (over(job->state))
        return broken(w, "job %lld left its last state", (long long)a->job);
    if (!a->reason || !a->reason[0])
        return broken(w, "job %lld is %s for no reason", (long long)a->job,
                      qd_job_state_names[a->state]);
    bool ended = job->size > 0 && job->live == 0;
    if (a->state == QD_STATE_PENDING && ended && right_end(w, job) == QD_STATE_PENDING)
        return requeue(w, job);
    if (a->state == QD_STATE_RUNNING && job->resize_to > 0 && ended &&
        right_end(w, job) == QD_STATE_PENDING)
        close_attempt(w, job); /* its start comes next */
    else if (a->state == QD_STATE_RUNNING && job->state != QD_STATE_PENDING)
        return broken(w, "job %lld runs again", (long long)a->job);
    if (a->state == job->state || (a->state == QD_STATE_PENDING && job->state != QD_STATES))
        return broken(w, "job %lld became %s", (long long)a->job, qd_job_state_names[a->state]);
    if (over(a->state) && (job->live > 0 || a->state != right_end(w, job)))
        return broken(w, "job %lld ended as %s with %d members left, not as %s", (long long)a->job,
                      qd_job_state_names[a->state], job->live,
                      qd_job_state_names[right_end(w, job)]);
    if (a->state == QD_STATE_FAILED &&
        (a->exit_code != job->exit_code ||
         (job->first_failure[0] && strcmp(a->reason, job->first_failure) != 0)))
        return broken(w, "job %lld failed with code %d: %s", (long long)a->job, a->exit_code,
                      a->reason);
    if (job->state == QD_STATE_RESIZING && a->state == QD_STATE_COMPLETING &&
        !see_it_go_on_no_more(w, job, a))
        return false;
    job->state = a->state;
    if (job->state != QD_STATE_RESIZING && job->state != QD_STATE_RUNNING && !job->regroups)
        unkeep(w, job);
    return true;
}

static bool see_shutdown(witness *w, const qd_event *event) {
    if (w->shut_down || !(w->closed || w->draining))
        return broken(w, "shutdown after %s comes twice or too early", qd_event_names[event->kind]);
    w->shut_down = true;
    return true;
}

bool see_action(witness *w, const qd_event *event, const qd_action *a) {
    if (w->shut_down)
        return broken(w, "%s after SHUTDOWN in one event", qd_action_names[a->kind]);
    if (a->kind == QD_ACTION_SHUTDOWN)
        return see_shutdown(w, event);
    witness_job *job = witness_find(w, a->job);
    if (!job)
        return broken(w, "an action for job %lld, which nobody submitted", (long long)a->job);
    if (a->kind == QD_ACTION_JOB_STATE)
        return see_state(w, job, a);
    if (!ranks_are_a_set(w, a))
        return broken(w, "%s of job %lld: its ranks are no set of workers",
                      qd_action_names[a->kind], (long long)a->job);
    if (a->kind == QD_ACTION_RESIZE)
        return see_resize(w, job, a);
    return a->kind == QD_ACTION_START ? see_start(w, job, a) : see_order(w, job, a);
}
