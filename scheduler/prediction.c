#include "scheduler/prediction.h"

/* Of a whole run time, 0: unknown. */
static int64_t left_of(const qd_job_record *job, int64_t whole_ns) {
    if (whole_ns == 0)
        return QD_NEVER;
    int64_t left = whole_ns - job->run_before_ns;
    return left > 0 ? left : 1;
}

/* Time for the steps that are left; the last one is not over before the job is. QD_NEVER: nothing
 * was measured. */
static int64_t measured_left_ns(const qd_job_record *job) {
    const qd_progress *p = &job->progress;
    int64_t steps = p->steps - p->step;
    if (p->step_ns == 0 || p->steps == 0)
        return QD_NEVER;
    steps = steps > 0 ? steps : 1;
    return steps < QD_NEVER / p->step_ns ? steps * p->step_ns : QD_NEVER;
}

int64_t qd_predicted_run_ns(const qd_job_record *job) {
    int64_t run_ns = measured_left_ns(job);
    if (run_ns == QD_NEVER)
        run_ns = left_of(job, job->submit.estimate_ns);
    int64_t limit_ns = left_of(job, job->limit_ns);
    return limit_ns < run_ns ? limit_ns : run_ns;
}

int64_t qd_predicted_attempt_ns(const qd_job_record *job) {
    int64_t left_ns = measured_left_ns(job);
    if (!job->progress.told || left_ns == QD_NEVER)
        return qd_predicted_run_ns(job);
    return qd_time_after(job->progress.told_ns - job->start_ns, left_ns);
}

int64_t qd_predicted_end_ns(int64_t start_ns, int64_t run_ns, int64_t now_ns) {
    int64_t end = qd_time_after(start_ns, run_ns);
    while (end <= now_ns) {
        run_ns = qd_time_after(run_ns, run_ns / 2 + 1);
        end = qd_time_after(start_ns, run_ns);
    }
    return end;
}

int64_t qd_predicted_job_end_ns(const qd_job_record *job, int64_t now_ns) {
    if (job->preempted && job->grace_ns != QD_NEVER)
        return qd_predicted_end_ns(job->told_ns, job->grace_ns, now_ns);
    int64_t end = qd_predicted_end_ns(job->start_ns, job->run_ns, now_ns);
    int64_t limit = qd_limit_end_ns(job);
    return limit > now_ns && limit < end ? limit : end;
}

int64_t qd_limit_end_ns(const qd_job_record *job) {
    return job->limit_ns > 0 ? qd_time_after(job->start_ns, job->limit_ns - job->run_before_ns)
                             : QD_NEVER;
}
