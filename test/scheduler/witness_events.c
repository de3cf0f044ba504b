#include "core_witness_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"

static bool expects_attempt(const witness *w, const qd_event *e) {
    const witness_job *job = witness_find(w, e->job);
    return job && e->attempt >= 1 && e->attempt <= job->attempt;
}

static bool expects_member(const witness *w, const qd_event *e) {
    const witness_job *job = witness_find(w, e->job);
    if (!expects_attempt(w, e))
        return false;
    return e->attempt < job->attempt || (job->members >> (e->rank - 1) & 1);
}

/* Those that are drawn are well formed, but may name a job that nobody submitted. */
static bool after_is_known(const witness *w, const qd_event *e) {
    char kind[8];
    long long number;
    for (const char *at = e->submit.after; (at = read_after(at, kind, &number));)
        if (!witness_find(w, number))
            return false;
    return true;
}

static bool expects_resize(const witness *w, const qd_event *e) {
    const witness_job *job = witness_find(w, e->job);
    return job && job->state == QD_STATE_RUNNING && is_size_of(&job->submit, e->submit.ranks_min);
}

static bool account_exists(const witness *w, const qd_submission *s) {
    int count = w->has_tree ? w->team_count : QD_ACCOUNTS;
    return s->account >= 0 && s->account < count &&
           !(w->has_tree && w->teams[s->account].has_members);
}

bool witness_expects(const witness *w, const qd_event *e) {
    bool rank_exists = e->rank >= 1 && e->rank <= w->worker_ranks;
    if (e->time_ns < w->time_ns || !memchr(e->text, 0, sizeof e->text))
        return false;
    switch ((int)e->kind) {
    case QD_EVENT_WORKER_READY:
        return rank_exists && e->place.host >= 0 && e->place.island >= 0 &&
               e->place.memory_bytes >= 0;
    case QD_EVENT_WORKER_LOST:
    case QD_EVENT_RANK_DRAIN:
    case QD_EVENT_RANK_RESUME:
        return rank_exists;
    case QD_EVENT_SUBMIT:
        return !w->closed && e->submit.ranks_min >= 1 &&
               e->submit.ranks_min <= e->submit.ranks_max && e->submit.ranks_step >= 0 &&
               (e->submit.ranks_max - e->submit.ranks_min) % step_of(&e->submit) == 0 &&
               memchr(e->submit.name, 0, sizeof e->submit.name) && e->submit.estimate_ns >= 0 &&
               e->submit.deadline_ns >= 0 && e->submit.limit_ns >= 0 && e->submit.begin_ns >= 0 &&
               (unsigned)e->submit.held <= 1 && (unsigned)e->submit.tells <= 1 &&
               (unsigned)e->submit.demand.within < QD_WITHINS &&
               e->submit.demand.memory_bytes >= 0 && e->submit.demand.peers >= 0 &&
               e->submit.array == 0 && after_is_known(w, e) && reservation_takes(w, &e->submit) &&
               abs(e->submit.importance) <= 100 && abs(e->submit.nice) <= 1000000 &&
               account_exists(w, &e->submit) &&
               e->submit.job > (w->job_count ? w->jobs[w->job_count - 1].submit.job : 0);
    case QD_EVENT_MEMBER_ENDED:
        return rank_exists && (int)e->outcome >= 0 && e->outcome < QD_OUTCOMES &&
               expects_member(w, e);
    case QD_EVENT_RANK_TIME:
        return rank_exists && expects_member(w, e) && e->busy_ns > 0;
    case QD_EVENT_RESIZE:
        return expects_resize(w, e) && witness_find(w, e->job)->inside <= 0;
    case QD_EVENT_PROGRESS:
        return expects_attempt(w, e) && e->saved >= 0 && e->saved <= e->step && e->steps >= 0;
    case QD_EVENT_LIMIT:
        return witness_find(w, e->job) != NULL && e->submit.limit_ns >= 0;
    case QD_EVENT_PRIORITY:
        return witness_find(w, e->job) != NULL && abs(e->submit.importance) <= 100;
    case QD_EVENT_HOLD:
    case QD_EVENT_RELEASE:
    case QD_EVENT_CANCEL:
        return witness_find(w, e->job) != NULL;
    case QD_EVENT_RESERVE:
        return expects_reserve(w, e);
    case QD_EVENT_UNRESERVE:
        return find_reservation(w, e->reserve.number) != NULL;
    case QD_EVENT_CLOSED:
    case QD_EVENT_DRAIN:
    case QD_EVENT_TIME:
        return true;
    default:
        return false;
    }
}

/* What is left of the gang is let go together. */
static void keep_together(witness *w, witness_job *job) {
    job->regroups = true;
    for (int rank = 1; rank <= w->worker_ranks; rank++)
        if (w->ranks[rank].job == job->submit.job && !w->ranks[rank].drained)
            w->ranks[rank].kept = job->submit.job;
}

static void member_ended(witness *w, int rank, qd_outcome outcome, int exit_code,
                         const char *failure) {
    witness_job *job = witness_find(w, w->ranks[rank].job);
    w->ranks[rank].job = 0;
    job->live--;
    job->ended[outcome]++;
    if (outcome == QD_OUTCOME_FAILED && job->ended[outcome] == 1) {
        snprintf(job->first_failure, sizeof job->first_failure, "%s", failure);
        job->exit_code = exit_code < 0 ? exit_code : QD_EINTERNAL;
        if (job->live > 0 && may_regroup(w, job))
            keep_together(w, job);
    }
    if (job->live == 0 && job->regroups)
        unkeep(w, job);
}

static void note_member_ended(witness *w, const qd_event *e) {
    const witness_job *job = witness_find(w, e->job);
    if (w->ranks[e->rank].job == e->job && job->attempt == e->attempt)
        member_ended(w, e->rank, e->outcome, e->exit_code, e->text);
}

static void note_lost(witness *w, const qd_event *e) {
    char failure[QD_EVENT_TEXT_BYTES + 64];
    if (w->ranks[e->rank].lost)
        return;
    w->ranks[e->rank].lost = true;
    w->ranks[e->rank].kept = 0;
    snprintf(failure, sizeof failure, "rank %d was lost%s%s", e->rank, e->text[0] ? ": " : "",
             e->text);
    if (w->ranks[e->rank].job)
        member_ended(w, e->rank, QD_OUTCOME_FAILED, QD_ELOST, failure);
}

static void note_submit(witness *w, const qd_event *e) {
    w->jobs[w->job_count++] = (witness_job){
        .submit = e->submit, .submit_ns = e->time_ns, .state = QD_STATES, .held = e->submit.held};
}

static void note_cancel(witness *w, const qd_event *e) {
    witness_job *job = witness_find(w, e->job);
    if (job->live > 0 && job->ended[QD_OUTCOME_FAILED] == 0 && !job->aborted)
        job->cancelled = true;
    else
        job->unwanted = job->live > 0;
}

/* A step takes what it took on average since the attempt's first word. */
static void note_progress(witness *w, const qd_event *e) {
    witness_job *job = witness_find(w, e->job);
    if (job->attempt != e->attempt || job->live == 0)
        return;
    job->losses = e->saved > job->saved ? 0 : job->losses;
    if (!job->told) {
        job->told = true;
        job->first_step = e->step;
        job->first_ns = e->time_ns;
    }
    if (e->step > job->first_step && e->time_ns > job->first_ns) {
        job->step_ns = (e->time_ns - job->first_ns) / (e->step - job->first_step);
        job->step_ranks = job->size;
    }
    job->step = e->step;
    job->saved = e->saved > job->saved ? e->saved : job->saved;
    job->steps = e->steps;
    job->told_ns = e->time_ns;
}

static void note_ready(witness *w, const qd_event *e) {
    witness_rank *rank = &w->ranks[e->rank];
    if (!rank->ready && !rank->lost)
        rank->place = e->place;
    rank->ready = true;
}

static void note_drained(witness *w, const qd_event *e) {
    w->ranks[e->rank].drained = e->kind == QD_EVENT_RANK_DRAIN;
    if (w->ranks[e->rank].drained)
        w->ranks[e->rank].kept = 0;
}

static void note_unreserve(witness *w, const qd_event *e) {
    witness_reservation *r = find_reservation(w, e->reserve.number);
    outstay(w, r);
    r->over = true;
}

void note_event(witness *w, const qd_event *e) {
    w->time_ns = e->time_ns;
    w->event = e;
    if (e->kind == QD_EVENT_WORKER_READY)
        note_ready(w, e);
    else if (e->kind == QD_EVENT_WORKER_LOST)
        note_lost(w, e);
    else if (e->kind == QD_EVENT_SUBMIT)
        note_submit(w, e);
    else if (e->kind == QD_EVENT_MEMBER_ENDED)
        note_member_ended(w, e);
    else if (e->kind == QD_EVENT_CANCEL)
        note_cancel(w, e);
    else if (e->kind == QD_EVENT_HOLD || e->kind == QD_EVENT_RELEASE)
        witness_find(w, e->job)->held = e->kind == QD_EVENT_HOLD;
    else if (e->kind == QD_EVENT_RANK_DRAIN || e->kind == QD_EVENT_RANK_RESUME)
        note_drained(w, e);
    else if (e->kind == QD_EVENT_PROGRESS)
        note_progress(w, e);
    else if (e->kind == QD_EVENT_RANK_TIME)
        note_pace(w, e);
    else if (e->kind == QD_EVENT_PRIORITY)
        witness_find(w, e->job)->submit.importance = e->submit.importance;
    else if (e->kind == QD_EVENT_LIMIT)
        witness_find(w, e->job)->submit.limit_ns = e->submit.limit_ns;
    else if (e->kind == QD_EVENT_RESERVE)
        w->reservations[w->reservation_count++].is = e->reserve;
    else if (e->kind == QD_EVENT_UNRESERVE)
        note_unreserve(w, e);
    else if (e->kind == QD_EVENT_CLOSED)
        w->closed = true;
    else if (e->kind == QD_EVENT_DRAIN)
        w->draining = true;
}
