#include "scheduler/prediction.h"

int64_t qd_time_on_ranks(int64_t run_ns, int64_t measured_on, int64_t ranks) {
    if (run_ns == QD_NEVER || measured_on == ranks)
        return run_ns;
    __int128 scaled = (__int128)run_ns * measured_on / ranks;
    if (scaled < 1)
        return 1;
    return scaled < QD_NEVER ? (int64_t)scaled : QD_NEVER;
}

/* Of a whole run time, 0: unknown. */
static int64_t left_of(int64_t whole_ns, int64_t done_ns) {
    if (whole_ns == 0)
        return QD_NEVER;
    return whole_ns > done_ns ? whole_ns - done_ns : 1;
}

/* Time for the steps that are left; the last one is not over before the job is. QD_NEVER: nothing
 * was measured. */
static int64_t measured_left_ns(const qd_job_record *job, int ranks) {
    const qd_progress *p = &job->progress;
    int64_t steps = p->steps - p->step;
    if (p->step_ns == 0 || p->steps == 0)
        return QD_NEVER;
    steps = steps > 0 ? steps : 1;
    int64_t left_ns = steps < QD_NEVER / p->step_ns ? steps * p->step_ns : QD_NEVER;
    return qd_time_on_ranks(left_ns, p->step_ranks, ranks);
}

int64_t qd_predicted_run_on_ns(const qd_job_record *job, int ranks) {
    int64_t run_ns = measured_left_ns(job, ranks);
    if (run_ns == QD_NEVER)
        run_ns = qd_time_on_ranks(left_of(job->submit.estimate_ns, job->done_ns),
                                  job->submit.ranks_min, ranks);
    int64_t limit_ns = left_of(job->limit_ns, job->run_before_ns);
    return limit_ns < run_ns ? limit_ns : run_ns;
}

int64_t qd_predicted_run_ns(const qd_job_record *job) {
    return qd_predicted_run_on_ns(job, job->submit.ranks_min);
}

int64_t qd_predicted_attempt_ns(const qd_job_record *job) {
    int64_t left_ns = measured_left_ns(job, job->gang.size);
    if (!job->progress.told || left_ns == QD_NEVER)
        return qd_predicted_run_on_ns(job, job->gang.size);
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

int64_t qd_predicted_rest_ns(const qd_job_record *job, int ranks, int64_t now_ns) {
    int64_t end = qd_predicted_end_ns(job->start_ns, job->run_ns, now_ns);
    return end == QD_NEVER ? QD_NEVER : qd_time_on_ranks(end - now_ns, job->gang.size, ranks);
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

bool qd_prediction_is_overdue(const qd_job_record *job) {
    return job->gang.live > 0 && !job->preempted &&
           job->due_ns > qd_time_after(job->start_ns, job->run_ns);
}
