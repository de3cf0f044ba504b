/*
 * gates.h: what keeps a pending job from being considered at all, whatever ranks are free: a hold,
 * a begin time, jobs it comes after, others of its name (singleton.h), drained ranks, the throttle
 * of its array, the reservation it belongs to, the limits of its account. Such a job is not in the
 * queue: it claims nothing of the
 * future, does not age and costs nothing until its gate opens.
 *
 * A job that comes after others is told of their ends: one that cannot come true any more ends it
 * at once. Whether they are met follows Flux: any by every end, ok by COMPLETED, notok by every
 * other end of a job that has run.
 */
#ifndef QD_SCHEDULER_GATES_H
#define QD_SCHEDULER_GATES_H

#include "scheduler/core.h"
#include "scheduler/jobs.h"

/* Checks `after` of a submission and finds the jobs it names. QD_EPROTO: not "KIND:JOB,..." with
 * kinds any, ok, notok, or "singleton", and at most QD_AFTER_MOST, of jobs that were submitted. */
int qd_gates_check(const qd_job_table *jobs, const qd_submission *submission);

/* Ties a new job to those it comes after and to its array. */
void qd_gates_tie(qd_core *core, qd_job_record *job);

/* The strongest gate that is closed for a pending job. At the last, that of its account, others may
 * leave the queue for it (limits.h). */
qd_gate qd_gates_of(const qd_core *core, const qd_job_record *job);

/* The jobs that a pending one comes after and that have not ended; returns how many. */
int qd_gates_waits_for(const qd_core *core, const qd_job_record *job,
                       const qd_job_record *others[QD_AFTER_MOST]);

/* Notes which gate keeps a pending job now, with its place in its array. */
void qd_gates_set(qd_core *core, qd_job_record *job, qd_gate gate);

/* Notes that a job has ended for good, and tells all who wait for such ends. */
void qd_gates_note_end(qd_core *core, qd_job_record *job);
void qd_gates_settle(qd_core *core);

#endif
