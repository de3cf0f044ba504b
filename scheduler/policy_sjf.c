/* Shortest first, by predicted run time; nothing passes the head. Lowest mean wait where run times
 * are known, and a long job may wait for ever. */
#include "scheduler/policy.h"
#include "scheduler/prediction.h"

static int64_t key(const qd_core *core, const qd_job_record *job) {
    (void)core;
    return qd_predicted_run_ns(job);
}

const qd_policy qd_policy_sjf = {
    .name = "sjf",
    .summary = "shortest predicted run first; nothing passes the head",
    .key = key,
    .decide = qd_decide_in_order,
    .passing = QD_PASSING_NONE,
};
