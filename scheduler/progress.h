/*
 * progress.h: what a job tells of its steps: how many it has made and saved, and how long one
 * takes. Predictions go by it (prediction.h), and so does who makes room (preemption.h): who has
 * saved nothing new is left alone.
 */
#ifndef QD_SCHEDULER_PROGRESS_H
#define QD_SCHEDULER_PROGRESS_H

#include "scheduler/jobs.h"

/* An attempt has begun; it has told nothing yet. */
void qd_progress_begin(qd_job_record *job, int64_t now_ns);

/* Its newest attempt says how far it is. A step takes what it took on average since the first word.
 */
void qd_progress_note(qd_job_record *job, const qd_event *progress);

/* The attempt is over: all that it made is saved, or only what it has said to be. */
void qd_progress_end(qd_job_record *job, bool saved_all);

/* Rank-seconds of work that would be lost if its ranks were gone now. */
double qd_progress_unsaved_rank_s(const qd_job_record *job, int64_t now_ns);

#endif
