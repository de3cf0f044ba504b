/*
 * prediction.h: when a running job will end. A prediction is not a limit: a job that outruns it
 * lives on, and the prediction moves. It comes from what is measured (steps left times step time);
 * as long as nothing is, from the estimate given at submission; and from the limit where that is
 * nearer.
 */
#ifndef QD_SCHEDULER_PREDICTION_H
#define QD_SCHEDULER_PREDICTION_H

#include "scheduler/jobs.h"

/* Run time of a fresh attempt on so many ranks, what was done before subtracted; QD_NEVER: nobody
 * knows. > 0. Time is taken to be inverse to ranks. */
int64_t qd_predicted_run_on_ns(const qd_job_record *job, int ranks);

/* The same on the least ranks. */
int64_t qd_predicted_run_ns(const qd_job_record *job);

/* Run time of the newest attempt, of a job that holds ranks, from its start on. */
int64_t qd_predicted_attempt_ns(const qd_job_record *job);

/*
 * The end of an attempt that began at start_ns and was predicted to run for run_ns (or QD_NEVER),
 * seen from now_ns: start + run while that lies ahead. Once it has passed, the prediction grows by
 * half as often as it takes to lie ahead again, so that it is never now or in the past, and its
 * error stays within half of the time that has been run.
 */
int64_t qd_predicted_end_ns(int64_t start_ns, int64_t run_ns, int64_t now_ns);

/* run_ns (or QD_NEVER) as measured on so many ranks, on others; > 0. */
int64_t qd_time_on_ranks(int64_t run_ns, int64_t measured_on, int64_t ranks);

/* What is left at now_ns of an attempt that is stopped there, on other ranks; QD_NEVER: nobody
 * knows. */
int64_t qd_predicted_rest_ns(const qd_job_record *job, int ranks, int64_t now_ns);

/* The same for a job that holds ranks; no later than its limit while that lies ahead, and
 * of one that makes room, the end of its grace. */
int64_t qd_predicted_job_end_ns(const qd_job_record *job, int64_t now_ns);

/* Whether a job that holds ranks has run for longer than was predicted: then its predicted end says
 * little. */
bool qd_prediction_is_overdue(const qd_job_record *job);

/* When the newest attempt of a job reaches the job's limit; QD_NEVER: it has none. */
int64_t qd_limit_end_ns(const qd_job_record *job);

#endif
