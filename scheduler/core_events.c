/*
 * One row for each kind of event: whether it can be true, beside what it does. Words about attempts
 * that are over are true but late: they pass the check and change nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "scheduler/core_internal.h"
#include "scheduler/elastic.h"
#include "scheduler/gates.h"
#include "scheduler/pace.h"
#include "scheduler/reservations.h"
#include "scheduler/resize.h"

const char *const qd_event_names[QD_EVENTS] = {
    [QD_EVENT_WORKER_READY] = "WORKER_READY",
    [QD_EVENT_WORKER_LOST] = "WORKER_LOST",
    [QD_EVENT_SUBMIT] = "SUBMIT",
    [QD_EVENT_CLOSED] = "CLOSED",
    [QD_EVENT_MEMBER_ENDED] = "MEMBER_ENDED",
    [QD_EVENT_DRAIN] = "DRAIN",
    [QD_EVENT_CANCEL] = "CANCEL",
    [QD_EVENT_HOLD] = "HOLD",
    [QD_EVENT_RELEASE] = "RELEASE",
    [QD_EVENT_LIMIT] = "LIMIT",
    [QD_EVENT_PRIORITY] = "PRIORITY",
    [QD_EVENT_RESIZE] = "RESIZE",
    [QD_EVENT_RANK_DRAIN] = "RANK_DRAIN",
    [QD_EVENT_RANK_RESUME] = "RANK_RESUME",
    [QD_EVENT_PROGRESS] = "PROGRESS",
    [QD_EVENT_RESERVE] = "RESERVE",
    [QD_EVENT_UNRESERVE] = "UNRESERVE",
    [QD_EVENT_RANK_TIME] = "RANK_TIME",
    [QD_EVENT_TIME] = "TIME",
};

static int check_rank(const qd_core *core, const qd_event *event) {
    if (event->rank < 1 || event->rank > core->ranks.count)
        return qd_error_set(QD_EPROTO, "%s: there is no worker rank %d; they are 1 to %d",
                            qd_event_names[event->kind], event->rank, core->ranks.count);
    return 0;
}

static int check_job(const qd_core *core, const qd_event *event) {
    if (!qd_jobs_find(&core->jobs, event->job))
        return qd_error_set(QD_EPROTO, "%s: no job %lld was ever submitted",
                            qd_event_names[event->kind], (long long)event->job);
    return 0;
}

static int check_attempt(const qd_core *core, const qd_event *event) {
    const qd_job_record *job = qd_jobs_find(&core->jobs, event->job);
    if (event->attempt < 1 || event->attempt > job->attempt)
        return qd_error_set(QD_EPROTO, "%s: job %lld had %d attempts, not %d",
                            qd_event_names[event->kind], (long long)event->job, job->attempt,
                            event->attempt);
    return 0;
}

static int check_nothing(const qd_core *core, const qd_event *event) {
    (void)core;
    (void)event;
    return 0;
}

static void apply_nothing(qd_core *core, const qd_event *event) {
    (void)core;
    (void)event;
}

static int check_worker_ready(const qd_core *core, const qd_event *event) {
    const qd_place *p = &event->place;
    if (p->host < 0 || p->island < 0 || p->memory_bytes < 0)
        return qd_error_set(QD_EPROTO,
                            "WORKER_READY: rank %d: host %d, island %d, %lld bytes; none is "
                            "negative",
                            event->rank, p->host, p->island, (long long)p->memory_bytes);
    return check_rank(core, event);
}

/* ---- other ranks are in service than before ---- */

static size_t count_waiting(const qd_core *core) {
    return (size_t)core->jobs.pending.count + (size_t)core->jobs.blocked.count;
}

static int reserve_waiting(qd_core *core, const qd_event *event) {
    (void)event;
    size_t wanted = count_waiting(core) + 1; /* who loses a rank may wait again */
    if (wanted <= core->waiting_capacity)
        return 0;
    qd_job_record **waiting = malloc(2 * wanted * sizeof(qd_job_record *));
    if (!waiting)
        return qd_error_set(QD_ENOMEM, "no memory to consider %zu jobs", wanted);
    free(core->waiting);
    core->waiting = waiting;
    core->waiting_capacity = 2 * wanted;
    return 0;
}

static int compare_numbers(const void *a, const void *b) {
    const qd_job_record *x = *(qd_job_record *const *)a, *y = *(qd_job_record *const *)b;
    return (x->job > y->job) - (x->job < y->job);
}

/* The jobs that are PENDING, by number, into core->waiting; returns how many. */
static size_t list_waiting(qd_core *core) {
    const qd_job_list *lists[] = {&core->jobs.pending, &core->jobs.blocked};
    size_t count = 0;
    for (int i = 0; i < 2; i++)
        for (qd_job_record *job = lists[i]->first; job; job = job->next)
            core->waiting[count++] = job;
    if (count > 0)
        qsort(core->waiting, count, sizeof *core->waiting, compare_numbers);
    return count;
}

/* Who is too wide for the ranks in service leaves the queue, and comes back when it is not any
 * more; who is too wide for those that are alive ends. */
static void reconsider_waiting(qd_core *core) {
    size_t count = list_waiting(core);
    for (size_t i = 0; i < count; i++)
        qd_job_cancel_if_too_wide(core, core->waiting[i]);
    for (size_t i = 0; i < count; i++)
        if (core->waiting[i]->state == QD_STATE_PENDING)
            qd_job_reconsider(core, core->waiting[i]);
}

static void apply_worker_ready(qd_core *core, const qd_event *event) {
    bool known = core->ranks.places.known;
    qd_ranks_ready(&core->ranks, event->rank, event->place);
    core->timetable.stale = true;
    if (core->ranks.places.known != known)
        reconsider_waiting(core); /* only now it is known which ranks are together */
}

/* Once it serves nobody it goes to nobody, or not to everybody. */
static bool is_spoken_for(const qd_rank *rank) {
    return rank->drained || rank->kept || rank->reservation > 0;
}

static void set_drained(qd_core *core, int number, bool drained) {
    const qd_rank *rank = &core->ranks.rank[number];
    if (rank->state == QD_RANK_LOST || rank->drained == drained)
        return;
    if (rank->kept)
        qd_resize_rank_gone(core, number);
    else if (rank->reservation > 0)
        qd_reservations_rank_gone(core, rank->reservation);
    else if (rank->state == QD_RANK_HELD)
        qd_job_rank_drained(core, qd_jobs_find(&core->jobs, rank->job), drained);
    qd_ranks_drain(&core->ranks, number, drained);
    core->timetable.stale = true;
    reconsider_waiting(core);
}

static void apply_rank_drain(qd_core *core, const qd_event *event) {
    set_drained(core, event->rank, true);
}

static void apply_rank_resume(qd_core *core, const qd_event *event) {
    set_drained(core, event->rank, false);
}

static void apply_worker_lost(qd_core *core, const qd_event *event) {
    qd_rank before = core->ranks.rank[event->rank];
    if (before.state == QD_RANK_LOST)
        return;
    if (before.kept)
        qd_resize_rank_gone(core, event->rank);
    qd_ranks_lose(&core->ranks, event->rank);
    core->timetable.stale = true;
    if (before.reservation > 0)
        qd_reservations_rank_gone(core, before.reservation);
    if (before.state == QD_RANK_HELD) {
        char text[QD_REASON_BYTES];
        snprintf(text, sizeof text, "rank %d was lost%s%s", event->rank, event->text[0] ? ": " : "",
                 event->text);
        qd_job_record *job = qd_jobs_find(&core->jobs, before.job);
        job->lost_ranks++;
        qd_job_member_ended(core, job, event->rank, is_spoken_for(&before), QD_OUTCOME_FAILED,
                            QD_ELOST, text);
    }
    reconsider_waiting(core);
}

static int check_submit(const qd_core *core, const qd_event *event) {
    const qd_submission *s = &event->submit;
    int64_t last = qd_jobs_last_number(&core->jobs);
    if (core->closed)
        return qd_error_set(QD_EPROTO, "SUBMIT: job %lld came after CLOSED", (long long)s->job);
    if (s->job <= last)
        return qd_error_set(QD_EPROTO, "SUBMIT: job %lld; its number must exceed %lld",
                            (long long)s->job, (long long)last);
    if (s->ranks_min < 1 || s->ranks_max < s->ranks_min)
        return qd_error_set(QD_EPROTO,
                            "SUBMIT: job %lld: ranks %d to %d; 1 <= min <= max is needed",
                            (long long)s->job, s->ranks_min, s->ranks_max);
    if (s->estimate_ns < 0 || s->deadline_ns < 0 || s->limit_ns < 0)
        return qd_error_set(QD_EPROTO, "SUBMIT: job %lld: a negative estimate, limit or deadline",
                            (long long)s->job);
    if (abs(s->importance) > 100 || abs(s->nice) > 1000000 || s->account < 0 ||
        s->account >= core->teams->count)
        return qd_error_set(QD_EPROTO,
                            "SUBMIT: job %lld: importance %d, nice %d, account %d; accepted: -100 "
                            ".. 100, -1000000 .. 1000000, 0 .. %d",
                            (long long)s->job, s->importance, s->nice, s->account,
                            core->teams->count - 1);
    if (!core->teams->team[s->account].is_account)
        return qd_error_set(QD_EPROTO, "SUBMIT: job %lld: account %d is a team with members",
                            (long long)s->job, s->account);
    if (s->ranks_step < 0 ||
        (s->ranks_step > 1 && (s->ranks_max - s->ranks_min) % s->ranks_step != 0))
        return qd_error_set(QD_EPROTO, "SUBMIT: job %lld: ranks %d to %d in steps of %d",
                            (long long)s->job, s->ranks_min, s->ranks_max, s->ranks_step);
    if (!memchr(s->name, '\0', sizeof s->name))
        return qd_error_set(QD_EPROTO, "SUBMIT: job %lld: its name has no end; at most %zu bytes",
                            (long long)s->job, sizeof s->name - 1);
    const qd_job_record *array = qd_jobs_find(&core->jobs, s->array);
    bool known = s->array == 0 || s->array == s->job || (array && array->submit.array == s->array);
    if ((unsigned)s->tells > 1 || (unsigned)s->keeps_ranks > 1)
        return qd_error_set(QD_EPROTO, "SUBMIT: job %lld: tells %d, keeps_ranks %d; accepted: 0, 1",
                            (long long)s->job, s->tells, s->keeps_ranks);
    if (!known || s->array_most < 0 || (unsigned)s->held > 1 || s->begin_ns < 0)
        return qd_error_set(QD_EPROTO,
                            "SUBMIT: job %lld: array %lld of at most %d, held %d, begin %lld ns; "
                            "accepted: the first job of an array, 0 or more, 0 or 1, 0 or more",
                            (long long)s->job, (long long)s->array, s->array_most, s->held,
                            (long long)s->begin_ns);
    const qd_demand *d = &s->demand;
    if ((unsigned)d->within >= QD_WITHINS || d->memory_bytes < 0 || d->peers < 0)
        return qd_error_set(QD_EPROTO,
                            "SUBMIT: job %lld: within %d, %lld bytes a rank, %d peers; accepted: 0 "
                            ".. %d, 0 or more, 0 or more",
                            (long long)s->job, d->within, (long long)d->memory_bytes, d->peers,
                            QD_WITHINS - 1);
    int rc = qd_reservations_check(core, s);
    return rc ? rc : qd_gates_check(&core->jobs, s);
}

static int reserve_submit(qd_core *core, const qd_event *event) {
    int rc = qd_jobs_reserve(&core->jobs, qd_jobs_room(&event->submit, core->ranks.count,
                                                       qd_may_move(&core->scheduling)));
    size_t open = (size_t)core->jobs.pending.count + (size_t)core->jobs.blocked.count +
                  (size_t)core->jobs.active.count;
    return rc ? rc : qd_timetable_reserve(&core->timetable, open + 1);
}

static void apply_submit(qd_core *core, const qd_event *event) {
    qd_job_submitted(core, &event->submit);
}

static void apply_closed(qd_core *core, const qd_event *event) {
    (void)event;
    core->closed = true;
}

/* Its rank is, or was, one of the attempt's. */
static int check_member(const qd_core *core, const qd_event *event) {
    int rc = check_rank(core, event);
    if (!rc)
        rc = check_job(core, event);
    if (!rc)
        rc = check_attempt(core, event);
    if (rc)
        return rc;
    const qd_job_record *job = qd_jobs_find(&core->jobs, event->job);
    /* Most are members that serve still: no need to go through the gang. */
    if (event->attempt == job->attempt &&
        !qd_ranks_held_by(&core->ranks, event->rank, event->job, event->attempt) &&
        !qd_job_is_member(job, event->rank))
        return qd_error_set(QD_EPROTO, "%s: rank %d is no member of job %lld attempt %d",
                            qd_event_names[event->kind], event->rank, (long long)event->job,
                            event->attempt);
    return 0;
}

static int check_member_ended(const qd_core *core, const qd_event *event) {
    if ((unsigned)event->outcome >= QD_OUTCOMES)
        return qd_error_set(QD_EPROTO, "MEMBER_ENDED: outcome %d; they are 0 to %d",
                            (int)event->outcome, QD_OUTCOMES - 1);
    return check_member(core, event);
}

static void apply_member_ended(qd_core *core, const qd_event *event) {
    if (!qd_ranks_held_by(&core->ranks, event->rank, event->job, event->attempt))
        return;
    qd_rank before = core->ranks.rank[event->rank];
    qd_ranks_release(&core->ranks, event->rank);
    qd_job_member_ended(core, qd_jobs_find(&core->jobs, event->job), event->rank,
                        is_spoken_for(&before), event->outcome, event->exit_code, event->text);
}

static void apply_drain(qd_core *core, const qd_event *event) {
    if (core->draining)
        return;
    core->draining = true;
    snprintf(core->drain_reason, sizeof core->drain_reason, "%s", event->text);
    while (core->jobs.pending.first && !core->fault)
        qd_job_stop(core, core->jobs.pending.first, event->text);
    while (core->jobs.blocked.first && !core->fault)
        qd_job_stop(core, core->jobs.blocked.first, event->text);
    for (qd_job_record *job = core->jobs.active.first; job; job = job->next)
        qd_job_stop(core, job, event->text);
}

static void apply_cancel(qd_core *core, const qd_event *event) {
    qd_job_call_off(core, qd_jobs_find(&core->jobs, event->job), event->text);
}

static void apply_hold(qd_core *core, const qd_event *event) {
    qd_job_hold(core, qd_jobs_find(&core->jobs, event->job), true);
}

static void apply_release(qd_core *core, const qd_event *event) {
    qd_job_hold(core, qd_jobs_find(&core->jobs, event->job), false);
}

static int check_limit(const qd_core *core, const qd_event *event) {
    if (event->submit.limit_ns < 0)
        return qd_error_set(QD_EPROTO, "LIMIT: job %lld: a negative limit", (long long)event->job);
    return check_job(core, event);
}

static void apply_limit(qd_core *core, const qd_event *event) {
    qd_job_limit(core, qd_jobs_find(&core->jobs, event->job), event->submit.limit_ns);
}

static int check_priority(const qd_core *core, const qd_event *event) {
    if (abs(event->submit.importance) > 100)
        return qd_error_set(QD_EPROTO, "PRIORITY: job %lld: importance %d; accepted: -100 .. 100",
                            (long long)event->job, event->submit.importance);
    return check_job(core, event);
}

static void apply_priority(qd_core *core, const qd_event *event) {
    qd_job_priority(core, qd_jobs_find(&core->jobs, event->job), event->submit.importance);
}

static int check_resize(const qd_core *core, const qd_event *event) {
    int rc = check_job(core, event);
    if (rc)
        return rc;
    const qd_job_record *job = qd_jobs_find(&core->jobs, event->job);
    const qd_submission *s = &job->submit;
    int ranks = event->submit.ranks_min;
    if (ranks < s->ranks_min || ranks > s->ranks_max || ranks != qd_resize_widest(job, ranks))
        return qd_error_set(QD_EPROTO,
                            "RESIZE: job %lld to %d ranks; accepted: %d to %d in steps of %d, the "
                            "ranks of a copy of its model (pipeline stages times tensor ranks)",
                            (long long)event->job, ranks, s->ranks_min, s->ranks_max,
                            s->ranks_step);
    if (job->state != QD_STATE_RUNNING)
        return qd_error_set(QD_EPROTO, "RESIZE: job %lld is %s; accepted: one that is RUNNING",
                            (long long)event->job, qd_job_state_names[job->state]);
    if (job->inside > 0)
        return qd_error_set(QD_EPROTO,
                            "RESIZE: job %lld runs in a reservation; accepted: one that "
                            "runs outside",
                            (long long)event->job);
    return 0;
}

static void apply_resize(qd_core *core, const qd_event *event) {
    qd_elastic_resize(core, qd_jobs_find(&core->jobs, event->job), event->submit.ranks_min,
                      event->text);
}

static int check_progress(const qd_core *core, const qd_event *event) {
    int rc = check_job(core, event);
    if (!rc)
        rc = check_attempt(core, event);
    if (!rc && (event->saved < 0 || event->step < event->saved || event->steps < 0))
        rc = qd_error_set(QD_EPROTO, "PROGRESS: job %lld: step %lld of %lld, %lld of them saved",
                          (long long)event->job, (long long)event->step, (long long)event->steps,
                          (long long)event->saved);
    return rc;
}

static void apply_progress(qd_core *core, const qd_event *event) {
    qd_job_record *job = qd_jobs_find(&core->jobs, event->job);
    if (job->attempt == event->attempt && job->gang.live > 0)
        qd_job_told(core, job, event);
}

static int check_reserve(const qd_core *core, const qd_event *event) {
    const qd_reservation *r = &event->reserve;
    if (r->account < -1 || r->account >= core->teams->count)
        return qd_error_set(QD_EPROTO, "RESERVE: account %d; accepted: -1 .. %d", r->account,
                            core->teams->count - 1);
    int rc = qd_book_check(&core->book, r, core->ranks.count, event->time_ns, 0);
    return rc ? qd_error_context(rc, "RESERVE") : 0;
}

/* There may have been no job yet. */
static int reserve_reserve(qd_core *core, const qd_event *event) {
    (void)event;
    size_t open = (size_t)core->jobs.pending.count + (size_t)core->jobs.blocked.count +
                  (size_t)core->jobs.active.count;
    return qd_timetable_reserve(&core->timetable, open);
}

static void apply_reserve(qd_core *core, const qd_event *event) {
    qd_reservations_add(core, &event->reserve);
}

static int check_unreserve(const qd_core *core, const qd_event *event) {
    if (!qd_book_find((qd_book *)&core->book, event->reserve.number))
        return qd_error_set(QD_EPROTO, "UNRESERVE: there is no reservation %lld",
                            (long long)event->reserve.number);
    return 0;
}

static void apply_unreserve(qd_core *core, const qd_event *event) {
    qd_reservations_remove(core, event->reserve.number);
}

static int check_rank_time(const qd_core *core, const qd_event *event) {
    int rc = check_member(core, event);
    if (!rc && event->busy_ns <= 0)
        rc =
            qd_error_set(QD_EPROTO, "RANK_TIME: rank %d is busy for %lld ns; more than 0 is needed",
                         event->rank, (long long)event->busy_ns);
    return rc;
}

static void apply_rank_time(qd_core *core, const qd_event *event) {
    if (qd_ranks_held_by(&core->ranks, event->rank, event->job, event->attempt))
        qd_pace_note(core, qd_jobs_find(&core->jobs, event->job), event->rank, event->busy_ns);
}

const qd_event_handler qd_event_handlers[QD_EVENTS] = {
    [QD_EVENT_WORKER_READY] = {.check = check_worker_ready,
                               .reserve = reserve_waiting,
                               .apply = apply_worker_ready,
                               .whole_queue = true},
    [QD_EVENT_WORKER_LOST] = {.check = check_rank,
                              .reserve = reserve_waiting,
                              .apply = apply_worker_lost,
                              .whole_queue = true},
    [QD_EVENT_SUBMIT] = {.check = check_submit, .reserve = reserve_submit, .apply = apply_submit},
    [QD_EVENT_CLOSED] = {.check = check_nothing, .apply = apply_closed},
    [QD_EVENT_MEMBER_ENDED] = {.check = check_member_ended, .apply = apply_member_ended},
    [QD_EVENT_DRAIN] = {.check = check_nothing, .apply = apply_drain, .whole_queue = true},
    [QD_EVENT_CANCEL] = {.check = check_job, .apply = apply_cancel},
    [QD_EVENT_HOLD] = {.check = check_job, .apply = apply_hold},
    [QD_EVENT_RELEASE] = {.check = check_job, .apply = apply_release},
    [QD_EVENT_LIMIT] = {.check = check_limit, .apply = apply_limit},
    [QD_EVENT_PRIORITY] = {.check = check_priority, .apply = apply_priority},
    [QD_EVENT_RESIZE] = {.check = check_resize, .apply = apply_resize},
    [QD_EVENT_RANK_DRAIN] = {.check = check_rank,
                             .reserve = reserve_waiting,
                             .apply = apply_rank_drain,
                             .whole_queue = true},
    [QD_EVENT_RANK_RESUME] = {.check = check_rank,
                              .reserve = reserve_waiting,
                              .apply = apply_rank_resume,
                              .whole_queue = true},
    [QD_EVENT_PROGRESS] = {.check = check_progress, .apply = apply_progress},
    [QD_EVENT_RESERVE] = {.check = check_reserve,
                          .reserve = reserve_reserve,
                          .apply = apply_reserve},
    [QD_EVENT_UNRESERVE] = {.check = check_unreserve, .apply = apply_unreserve},
    [QD_EVENT_RANK_TIME] = {.check = check_rank_time, .apply = apply_rank_time},
    [QD_EVENT_TIME] = {.check = check_nothing, .apply = apply_nothing},
};
