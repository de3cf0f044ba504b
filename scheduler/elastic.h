/*
 * elastic.h: when a running job becomes wider or narrower, other than to make room (preemption.h).
 * What that means to its ranks is said in resize.h.
 *
 * Growing (scheduler.grow): after each decision, ranks that are idle and unclaimed go to running
 * jobs, the most important and then the earliest first, each as many whole steps as it can have;
 * and a job that starts when nobody else waits starts that wide. So that no save and restart is
 * paid for nothing, a job grows only
 *   - if it is then predicted to end earlier by more than twice what a save and a restart take,
 *   - not before it has run for min_run_s and, if it tells of its steps, has made one,
 *   - if it may be told to save at all (request.preemptible),
 *   - if no reservation is promised the new ranks before it ends (reservations.h),
 *   - if it ends no later even should the save take all of its grace, and who waits first still
 *     starts when it was predicted to (EASY's rule, with the growing job as the one that passes),
 *     and no plan is in the way. Under a policy that is blind to run times, where somebody waits
 *     for ranks that are together (together.h), and where teams have quotas: if nobody waits,
 *   - as far as its teams may hold more (limits.h), own more, or may borrow (quotas.h): what they
 *     borrow so is called back first, before anybody has to wait.
 * A job in a reservation does not grow. One that demands a place (together.h) grows into the ranks
 * of the place where it is.
 */
#ifndef QD_SCHEDULER_ELASTIC_H
#define QD_SCHEDULER_ELASTIC_H

#include "scheduler/core.h"
#include "scheduler/jobs.h"

/* A RUNNING job is to run on so many ranks, a size that it may have: narrower at once; wider at
 * once as far as ranks are idle that nobody waits for. It does not grow beyond that by itself. */
void qd_elastic_resize(qd_core *core, qd_job_record *job, int ranks, const char *text);

/* Has running jobs grow. Called when all starts have been decided. */
void qd_elastic_grow(qd_core *core);

/* With how many ranks a pending job that was to start with so many should: no more than it has room
 * for beside reservations. */
int qd_elastic_start_ranks(qd_core *core, const qd_job_record *job, int ranks);

#endif
