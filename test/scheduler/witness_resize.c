#include "core_witness_internal.h"

#include <string.h>

uint64_t kept_ranks(const witness *w, const witness_job *job) {
    uint64_t ranks = 0;
    for (int rank = 1; rank <= w->worker_ranks; rank++)
        if (w->ranks[rank].kept == job->submit.job)
            ranks |= UINT64_C(1) << (rank - 1);
    return ranks;
}

static int count_kept(const witness *w, const witness_job *job) {
    return __builtin_popcountll(kept_ranks(w, job));
}

/* The widest gang that it may have of so many ranks; 0: none. */
static int widest_of(const qd_submission *s, int ranks) {
    while (ranks > 0 && !is_size_of(s, ranks))
        ranks--;
    return ranks;
}

/* With which it goes on now that all members have ended; 0: it does not. */
static int goes_on_with(const witness *w, const witness_job *job) {
    int kept = count_kept(w, job);
    return widest_of(&job->submit, kept < job->resize_to ? kept : job->resize_to);
}

void unkeep(witness *w, witness_job *job) {
    for (int rank = 1; rank <= w->worker_ranks; rank++)
        if (w->ranks[rank].kept == job->submit.job)
            w->ranks[rank].kept = 0;
    job->resize_to = 0;
}

void close_attempt(const witness *w, witness_job *job) {
    int64_t run = w->time_ns - job->start_ns;
    job->run_before_ns += run;
    job->done_ns += run * job->size / job->submit.ranks_min;
    bool failed = job->ended[QD_OUTCOME_FAILED] > 0;
    job->step = job->cut || failed ? job->saved : job->step;
    job->losses = job->step > job->saved ? 0 : job->losses + failed;
    job->saved = job->step;
    job->first_failure[0] = '\0';
    job->size = job->live = 0;
    job->members = 0;
    memset(job->ended, 0, sizeof job->ended);
    job->way_by_ns = 0;
    job->stopped = job->aborted = job->makes_room = false;
    job->resized = job->shrinks = job->cut = job->unwanted = job->regroups = false;
}

bool see_resized(witness *w, witness_job *job, const qd_action *a) {
    for (int i = 0; i < a->rank_count; i++)
        if (w->ranks[a->ranks[i]].kept != a->job)
            return broken(w, "job %lld goes on with rank %d, which was not kept for it",
                          (long long)a->job, a->ranks[i]);
    if (a->rank_count != goes_on_with(w, job))
        return broken(w, "job %lld goes on with %d ranks", (long long)a->job, a->rank_count);
    unkeep(w, job);
    return true;
}

/* It has run for long enough, and may be told to save. */
static bool may_grow(const witness *w, const witness_job *job) {
    return w->grow && !w->draining && !job->submit.keeps_ranks &&
           (job->told || !job->submit.tells) && w->time_ns - job->start_ns >= w->grow_min_run_ns &&
           w->time_ns > job->start_ns;
}

static bool somebody_waits(const witness *w) {
    for (int i = 0; i < w->job_count; i++)
        if (waits_for_ranks(w, &w->jobs[i]))
            return true;
    return false;
}

/* It has run for long enough. */
static bool may_migrate(const witness *w, const witness_job *job) {
    return w->migrate && w->time_ns - job->start_ns >= w->min_run_ns && w->time_ns > job->start_ns;
}

/* Slow ranks for idle ones, where nobody waits; else for somebody who waits. */
static bool see_move(witness *w, witness_job *job, const qd_action *a) {
    int own = 0;
    bool swaps = !somebody_waits(w);
    for (int i = 0; i < a->rank_count; i++) {
        witness_rank *rank = &w->ranks[a->ranks[i]];
        bool member = rank->job == a->job && !rank->drained && rank->kept == 0;
        if (!member && (!is_free(rank) || (swaps && rank->slow)))
            return broken(w, "job %lld moves to rank %d", (long long)a->job, a->ranks[i]);
        rank->kept = a->job;
        own += member;
    }
    for (int rank = 1; swaps && rank <= w->worker_ranks; rank++)
        if (w->ranks[rank].job == a->job && w->ranks[rank].kept == 0 && !w->ranks[rank].slow)
            return broken(w, "job %lld leaves rank %d, which is not slow", (long long)a->job, rank);
    job->resize_to = a->rank_count;
    job->resized = true;
    job->migrates_now = !swaps;
    w->migrations += !swaps;
    return ((swaps ? w->swap : may_migrate(w, job)) && own < job->size && job->live == job->size &&
            (job->told || !job->submit.tells) && !job->submit.keeps_ranks && !w->draining) ||
           broken(w, "job %lld moves for nothing", (long long)a->job);
}

bool see_resize(witness *w, witness_job *job, const qd_action *a) {
    const qd_event *e = w->event;
    if (job->state != QD_STATE_RESIZING || job->resize_to > 0 || a->attempt != job->attempt ||
        job->stopped || !is_size_of(&job->submit, a->rank_count))
        return broken(w, "job %lld is resized to %d ranks", (long long)a->job, a->rank_count);
    if (!is_as_demanded(w, job, a))
        return false;
    if (a->rank_count == job->size)
        return see_move(w, job, a);
    int own = 0;
    bool wanted = may_make_room(w, job, true), wider = a->rank_count > job->size;
    bool asked = e->kind == QD_EVENT_RESIZE && e->job == a->job &&
                 (e->submit.ranks_min > job->size) == wider && e->submit.ranks_min != job->size &&
                 a->rank_count <= e->submit.ranks_min;
    for (int i = 0; i < a->rank_count; i++) {
        witness_rank *rank = &w->ranks[a->ranks[i]];
        bool member = rank->job == a->job && !rank->drained && rank->kept == 0;
        if (!member && !is_free(rank))
            return broken(w, "rank %d is kept for job %lld though it is not free", a->ranks[i],
                          (long long)a->job);
        rank->kept = a->job;
        own += member;
    }
    if (own < job->size && own < a->rank_count && own < live_in_service(w, job))
        return broken(w, "job %lld gives back ranks and gets others", (long long)a->job);
    job->resize_to = a->rank_count;
    job->resized = true;
    job->way_by_ns = wider ? 0 : way_by(w, job, a->reason);
    job->grace_ns = w->grace_ns;
    if (job->way_by_ns > 0)
        return true;
    job->shrinks = !wider && !asked;
    job->grows_now = wider && !asked;
    if (job->shrinks)
        job->grace_ns = grace_from_now(w);
    if (job->shrinks && !wanted)
        return broken(w, "job %lld shrinks for nobody", (long long)a->job);
    return !job->grows_now || may_grow(w, job) ||
           broken(w, "job %lld grows too early", (long long)a->job);
}

bool requeue(witness *w, witness_job *job) {
    if (job->resize_to > 0 && !cannot_go_on(w, job) && goes_on_with(w, job) > 0)
        return broken(w, "job %lld waits though it could go on", (long long)job->submit.job);
    unkeep(w, job);
    if (job->ended[QD_OUTCOME_FAILED] && job->told && !job->makes_room && !job->resized)
        job->owed_until_ns = w->time_ns + w->spare_wait_ns;
    close_attempt(w, job);
    job->inside = 0;
    job->state = QD_STATE_PENDING;
    return true;
}

bool cannot_go_on(const witness *w, const witness_job *job) {
    return job->ended[QD_OUTCOME_FAILED] || (job->ended[QD_OUTCOME_ABORTED] && !job->cut) ||
           job->cancelled || w->draining;
}
