#include "scheduler/simulator.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/clock.h"
#include "runtime/error.h"
#include "scheduler/core.h"
#include "scheduler/simulator_ends.h"
#include "scheduler/teams.h"

enum { PROGRESS_EVERY = 1024, REPORTS = 3 /* as many as a slow rank is known after (pace.h) */ };
static const int64_t reports_after_ns = INT64_C(30000000000);

/* What the workers of a job know. */
typedef struct live_job {
    int attempt;
    int ranks;          /* of the attempt */
    int64_t left_ns;    /* training to be done when the attempt started, less what is being saved */
    int64_t unsaved_ns; /* trained in this attempt, lost if the save is cut off */
    int64_t since_ns;   /* when it began to train in this attempt */
    int64_t start_ns, pending_ns;
    bool waits;
    bool slow; /* its gang has a slow rank */
} live_job;

typedef struct simulator {
    const qd_simulation_config *config;
    qd_simulation *result;
    qd_core *core;
    live_job *live;  /* [trace->count] */
    qd_ends ends;    /* of gangs */
    qd_ends reports; /* when gangs tell of their paces */
    qd_event event;  /* filled in again and again: a fresh one would have to be cleared */
    int64_t now_ns;
    int arrived, ended, waiting;
    int account[QD_TRACE_ACCOUNTS]; /* of the core, for each of the trace */
    int64_t *decision_ns;           /* [decisions] */
    size_t decisions, decision_capacity;
} simulator;

/* Room for one more element; NULL and QD_ENOMEM set when there is none. */
static void *room(void *block, size_t count, size_t *capacity, size_t element_bytes) {
    if (count < *capacity)
        return block;
    size_t wanted = *capacity ? 2 * *capacity : 1024;
    void *fresh = realloc(block, wanted * element_bytes);
    if (!fresh) {
        qd_error_set(QD_ENOMEM, "no memory for a simulation's %zu records", wanted);
        return NULL;
    }
    *capacity = wanted;
    return fresh;
}

/* ---- what is kept for the report ---- */

static int keep_segment(simulator *s, const qd_job_view *view, int first, int count) {
    qd_simulation *r = s->result;
    void *segments = room(r->segments, r->segment_count, &r->segment_capacity, sizeof *r->segments);
    if (!segments)
        return QD_ENOMEM;
    r->segments = segments;
    int job = (int)view->job - 1;
    r->segments[r->segment_count++] =
        (qd_simulated_segment){s->live[job].start_ns, s->now_ns, job, first, count};
    return 0;
}

/* An attempt that ends now, cut into rows of neighbouring ranks. */
static int keep_segments(simulator *s, const qd_job_view *view) {
    int rc = 0;
    for (int i = 0, end; !rc && i < view->rank_count; i = end) {
        for (end = i + 1; end < view->rank_count; end++)
            if (view->ranks[end] != view->ranks[end - 1] + 1)
                break;
        rc = keep_segment(s, view, view->ranks[i], end - i);
    }
    return rc;
}

static int keep_queue_length(simulator *s) {
    qd_simulation *r = s->result;
    if (!s->config->keep_segments)
        return 0;
    void *queue = room(r->queue, r->queue_count, &r->queue_capacity, sizeof *r->queue);
    if (!queue)
        return QD_ENOMEM;
    r->queue = queue;
    r->queue[r->queue_count++] = (qd_queue_sample){s->now_ns, s->waiting};
    return 0;
}

static int keep_decision(simulator *s, int64_t took_ns) {
    void *times = room(s->decision_ns, s->decisions, &s->decision_capacity, sizeof *s->decision_ns);
    if (!times)
        return QD_ENOMEM;
    s->decision_ns = times;
    s->decision_ns[s->decisions++] = took_ns;
    return 0;
}

/* ---- what the workers do when they are told ---- */

static int least_ranks(const simulator *s, int job) {
    return s->config->trace->jobs[job].ranks;
}

/* Time on so many ranks that takes as much work as on others. */
static int64_t on_ranks(int64_t time_ns, int64_t of, int64_t ranks) {
    return of == ranks ? time_ns : (int64_t)((__int128)time_ns * of / ranks);
}

static bool is_slow(const simulator *s, int rank) {
    return rank <= s->config->slow_ranks;
}

static bool has_slow_rank(const simulator *s, const qd_action *start) {
    for (int i = 0; i < start->rank_count; i++)
        if (is_slow(s, start->ranks[i]))
            return true;
    return false;
}

/* So long it takes to train what takes left_ns on ranks that are not slow, and back. */
static int64_t at_pace(const simulator *s, const live_job *live, int64_t left_ns) {
    return live->slow ? (int64_t)((double)left_ns * s->config->slow_factor) : left_ns;
}

static int64_t work_of(const simulator *s, const live_job *live, int64_t trained_ns) {
    return live->slow ? (int64_t)((double)trained_ns / s->config->slow_factor) : trained_ns;
}

static int set_report(simulator *s, int i) {
    const live_job *live = &s->live[i];
    if (!live->slow || live->ranks < 2)
        return 0;
    return qd_ends_set(
        &s->reports,
        (qd_end){.at_ns = live->since_ns + reports_after_ns, .job = i, .attempt = live->attempt});
}

static int start(simulator *s, const qd_action *action) {
    int i = (int)action->job - 1;
    live_job *live = &s->live[i];
    qd_simulated_job *job = &s->result->jobs[i];
    bool waits = live->waits; /* else it goes on, on other ranks */
    int64_t waited = waits ? s->now_ns - live->pending_ns : 0;
    live->attempt = action->attempt;
    live->ranks = action->rank_count;
    live->waits = false;
    live->start_ns = s->now_ns;
    live->since_ns = s->now_ns + (action->attempt > 1 ? s->config->restart_ns : 0);
    job->start_ns = action->attempt == 1 ? s->now_ns : job->start_ns;
    job->wait_ns += waited;
    job->longest_wait_ns = waited > job->longest_wait_ns ? waited : job->longest_wait_ns;
    s->waiting -= waits;
    live->unsaved_ns = 0;
    live->slow = has_slow_rank(s, action);
    int64_t left_ns = at_pace(s, live, on_ranks(live->left_ns, least_ranks(s, i), live->ranks));
    int rc = set_report(s, i);
    return rc ? rc
              : qd_ends_set(&s->ends, (qd_end){.at_ns = live->since_ns + left_ns,
                                               .job = i,
                                               .attempt = action->attempt,
                                               .outcome = QD_OUTCOME_DONE});
}

static int save(simulator *s, const qd_action *action) {
    int i = (int)action->job - 1;
    live_job *live = &s->live[i];
    int64_t trained = work_of(s, live, s->now_ns - live->since_ns);
    live->unsaved_ns = trained > 0 ? on_ranks(trained, live->ranks, least_ranks(s, i)) : 0;
    live->left_ns -= live->unsaved_ns;
    qd_job_view view;
    qd_core_job(s->core, i, &view);
    s->result->jobs[i].preemptions = view.preemptions; /* it may save to grow */
    return qd_ends_set(&s->ends, (qd_end){.at_ns = s->now_ns + s->config->save_ns,
                                          .job = i,
                                          .attempt = action->attempt,
                                          .outcome = QD_OUTCOME_SAVED});
}

/* What was to be saved has to be trained again. */
static int cut_off(simulator *s, const qd_action *action) {
    int i = (int)action->job - 1;
    live_job *live = &s->live[i];
    live->left_ns += live->unsaved_ns;
    live->unsaved_ns = 0;
    return qd_ends_set(&s->ends, (qd_end){.at_ns = s->now_ns,
                                          .job = i,
                                          .attempt = action->attempt,
                                          .outcome = QD_OUTCOME_ABORTED});
}

static void change(simulator *s, const qd_action *action) {
    int i = (int)action->job - 1;
    if (action->state == QD_STATE_PENDING) {
        s->live[i].pending_ns = s->now_ns;
        s->live[i].waits = true;
        s->waiting++;
    } else if (action->state == QD_STATE_CANCELLED) {
        s->waiting--;
        s->result->refused++;
        s->ended++;
    } else if (action->state == QD_STATE_COMPLETED) {
        s->result->jobs[i].end_ns = s->now_ns;
        s->ended++;
    }
}

static int act(simulator *s, const qd_action *action) {
    switch (action->kind) {
    case QD_ACTION_START:
        return start(s, action);
    case QD_ACTION_STOP:
        return save(s, action);
    case QD_ACTION_ABORT:
        return cut_off(s, action);
    case QD_ACTION_JOB_STATE:
        change(s, action);
        return 0;
    default:
        return 0;
    }
}

/* ---- the clock ---- */

static int feed(simulator *s, bool more) {
    qd_action_list actions;
    s->event.time_ns = s->now_ns;
    s->event.more = more;
    s->result->events++;
    int rc = qd_core_handle(s->core, &s->event, &actions);
    for (int i = 0; !rc && i < actions.count; i++)
        rc = act(s, &actions.actions[i]);
    return rc;
}

/* All members of a gang report. */
static int end_gang(simulator *s, const qd_end *end) {
    qd_job_view view;
    qd_simulated_job *job = &s->result->jobs[end->job];
    qd_core_job(s->core, end->job, &view);
    const live_job *live = &s->live[end->job];
    job->held_ns += on_ranks(s->now_ns - live->start_ns, live->ranks, least_ranks(s, end->job));
    int rc = s->config->keep_segments ? keep_segments(s, &view) : 0;
    int count = view.rank_count;
    s->event.kind = QD_EVENT_MEMBER_ENDED;
    s->event.job = view.job;
    s->event.attempt = end->attempt;
    s->event.outcome = end->outcome;
    for (int i = 0; !rc && i < count; i++) {
        s->event.rank = view.ranks[i];
        rc = feed(s, true);
    }
    return rc;
}

/* All members of a gang tell how long a step keeps them busy. */
static int report(simulator *s, const qd_end *when) {
    qd_job_view view;
    qd_core_job(s->core, when->job, &view);
    if (view.state != QD_STATE_RUNNING || view.attempt != when->attempt)
        return 0;
    int rc = 0;
    s->event.kind = QD_EVENT_RANK_TIME;
    s->event.job = view.job;
    s->event.attempt = view.attempt;
    for (int i = 0; !rc && i < REPORTS * view.rank_count + view.rank_count; i++) {
        s->event.rank = view.ranks[i % view.rank_count];
        double factor = is_slow(s, s->event.rank) ? s->config->slow_factor : 1;
        s->event.busy_ns = (int64_t)(1e9 * factor);
        rc = feed(s, true);
    }
    return rc;
}

static int arrive(simulator *s) {
    const qd_trace_job *job = &s->config->trace->jobs[s->arrived];
    s->live[s->arrived].left_ns = job->duration_ns;
    s->arrived++;
    s->event.kind = QD_EVENT_SUBMIT;
    s->event.submit.job = s->arrived;
    s->event.submit.ranks_min = job->ranks;
    s->event.submit.ranks_max = job->ranks_max > job->ranks ? job->ranks_max : job->ranks;
    s->event.submit.importance = job->importance;
    s->event.submit.account = s->account[job->account];
    /* 0 would stand for unknown. */
    s->event.submit.estimate_ns = job->duration_ns > 0 ? job->duration_ns : 1;
    return feed(s, true);
}

/* Up to now. */
static void count_free(simulator *s, int64_t from_ns) {
    qd_free_view view = qd_core_free(s->core);
    double passed_s = (double)(s->now_ns - from_ns) * 1e-9;
    s->result->free_rank_s += view.free * passed_s;
    s->result->broken_rank_s += s->config->island_ranks > 0 ? view.broken * passed_s : 0;
}

/* All that happens at now_ns, then the decision. */
static int instant(simulator *s) {
    const qd_trace *trace = s->config->trace;
    int rc = 0;
    for (qd_end end; !rc && qd_ends_pop(&s->ends, s->now_ns, &end);)
        rc = end_gang(s, &end);
    while (!rc && s->arrived < trace->count && trace->jobs[s->arrived].submit_ns == s->now_ns)
        rc = arrive(s);
    for (qd_end when; !rc && qd_ends_pop(&s->reports, s->now_ns, &when);)
        rc = report(s, &when);
    if (rc)
        return rc;
    int64_t from = s->config->time_decisions ? qd_clock_now_ns() : 0;
    s->event.kind = QD_EVENT_TIME;
    rc = feed(s, false);
    if (!rc && s->config->time_decisions)
        rc = keep_decision(s, qd_clock_now_ns() - from);
    return rc ? rc : keep_queue_length(s);
}

static int64_t next_instant(const simulator *s) {
    const qd_trace *trace = s->config->trace;
    int64_t next = qd_core_wake_ns(s->core);
    int64_t end = qd_ends_first_ns(&s->ends);
    if (next < s->now_ns)
        next = s->now_ns;
    if (end < next)
        next = end;
    if (qd_ends_first_ns(&s->reports) < next)
        next = qd_ends_first_ns(&s->reports);
    if (s->arrived < trace->count && trace->jobs[s->arrived].submit_ns < next)
        next = trace->jobs[s->arrived].submit_ns;
    return next;
}

static int bring_workers(simulator *s) {
    int rc = 0;
    s->event.kind = QD_EVENT_WORKER_READY;
    for (int rank = 1; !rc && rank <= s->config->ranks; rank++) {
        int island = s->config->island_ranks > 0 ? (rank - 1) / s->config->island_ranks : 0;
        s->event.rank = rank;
        s->event.place = (qd_place){.host = island + 1, .island = 1};
        rc = feed(s, true);
    }
    return rc;
}

static int reserve(simulator *s) {
    int rc = 0;
    s->event.kind = QD_EVENT_RESERVE;
    for (int i = 0; !rc && i < s->config->reservation_count; i++) {
        s->event.reserve = s->config->reservations[i];
        rc = feed(s, true);
    }
    return rc;
}

/* Those of the teams' names; where there are no teams, all accounts are alike. A trace without
 * accounts is the first one's. */
static int find_accounts(simulator *s) {
    const qd_trace *trace = s->config->trace;
    const qd_scheduling *scheduling = s->config->scheduling;
    for (int i = 0; i < trace->account_count; i++) {
        s->account[i] =
            scheduling->team_count > 0 ? qd_teams_find(scheduling, trace->accounts[i]) : i;
        if (s->account[i] < 0)
            return qd_error_context(s->account[i], "%s: account", trace->name);
    }
    if (trace->account_count == 0)
        s->account[0] = qd_teams_first(scheduling);
    return 0;
}

static int run(simulator *s) {
    const qd_trace *trace = s->config->trace;
    s->now_ns = trace->jobs[0].submit_ns;
    int rc = bring_workers(s);
    if (!rc)
        rc = reserve(s);
    for (int64_t told = 0; !rc && s->ended < trace->count; told++) {
        int64_t from_ns = s->now_ns;
        s->now_ns = next_instant(s);
        if (s->now_ns == INT64_MAX)
            return qd_error_set(QD_EINTERNAL, "the simulation came to rest with %d of %d jobs left",
                                trace->count - s->ended, trace->count);
        count_free(s, from_ns);
        rc = instant(s);
        if (s->config->progress && told % PROGRESS_EVERY == 0)
            s->config->progress(s->config->context, s->ended);
    }
    return rc;
}

static int compare_times(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void sum_up_decisions(simulator *s) {
    if (s->decisions == 0)
        return;
    qsort(s->decision_ns, s->decisions, sizeof *s->decision_ns, compare_times);
    s->result->decision_p50_s = (double)s->decision_ns[s->decisions / 2] * 1e-9;
    s->result->decision_p99_s = (double)s->decision_ns[s->decisions * 99 / 100] * 1e-9;
    s->result->decision_max_s = (double)s->decision_ns[s->decisions - 1] * 1e-9;
}

int qd_simulate(const qd_simulation_config *config, qd_simulation *out) {
    qd_simulation result = {.job_count = config->trace->count};
    simulator s = {.config = config, .result = &result};
    size_t jobs = (size_t)config->trace->count;
    int64_t from = qd_clock_now_ns();
    result.jobs = calloc(jobs, sizeof *result.jobs);
    s.live = calloc(jobs, sizeof *s.live);
    int rc = result.jobs && s.live ? qd_ends_init(&s.ends, config->trace->count) : QD_ENOMEM;
    if (!rc)
        rc = qd_ends_init(&s.reports, config->trace->count);
    if (rc)
        rc = qd_error_set(QD_ENOMEM, "no memory to simulate %zu jobs", jobs);
    for (size_t i = 0; !rc && i < jobs; i++)
        result.jobs[i].start_ns = result.jobs[i].end_ns = -1;
    if (!rc)
        rc = find_accounts(&s);
    if (!rc)
        rc = qd_core_create(config->ranks, config->scheduling, &s.core);
    if (!rc)
        rc = run(&s);
    sum_up_decisions(&s);
    result.seconds = (double)(qd_clock_now_ns() - from) * 1e-9;
    qd_core_destroy(s.core);
    qd_ends_fini(&s.ends);
    qd_ends_fini(&s.reports);
    free(s.live);
    free(s.decision_ns);
    if (rc)
        qd_simulation_fini(&result);
    else
        *out = result;
    return rc;
}

void qd_simulation_fini(qd_simulation *simulation) {
    free(simulation->jobs);
    free(simulation->segments);
    free(simulation->queue);
    *simulation = (qd_simulation){0};
}
