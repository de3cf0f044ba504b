#include "scheduler/policy.h"

const qd_policy qd_policy_easy = {
    .name = "easy",
    .summary = "first come, first served, with EASY backfill: the head is never delayed",
    .key = qd_key_arrival,
    .decide = qd_decide_easy,
    .passing = QD_PASSING_HARMLESS,
    .wake_ns = qd_wake_overdue_ns,
};
