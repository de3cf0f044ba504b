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
    int64_t serial; /* set by qd_ends_set */
} qd_end;

typedef struct qd_ends {
    qd_end *heap;
    int64_t *newest; /* [jobs]: serial number of the end that holds; others in the heap do not */
    int64_t pushed;  /* so many so far */
    int count, capacity;
} qd_ends;

/* QD_ENOMEM; fini accepts zeros. */
int qd_ends_init(qd_ends *ends, int jobs);
void qd_ends_fini(qd_ends *ends);

/* The job ends then and so, whatever was set before. QD_ENOMEM. */
int qd_ends_set(qd_ends *ends, qd_end end);

/* Time of the first end; INT64_MAX. */
int64_t qd_ends_first_ns(const qd_ends *ends);

/* Takes the first end if it is at now_ns or before. */
bool qd_ends_pop(qd_ends *ends, int64_t now_ns, qd_end *end);

#endif
