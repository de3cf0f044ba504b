#include "core_witness_internal.h"

#include <string.h>

#include "runtime/error.h"

/* A rank was gone: it is tried again, three times without a newly saved step. */
static bool lost_a_rank(const witness *w, const witness_job *job, int64_t run_before_ns) {
    bool used_up = job->submit.limit_ns > 0 && run_before_ns >= job->submit.limit_ns;
    return job->exit_code == QD_ELOST && job->submit.tells && !job->timed_out && !job->unwanted &&
           !used_up && job->losses < 3 && !w->draining &&
           job->submit.ranks_min <= count_ranks(w, is_alive);
}

bool may_regroup(const witness *w, const witness_job *job) {
    return job->state == QD_STATE_RUNNING && job->inside <= 0 &&
           lost_a_rank(w, job, job->run_before_ns);
}

qd_job_state right_end(const witness *w, const witness_job *job) {
    if (job->size == 0 && is_late(w, job))
        return QD_STATE_TIMEOUT;
    if (job->size == 0)
        return QD_STATE_CANCELLED;
    if (job->ended[QD_OUTCOME_DONE] == job->size)
        return QD_STATE_COMPLETED;
    if (job->cancelled)
        return QD_STATE_CANCELLED;
    if (job->ended[QD_OUTCOME_FAILED])
        return lost_a_rank(w, job, job->run_before_ns + w->time_ns - job->start_ns)
                   ? QD_STATE_PENDING
                   : QD_STATE_FAILED;
    if (job->ended[QD_OUTCOME_ABORTED] && !job->cut)
        return QD_STATE_CANCELLED;
    /* Ended just now: its last attempt is not yet in run_before_ns. */
    int64_t run = job->run_before_ns + w->time_ns - job->start_ns;
    bool used_up = job->submit.limit_ns > 0 && run >= job->submit.limit_ns;
    bool returns = job->makes_room || job->resized;
    if (job->timed_out || (returns && used_up))
        return QD_STATE_TIMEOUT;
    return returns && !w->draining ? QD_STATE_PENDING : QD_STATE_PREEMPTED;
}

bool nobody_waits_for_ever(witness *w) {
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *job = &w->jobs[i];
        int waits, forbid;
        look_at_after(w, job, &waits, &forbid);
        if (job->state == QD_STATE_PENDING &&
            (w->draining || job->submit.ranks_min > most_together(w, job, is_alive) || forbid > 0))
            return broken(w, "job %lld waits for ever", (long long)job->submit.job);
    }
    return true;
}

bool members_know_their_orders(witness *w) {
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *job = &w->jobs[i];
        if (over(job->state) && job->live == 0)
            continue; /* checked when it ended */
        bool hopeless = job->ended[QD_OUTCOME_FAILED] || job->ended[QD_OUTCOME_ABORTED] ||
                        job->cancelled || job->cut;
        if (job->live > 0 && hopeless != job->aborted)
            return broken(w, "job %lld: its members were told wrongly", (long long)job->submit.job);
        if (job->live > 0 && w->draining && !job->stopped && !job->aborted)
            return broken(w, "job %lld trains on after a drain", (long long)job->submit.job);
        bool part_ended = job->live < job->size || job->stopped || job->aborted;
        bool resizes = job->resize_to > 0 && !cannot_go_on(w, job);
        qd_job_state right = job->size == 0   ? QD_STATE_PENDING
                             : job->live == 0 ? right_end(w, job)
                             : resizes        ? QD_STATE_RESIZING
                             : part_ended     ? QD_STATE_COMPLETING
                                              : QD_STATE_RUNNING;
        if (job->state != right)
            return broken(w, "job %lld is %s with %d of %d members left",
                          (long long)job->submit.job, qd_job_state_names[job->state], job->live,
                          job->size);
    }
    return true;
}

bool shutdown_comes_when_due(witness *w) {
    bool due = w->closed || w->draining;
    for (int i = 0; i < w->job_count; i++)
        due = due && over(w->jobs[i].state);
    /* After it, a drained cluster still takes submissions, only to cancel them. */
    if (due != w->shut_down)
        return broken(w, due ? "no shutdown though nothing is left" : "shutdown with jobs left");
    return true;
}

bool views_agree(witness *w, const qd_core *core) {
    if (qd_core_job_count(core) != w->job_count)
        return broken(w, "%d jobs in view, %d submitted", qd_core_job_count(core), w->job_count);
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *job = &w->jobs[i];
        qd_job_view view;
        qd_core_job(core, i, &view);
        if (view.job != job->submit.job || view.state != job->state ||
            view.attempt != job->attempt || view.rank_count != job->size || !view.reason[0] ||
            strcmp(view.name, job->submit.name) != 0)
            return broken(w, "the view of job %lld is wrong", (long long)job->submit.job);
    }
    return true;
}

bool nobody_runs_past_its_limit(witness *w) {
    for (int i = 0; i < w->job_count; i++)
        if (w->jobs[i].state == QD_STATE_RUNNING && is_late(w, &w->jobs[i]))
            return broken(w, "job %lld runs past its limit", (long long)w->jobs[i].submit.job);
    return true;
}
