/*
 * core_kit.h: events in one line and actions as text, for tests of the core. Time goes on by one
 * with each event; the core and what the last event led to are in `kit`.
 */
#ifndef QD_TEST_SCHEDULER_CORE_KIT_H
#define QD_TEST_SCHEDULER_CORE_KIT_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/text.h"
#include "scheduler/actions.h"
#include "scheduler/core.h"
#include "scheduler/forecast.h"
#include "scheduling_of.h"

static struct {
    qd_core *core;
    int64_t time_ns;
    qd_text text; /* one line for each action */
} kit;

static inline void kit_open(int worker_ranks) {
    ck_assert_int_eq(qd_core_create(worker_ranks, scheduling_of("fifo"), &kit.core), 0);
}

/* Under other settings than the defaults of fifo; all workers there. */
static inline void kit_open_policy(int worker_ranks, const qd_scheduling *scheduling) {
    ck_assert_int_eq(qd_core_create(worker_ranks, scheduling, &kit.core), 0);
    for (int rank = 1; rank <= worker_ranks; rank++) {
        qd_event event = {.kind = QD_EVENT_WORKER_READY, .rank = rank, .more = true};
        qd_action_list list;
        ck_assert_int_eq(qd_core_handle(kit.core, &event, &list), 0);
    }
}

static inline void kit_close(void) {
    qd_core_destroy(kit.core);
    qd_text_fini(&kit.text);
    memset(&kit, 0, sizeof kit);
}

static inline int kit_try(qd_event event) {
    qd_action_list list;
    event.time_ns = ++kit.time_ns;
    int rc = qd_core_handle(kit.core, &event, &list);
    kit.text.length = 0;
    qd_text_add(&kit.text, "%s", "");
    for (int i = 0; !rc && i < list.count; i++) {
        qd_action_format(&list.actions[i], &kit.text);
        qd_text_add(&kit.text, "\n");
    }
    return rc;
}

static inline void kit_feed(qd_event event) {
    int rc = kit_try(event);
    ck_assert_msg(rc == 0, "%s: %s", qd_event_names[event.kind], qd_error_message());
}

/* Refused, and nothing changed but the test's own clock. */
static inline void kit_refused(qd_event event, const char *message) {
    uint64_t before = qd_core_digest(kit.core);
    ck_assert_int_eq(kit_try(event), QD_EPROTO);
    ck_assert_str_eq(qd_error_message(), message);
    ck_assert_uint_eq(qd_core_digest(kit.core), before);
}

/* The last event led to exactly these actions; one line each. */
#define expect(lines) ck_assert_str_eq(kit.text.bytes, lines)

static inline qd_event with_text(qd_event event, const char *text) {
    snprintf(event.text, sizeof event.text, "%s", text);
    return event;
}

static inline qd_event ready(int rank) {
    return (qd_event){.kind = QD_EVENT_WORKER_READY, .rank = rank};
}

static inline qd_event lost(int rank, const char *why) {
    return with_text((qd_event){.kind = QD_EVENT_WORKER_LOST, .rank = rank}, why);
}

static inline qd_event submit(int64_t job, int ranks_min, int ranks_max) {
    qd_event event = {.kind = QD_EVENT_SUBMIT};
    event.submit = (qd_submission){.job = job, .ranks_min = ranks_min, .ranks_max = ranks_max};
    snprintf(event.submit.name, sizeof event.submit.name, "job-%lld", (long long)job);
    return event;
}

static inline qd_event closed(void) {
    return (qd_event){.kind = QD_EVENT_CLOSED};
}

static inline qd_event drain(const char *why) {
    return with_text((qd_event){.kind = QD_EVENT_DRAIN}, why);
}

static inline qd_event cancel(int64_t job, const char *why) {
    return with_text((qd_event){.kind = QD_EVENT_CANCEL, .job = job}, why);
}

/* Of attempt 1. */
static inline qd_event ended(int64_t job, int rank, qd_outcome outcome) {
    return (qd_event){
        .kind = QD_EVENT_MEMBER_ENDED, .job = job, .attempt = 1, .rank = rank, .outcome = outcome};
}

static inline qd_event failed(int64_t job, int rank, int exit_code, const char *why) {
    qd_event event = with_text(ended(job, rank, QD_OUTCOME_FAILED), why);
    event.exit_code = exit_code;
    return event;
}

/* The next event comes at that second. */
static inline void kit_at(double seconds) {
    kit.time_ns = (int64_t)(seconds * 1e9) - 1;
}

static inline qd_event now(void) {
    return (qd_event){.kind = QD_EVENT_TIME};
}

/* A rigid job with an estimate. */
static inline qd_event estimated(int64_t job, int ranks, double estimate_s) {
    qd_event event = submit(job, ranks, ranks);
    event.submit.estimate_ns = (int64_t)(estimate_s * 1e9);
    return event;
}

/* For whoever names it. */
static inline qd_event reserve(int64_t number, int ranks, double from_s, double until_s) {
    qd_event event = {.kind = QD_EVENT_RESERVE};
    event.reserve = (qd_reservation){.number = number,
                                     .ranks = ranks,
                                     .account = -1,
                                     .from_ns = (int64_t)(from_s * 1e9),
                                     .until_ns = (int64_t)(until_s * 1e9)};
    snprintf(event.reserve.name, sizeof event.reserve.name, "r%lld", (long long)number);
    return event;
}

/* A core whose workers are all ready. */
static inline void kit_open_ready(int worker_ranks) {
    kit_open(worker_ranks);
    for (int rank = 1; rank <= worker_ranks; rank++)
        kit_feed(ready(rank));
}

static inline qd_job_view kit_job(int64_t job) {
    qd_job_view view;
    for (int i = 0; i < qd_core_job_count(kit.core); i++) {
        qd_core_job(kit.core, i, &view);
        if (view.job == job)
            return view;
    }
    ck_abort_msg("job %lld is not in the core", (long long)job);
    return (qd_job_view){0};
}

/* All members of the job's newest attempt end as told, and one decision follows. */
static inline void kit_end(int64_t job, qd_outcome outcome) {
    qd_job_view view = kit_job(job);
    int count = view.rank_count;
    int64_t at = kit.time_ns;
    for (int i = 0; i < count; i++) {
        qd_event event = ended(job, view.ranks[i], outcome);
        event.attempt = view.attempt;
        event.more = i < count - 1;
        kit.time_ns = at;
        kit_feed(event);
    }
}

#define expect_state(job, expected) ck_assert_int_eq(kit_job(job).state, expected)

static inline void feed_at(double seconds, qd_event event) {
    kit_at(seconds);
    kit_feed(event);
}

/* All members of a job's gang. */
static inline void end_at(double seconds, int64_t job, qd_outcome outcome) {
    kit_at(seconds);
    kit_end(job, outcome);
}

/* When a pending job is predicted to start, in seconds (whole us); -1: nobody knows; -2: it is not
 * in the queue. */
static inline double kit_start_s(int64_t job) {
    qd_forecast forecast;
    double start_s = -2;
    ck_assert_int_eq(qd_forecast_create(kit.core, &forecast), 0);
    for (int i = 0; i < forecast.count; i++)
        if (forecast.entries[i].job == job)
            start_s = forecast.entries[i].start_ns == INT64_MAX
                          ? -1
                          : (double)(forecast.entries[i].start_ns / 1000) / 1e6;
    qd_forecast_fini(&forecast);
    return start_s;
}

/* How many of up to 16 ranks could start a job now, asked of copies. */
static inline int kit_free_ranks(void) {
    int ranks = 0;
    for (int wanted = 1; wanted <= 16; wanted++) {
        qd_core *copy;
        qd_action_list list;
        qd_job_view view;
        qd_event event = submit(1000, wanted, wanted);
        event.time_ns = kit.time_ns;
        ck_assert_int_eq(qd_core_copy(kit.core, &copy), 0);
        ck_assert_int_eq(qd_core_handle(copy, &event, &list), 0);
        qd_core_job(copy, qd_core_job_count(copy) - 1, &view);
        ranks = view.state == QD_STATE_RUNNING ? wanted : ranks;
        qd_core_destroy(copy);
    }
    return ranks;
}

static inline qd_event drain_rank(int rank) {
    return (qd_event){.kind = QD_EVENT_RANK_DRAIN, .rank = rank};
}

static inline qd_event resume_rank(int rank) {
    return (qd_event){.kind = QD_EVENT_RANK_RESUME, .rank = rank};
}

#endif
