/*
 * utilization.h: the account of a rank's time: one JSON line for each interval, appended to
 * RUN/rank-<rank>.jsonl. A span clock (runtime/span.h) tells the shares; the wall time beside them
 * is measured on its own, so that a reader can check that nothing is missing.
 *
 *   {"time", "job", "attempt", "rank", "host", "step", "steps", "wall_s", "compute_s",
 *    "communication_s", "pipeline_s", "data_s", "checkpoint_s", "idle_s", "samples_per_s", "loss",
 *    "memory_bytes", "peak_memory_bytes", "arena_bytes"}
 *
 * Calls come from the thread whose time it is.
 */
#ifndef QD_WORKER_UTILIZATION_H
#define QD_WORKER_UTILIZATION_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/span.h"

typedef struct qd_utilization qd_utilization;

/* Whose time it is. Texts are copied. */
typedef struct qd_utilization_config {
    const char *run_folder; /* exists */
    const char *job;
    int attempt;
    int rank; /* in the world */
    const char *host;
    size_t arena_bytes;
    /* qd_clock_now_ns() beside qd_span_start of the clock that write will be given: the first
     * interval begins there, so that setting up is accounted for, too. */
    int64_t started_ns;
} qd_utilization_config;

/* Opens the file for appending; an earlier attempt's lines stay. QD_EIO, QD_ENOMEM;
 * QD_EINTERNAL when started_ns is not set. */
int qd_utilization_create(const qd_utilization_config *config, qd_utilization **utilization);
void qd_utilization_destroy(qd_utilization *utilization);

/*
 * Ends an interval: takes the clock's totals and writes the line. step: steps done so far; steps
 * and samples: done in this interval, samples by this rank alone, so that the samples_per_s of a
 * gang add up; loss: of the last step (null when not finite). memory_bytes is the process's
 * resident set now, peak_memory_bytes the most it has been in this attempt. QD_ENOMEM; QD_EIO, with
 * the line kept for the next write (runtime/line_log.h). The interval ends all the same.
 */
int qd_utilization_write(qd_utilization *utilization, qd_span_clock *clock, int64_t step,
                         int64_t steps, int64_t samples, float loss);

#endif
