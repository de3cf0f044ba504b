#include "scheduler/prediction.h"

int64_t qd_predicted_run_ns(const qd_job_record *job) {
    if (job->submit.estimate_ns == 0)
        return QD_NEVER;
    int64_t left = job->submit.estimate_ns - job->run_before_ns;
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
