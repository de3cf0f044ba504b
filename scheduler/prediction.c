#include "scheduler/prediction.h"

int64_t qd_predicted_run_ns(const qd_job_record *job) {
    int64_t whole = job->submit.estimate_ns > 0 ? job->submit.estimate_ns : QD_NEVER;
    if (job->limit_ns > 0 && job->limit_ns < whole)
        whole = job->limit_ns;
    if (whole == QD_NEVER)
        return QD_NEVER;
    int64_t left = whole - job->run_before_ns;
    return left > 0 ? left : 1;
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
    int64_t end = qd_predicted_end_ns(job->start_ns, job->run_ns, now_ns);
    int64_t limit = qd_limit_end_ns(job);
    return limit > now_ns && limit < end ? limit : end;
}

int64_t qd_limit_end_ns(const qd_job_record *job) {
    return job->limit_ns > 0 ? qd_time_after(job->start_ns, job->limit_ns - job->run_before_ns)
                             : QD_NEVER;
}
