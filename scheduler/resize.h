/*
 * resize.h: which ranks a job takes along from one attempt to the next, when it becomes wider or
 * narrower without waiting in the queue. When that happens, and to whom, is said elsewhere
 * (lifecycle.c; elastic.h, preemption.h).
 *
 * The ranks it goes on with are marked as kept when the job is told to save: those that it keeps of
 * its own become KEPT, not free, when their members end; those that it gets are KEPT at once. So
 * each rank is counted once, serves nobody in between, and is never another job's.
 */
#ifndef QD_SCHEDULER_RESIZE_H
#define QD_SCHEDULER_RESIZE_H

#include "scheduler/core.h"
#include "scheduler/jobs.h"

/* The widest gang the job can have of so many ranks: its least ranks and whole steps, no more than
 * its most; 0: they are too few. */
int qd_resize_widest(const qd_job_record *job, int64_t ranks);

/* Whether a job can be told to save and go on, as wide, on other ranks: it runs, on all of its
 * gang, in no reservation, gives its ranks back, and has made a step if it tells of them. */
bool qd_resize_may_move(const qd_job_record *job);

/* A RUNNING job is to go on with so many ranks: its own in service, the first of the gang, and
 * if it has fewer, free ones, where it is if it demands a place. What it gives back is left in
 * planned_ranks. */
void qd_resize_keep(qd_core *core, qd_job_record *job, int ranks);

/* It is to go on with these ranks instead, as many as it has. */
void qd_resize_keep_these(qd_core *core, qd_job_record *job, const int *ranks);

/* The kept ranks, in the order of a gang, into ranks; returns how many. */
int qd_resize_kept(qd_core *core, const qd_job_record *job, int *ranks);

/* One of them is lost or drained. */
void qd_resize_rank_gone(qd_core *core, int rank);

/* All members have ended: the ranks of the next attempt are put into job->ranks, those beyond a
 * valid gang given back. Returns how many; 0: too few are left, and all are given back. */
int qd_resize_take(qd_core *core, qd_job_record *job);

/* It does not go on: what was kept is given back, now or when its members end. Of any job. */
void qd_resize_give_up(qd_core *core, qd_job_record *job);

#endif
