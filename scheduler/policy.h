/*
 * policy.h: the table of policies: which pending jobs start now, and with how many ranks. A policy
 * only reads; which ranks they are is the placement's business (placement.h), starting them the
 * core's. A new policy is one file and one row in policy.c.
 */
#ifndef QD_SCHEDULER_POLICY_H
#define QD_SCHEDULER_POLICY_H

#include "scheduler/core.h"
#include "scheduler/jobs.h"
#include "scheduler/ranks.h"

/* A pending job that is to start now, with so many ranks. */
typedef struct qd_grant {
    int64_t job;
    int ranks;
} qd_grant;

struct qd_policy {
    const char *name;
    const char *summary; /* one line, for people */

    /*
     * Fills grants (room for ranks->count of them) in the order of the starts and returns how many
     * there are. Each job within its bounds, all of them together within the free ranks. A pure
     * function of the two tables: replay depends on it.
     */
    int (*grant)(const qd_job_table *jobs, const qd_rank_table *ranks, qd_grant *grants);
};

/* First come, first served, nothing passes; spare ranks are dealt round robin (policy_fifo.c). */
extern const qd_policy qd_policy_fifo;

/* The names of all policies, in the order of the table, with NULL behind: for messages and for the
 * choices of a cluster file. */
extern const char *const qd_policy_names[];

/* The policy of that name. NULL when there is none; the error says which there are. */
const qd_policy *qd_policy_by_name(const char *name);

#endif
