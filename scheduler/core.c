#include "scheduler/core.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "scheduler/core_internal.h"
#include "scheduler/elastic.h"
#include "scheduler/gates.h"
#include "scheduler/prediction.h"
#include "scheduler/reservations.h"
#include "scheduler/swap.h"

int qd_core_create(int worker_ranks, const qd_scheduling *scheduling, qd_core **out) {
    if (worker_ranks < 1)
        return qd_error_set(QD_EINTERNAL, "a scheduler of %d worker ranks; it needs at least 1",
                            worker_ranks);
    qd_core *core = calloc(1, sizeof *core);
    int rc = core ? qd_ranks_init(&core->ranks, worker_ranks) : QD_ENOMEM;
    if (rc)
        goto out;
    core->scheduling = *scheduling;
    core->policy = qd_policies[scheduling->policy];
    core->now_ns = INT64_MIN;
    core->next_look_ns = INT64_MIN;
    core->next_room_ns = core->next_growth_ns = QD_NEVER;
    qd_timetable_init(&core->timetable);
    qd_moves_init(&core->moves);
    qd_moves_init(&core->alarms);
    qd_names_init(&core->names);
    rc = qd_teams_create(scheduling, &core->teams);
    if (rc)
        goto out;
    qd_shares_init(&core->shares, scheduling->half_life_s, core->teams);
    rc = qd_queue_init(&core->queue, core->policy->lanes > 0 ? core->policy->lanes : 1);
    if (rc)
        goto out;
    core->members = calloc((size_t)worker_ranks, sizeof *core->members);
    core->targets = calloc((size_t)worker_ranks, sizeof *core->targets);
    core->paces = calloc((size_t)worker_ranks + 1, sizeof *core->paces);
    core->running = calloc(2 * (size_t)worker_ranks, sizeof *core->running);
    bool limits = core->teams->has_limits, quotas = core->teams->has_quotas;
    core->accounts = limits ? qd_limits_create(core->teams) : NULL;
    core->quotas = quotas ? qd_quotas_create(core->teams) : NULL;
    core->frontier = core->policy->plans ? qd_frontier_create(worker_ranks) : NULL;
    if (!core->members || !core->running || !core->paces || !core->targets ||
        (limits && !core->accounts) || (quotas && !core->quotas) ||
        (core->policy->plans && !core->frontier)) {
        rc = QD_ENOMEM;
        goto out;
    }
    *out = core;
    core = NULL;
out:
    qd_core_destroy(core);
    return rc ? qd_error_set(rc, "no memory for a scheduler of %d ranks", worker_ranks) : 0;
}

void qd_core_destroy(qd_core *core) {
    if (!core)
        return;
    qd_ranks_fini(&core->ranks);
    qd_jobs_fini(&core->jobs);
    qd_queue_fini(&core->queue);
    qd_timetable_fini(&core->timetable);
    qd_actions_fini(&core->actions);
    qd_frontier_destroy(core->frontier);
    free(core->accounts);
    qd_quotas_destroy(core->quotas);
    free(core->teams);
    free(core->paces);
    free(core->members);
    free(core->targets);
    free(core->running);
    free(core->waiting);
    free(core);
}

static int check(const qd_core *core, const qd_event *event) {
    if ((unsigned)event->kind >= QD_EVENTS)
        return qd_error_set(QD_EPROTO, "event kind %d; they are 0 to %d", (int)event->kind,
                            QD_EVENTS - 1);
    if (event->time_ns < core->now_ns)
        return qd_error_set(QD_EPROTO, "%s at %lld ns, but time was already %lld ns",
                            qd_event_names[event->kind], (long long)event->time_ns,
                            (long long)core->now_ns);
    if (!memchr(event->text, '\0', sizeof event->text))
        return qd_error_set(QD_EPROTO, "%s: its text has no end; at most %zu bytes",
                            qd_event_names[event->kind], sizeof event->text - 1);
    return qd_event_handlers[event->kind].check(core, event);
}

/* Room for all the actions that the event could lead to, so that nothing can fail halfway. */
static int make_room(qd_core *core, const qd_event *event) {
    /* Blocked jobs may be let in, or end since they come after one that ends. */
    size_t blocked = (size_t)core->jobs.blocked.count;
    size_t pending = (size_t)core->jobs.pending.count + blocked,
           active = (size_t)core->jobs.active.count;
    size_t ranks = (size_t)core->ranks.count;
    size_t touched = qd_event_handlers[event->kind].whole_queue ? pending + active : blocked + 1;
    size_t starts = pending < ranks ? pending + 1 : ranks;
    bool late = qd_moves_first_ns(&core->alarms) <= event->time_ns;
    bool reserves = core->book.count > 0 || event->kind == QD_EVENT_RESERVE;
    const qd_scheduling *set = &core->scheduling;
    bool many =
        core->policy->preempts || set->grow || set->swap || set->migrate || late || reserves;
    size_t stops = many || event->kind == QD_EVENT_LIMIT ? active : 0;
    stops += event->kind == QD_EVENT_RESIZE;
    size_t changes = touched + starts + stops + 1; /* a new job is PENDING first */
    size_t orders = touched + starts + 2 * stops;
    size_t reasons = (changes + orders) * (QD_REASON_WORDS_BYTES + strlen(event->text));
    size_t kept_reasons = 2 * QD_REASON_BYTES; /* a job that ends gives what it kept since */
    /* No rank is told to end and starts another job in one event; each may be kept. */
    return qd_actions_begin(&core->actions, changes + orders + 1, 2 * ranks,
                            reasons + kept_reasons);
}

/* Jobs that have outrun what was predicted of them are predicted anew (prediction.h). */
static void move_overdue(qd_core *core) {
    for (;;) {
        qd_job_record *job = qd_timetable_first_end(&core->timetable);
        if (!job || job->due_ns > core->now_ns)
            return;
        qd_job_predict_end(core, job);
    }
}

/* The first starts wait until no worker is on its way any more, so that the head of the queue does
 * not train on one rank because the others were slower to come. */
static bool may_start(const qd_core *core) {
    return !core->draining && core->ranks.in_state[QD_RANK_ABSENT] == 0;
}

static void decide(qd_core *core) {
    qd_core_ring_alarms(core);
    move_overdue(core);
    qd_reservations_keep(core);
    if (may_start(core))
        qd_reservations_start(core);
    core->timetable.profile.now_free = qd_ranks_idle(&core->ranks);
    if (may_start(core) && core->jobs.pending.count > 0)
        core->policy->decide(core);
    if (may_start(core)) {
        qd_elastic_grow(core);
        qd_swap_slow(core);
    }
}

int64_t qd_core_wake_ns(const qd_core *core) {
    int64_t alarm = qd_moves_first_ns(&core->alarms), edge = qd_reservations_wake_ns(core);
    alarm = edge < alarm ? edge : alarm;
    if (may_start(core) && core->next_growth_ns < alarm)
        alarm = core->next_growth_ns;
    if (!may_start(core) || core->jobs.pending.count == 0 || !core->policy->wake_ns)
        return alarm;
    int64_t policy = core->policy->wake_ns(core);
    return policy < alarm ? policy : alarm;
}

static void shut_down_when_done(qd_core *core) {
    bool ending = core->closed || core->draining;
    if (core->shut_down || !ending || core->jobs.pending.count > 0 ||
        core->jobs.blocked.count > 0 || core->jobs.active.count > 0)
        return;
    core->shut_down = true;
    qd_actions_add(&core->actions, &(qd_action){.kind = QD_ACTION_SHUTDOWN});
}

int qd_core_handle(qd_core *core, const qd_event *event, qd_action_list *actions) {
    if (core->fault)
        return qd_error_set(core->fault, "the scheduler's state is broken since an earlier event");
    int rc = check(core, event);
    if (rc)
        return rc;
    const qd_event_handler *handler = &qd_event_handlers[event->kind];
    rc = make_room(core, event);
    if (!rc && handler->reserve)
        rc = handler->reserve(core, event);
    if (rc)
        return rc;
    core->now_ns = event->time_ns;
    handler->apply(core, event);
    qd_gates_settle(core);
    if (!event->more)
        decide(core);
    shut_down_when_done(core);
    if (!core->fault)
        core->fault = qd_actions_end(&core->actions, actions);
    return core->fault;
}

qd_free_view qd_core_free(const qd_core *core) {
    const qd_places *places = &core->ranks.places;
    return (qd_free_view){.free = places->free_count, .broken = places->broken};
}

int qd_core_job_count(const qd_core *core) {
    return core->jobs.count;
}

void qd_core_job(const qd_core *core, int i, qd_job_view *view) {
    const qd_job_record *job = core->jobs.all[i];
    *view = (qd_job_view){.job = job->job,
                          .name = job->submit.name,
                          .state = job->state,
                          .reason = job->reason,
                          .attempt = job->attempt,
                          .ranks = job->ranks,
                          .rank_count = job->gang.size,
                          .preemptions = job->preemptions,
                          .lost_ranks = job->lost_ranks,
                          .resizes = job->resizes};
}

bool qd_core_reservation(const qd_core *core, int i, qd_reservation_view *view) {
    if (i >= core->book.count)
        return false;
    const qd_booking *b = &core->book.bookings[i];
    *view = (qd_reservation_view){.is = b->is, .running = b->running, .has = b->has};
    return true;
}
