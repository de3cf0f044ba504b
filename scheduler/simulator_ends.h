/*
 * simulator_ends.h: when the gangs of a simulation will end: a binary heap by (time, job), with one
 * end for each job at most. O(log n) each.
 */
#ifndef QD_SCHEDULER_SIMULATOR_ENDS_H
#define QD_SCHEDULER_SIMULATOR_ENDS_H

#include <stdbool.h>
#include <stdint.h>

#include "scheduler/core.h"

typedef struct qd_end {
    int64_t at_ns;
    int job; /* from 0 */
    int attempt;
    qd_outcome outcome;
} qd_end;

typedef struct qd_ends {
    qd_end *heap;
    int *cancelled; /* [jobs]: attempts up to this one end otherwise than was pushed first */
    int count, capacity;
} qd_ends;

/* QD_ENOMEM; fini accepts zeros. */
int qd_ends_init(qd_ends *ends, int jobs);
void qd_ends_fini(qd_ends *ends);

/* QD_ENOMEM. */
int qd_ends_push(qd_ends *ends, qd_end end);

/* The end of this attempt that was pushed as DONE will not come. */
void qd_ends_cancel(qd_ends *ends, int job, int attempt);

/* Time of the first end; INT64_MAX. */
int64_t qd_ends_first_ns(const qd_ends *ends);

/* Takes the first end if it is at now_ns or before. */
bool qd_ends_pop(qd_ends *ends, int64_t now_ns, qd_end *end);

#endif
