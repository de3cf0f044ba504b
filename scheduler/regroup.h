/*
 * regroup.h: what becomes of a gang that lost a rank. That is no fault of the job's: it waits
 * again, with its age, and goes on from what it had saved; unless that has happened three times
 * since it last saved a new step, so that a job that kills its workers comes to an end.
 *
 * The ranks that are left to it are let go together, once all members have answered: until then
 * they are KEPT, and nobody is let in one by one. One that had made a step is then owed ranks for
 * scheduler.spare_wait_s: it comes first in the queue, so that what becomes free goes to it and
 * others get only what does not delay it; after that it waits as others do. So for each rank that
 * is lost, which happens once, nobody waits longer than that.
 *
 * Policies that go by arrival have the order already; sjf stays with its own. Under multifactor,
 * who is more important is not passed. Under attained, it has a claim (of jobs that take any
 * ranks).
 */
#ifndef QD_SCHEDULER_REGROUP_H
#define QD_SCHEDULER_REGROUP_H

#include "scheduler/core.h"
#include "scheduler/jobs.h"

/* Whether a job that holds ranks, and whose gang fails for a lost rank, comes back. */
bool qd_regroup_may(const qd_core *core, const qd_job_record *job);

/* A member of a running gang is the first to fail, for a lost rank: the ranks of the others are
 * kept together. */
void qd_regroup_keep(qd_core *core, qd_job_record *job);

/* All members have ended: the ranks are everybody's, if they were kept. */
void qd_regroup_let_go(qd_core *core, qd_job_record *job);

/* Just before it waits again: it is owed ranks. */
void qd_regroup_owe(const qd_core *core, qd_job_record *job);

/* Of a job that waits. */
bool qd_is_owed(const qd_core *core, const qd_job_record *job);

/* Where such a job comes in the queue: behind claims (preemption.h), before all others, by class.
 */
int64_t qd_owed_key(const qd_job_record *job);

#endif
