/*
 * singleton.h: jobs that run one at a time: `after: singleton`, as in Slurm (sbatch --dependency).
 * Such a job waits for every job of its name and account that runs, and for those submitted before
 * it that wait; it is no matter whether they are singletons, too. Nothing is kept before the first
 * one comes. O(log n) for each job that is submitted, starts or ends from then on.
 */
#ifndef QD_SCHEDULER_SINGLETON_H
#define QD_SCHEDULER_SINGLETON_H

#include <stdbool.h>

#include "scheduler/jobs.h"

typedef struct qd_names {
    qd_tree jobs; /* that have not ended, by account and name; of one name: those that run first */
    bool kept;    /* there was a singleton */
} qd_names;

void qd_names_init(qd_names *names);

/* A new job, PENDING; one that comes from another core. */
void qd_singleton_add(qd_core *core, qd_job_record *job);
void qd_singleton_take_over(qd_core *core, qd_job_record *job);

/* Its state is about to change, or has: it may run now, wait again, or have ended. */
void qd_singleton_leave(qd_core *core, qd_job_record *job);
void qd_singleton_return(qd_core *core, qd_job_record *job);

/* Whom a pending singleton waits for first; NULL: nobody, or it is none. */
const qd_job_record *qd_singleton_waits_for(const qd_core *core, const qd_job_record *job);

/* A job has started: a singleton of its name leaves the queue. */
void qd_singleton_started(qd_core *core, const qd_job_record *job);

/* A job has ended or waits again: another of its name may be let in. */
void qd_singleton_settle(qd_core *core, const qd_job_record *job);

/* Of the jobs of that name, in order: the first, and the one behind job, which is in the tree.
 * NULL: there is none. */
const qd_job_record *qd_singleton_first(const qd_core *core, const qd_job_record *job);
const qd_job_record *qd_singleton_next(const qd_core *core, const qd_job_record *job);

#endif
