/* First come, first served, by gangs. Since nothing passes the head, no job waits for ever; the
 * price is ranks that idle before a wide head (backfill is what cures that). */
#include "scheduler/policy.h"

int64_t qd_key_arrival(const qd_core *core, const qd_job_record *job) {
    (void)core;
    return job->job;
}

const qd_policy qd_policy_fifo = {
    .name = "fifo",
    .summary = "first come, first served; nothing passes the head",
    .key = qd_key_arrival,
    .decide = qd_decide_in_order,
    .passing = QD_PASSING_NONE,
};
