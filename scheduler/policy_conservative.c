#include "scheduler/policy.h"

const qd_policy qd_policy_conservative = {
    .name = "conservative",
    .summary = "first come, first served, with conservative backfill: nobody is delayed",
    .key = qd_key_arrival,
    .decide = qd_decide_conservative,
    .passing = QD_PASSING_HARMLESS,
    .plans = true,
    .wake_ns = qd_wake_conservative_ns,
};
