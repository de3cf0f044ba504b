/*
 * moves.h: pending jobs whose place in the queue changes by itself at a known time: one whose
 * deadline comes into sight, one that has waited for long enough to be promoted. O(log n) each.
 */
#ifndef QD_SCHEDULER_MOVES_H
#define QD_SCHEDULER_MOVES_H

#include "scheduler/jobs.h"

typedef struct qd_moves {
    qd_tree tree; /* by time, then job number */
} qd_moves;

void qd_moves_init(qd_moves *moves);

/* Replaces the time that was set before, if one was; QD_NEVER: none. */
void qd_moves_set(qd_moves *moves, qd_job_record *job, int64_t at_ns);

/* The one whose time comes first; NULL. */
qd_job_record *qd_moves_first(const qd_moves *moves);

/* Its time; QD_NEVER. */
int64_t qd_moves_first_ns(const qd_moves *moves);

#endif
