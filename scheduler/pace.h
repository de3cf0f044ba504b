/*
 * pace.h: how fast each rank is, as against the others of its gang. A gang is as slow as its
 * slowest member; which one that is shows in the time that each is busy in a step, waiting for
 * others left out (RANK_TIME).
 *
 * A rank is slow once it has been busy for more than scheduler.swap.ratio times as long as at least
 * half of its gang, three reports in a row; and no longer once it was below half of that excess
 * three times in a row. (That is a comparison with the median, of two members with the faster one.
 * Three in a row, and two bounds, so that one page fault or one neighbour's burst moves nobody.) It
 * stays slow when its gang has ended: of idle ranks, too, it is known.
 */
#ifndef QD_SCHEDULER_PACE_H
#define QD_SCHEDULER_PACE_H

#include "scheduler/core.h"
#include "scheduler/jobs.h"

typedef struct qd_pace {
    int64_t busy_ns; /* in a step, as told last by the attempt that it serves; 0: not yet */
    int against;     /* reports in a row that speak against what it is taken for */
    bool slow;
} qd_pace;

/* An attempt has begun: its members have told nothing yet. */
void qd_pace_begin(qd_core *core, const qd_job_record *job);

/* A member of the job's newest attempt says how long it is busy in a step. O(gang). */
void qd_pace_note(qd_core *core, const qd_job_record *job, int rank, int64_t busy_ns);

#endif
