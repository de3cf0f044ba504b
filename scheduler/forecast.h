/*
 * forecast.h: when each pending job is predicted to start, if all goes as predicted and nobody
 * comes: the whole queue placed, in order, on a copy of what is known of the running jobs. No two
 * of the starts contradict each other. Of choosy jobs (together.h) only the head's is known, and of
 * those behind another one none. Under EASY, whose later jobs have no place of their own, it
 * is what conservative backfill would give them: they may start earlier.
 *
 * For those who ask (why, what-if, a display); no decision hangs on it. O(n log n).
 */
#ifndef QD_SCHEDULER_FORECAST_H
#define QD_SCHEDULER_FORECAST_H

#include "scheduler/core.h"

typedef struct qd_forecast_entry {
    int64_t job;
    int64_t start_ns; /* INT64_MAX: nobody knows, since an end before it is unknown, or the policy
                         is blind to run times */
} qd_forecast_entry;

typedef struct qd_forecast {
    qd_forecast_entry *entries; /* [count], in the order of the queue */
    int count;
} qd_forecast;

/* As of the last event. QD_ENOMEM. Owner of *forecast: the caller (fini). */
int qd_forecast_create(const qd_core *core, qd_forecast *forecast);
void qd_forecast_fini(qd_forecast *forecast);

#endif
