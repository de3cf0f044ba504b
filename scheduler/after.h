/*
 * after.h: what a job file says of the jobs that its job comes after (request.after), by their
 * names, as the core takes it (gates.h), by their numbers.
 */
#ifndef QD_SCHEDULER_AFTER_H
#define QD_SCHEDULER_AFTER_H

#include "models/job.h"
#include "scheduler/core.h"

/* Of jobs[number - 1], into after; jobs are numbered from 1, in order. Untouched on error.
 * QD_ECONFIG: not "none" or "KIND:NAME,..." with kinds any, ok, notok, at most QD_AFTER_MOST, and
 * names of jobs before it. */
int qd_after_of_job(const qd_job *jobs, int number, char after[QD_AFTER_BYTES]);

#endif
