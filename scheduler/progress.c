#include "scheduler/progress.h"

void qd_progress_begin(qd_job_record *job, int64_t now_ns) {
    job->progress.told = false;
    job->progress.saved_ns = now_ns; /* nothing to lose yet */
}

void qd_progress_note(qd_job_record *job, const qd_event *event) {
    qd_progress *p = &job->progress;
    int64_t step = event->step, saved = event->saved, now_ns = event->time_ns;
    p->steps = event->steps;
    if (!p->told) {
        p->told = true;
        p->first_step = step;
        p->first_ns = now_ns;
    }
    p->step = step;
    p->told_ns = now_ns;
    if (step > p->first_step && now_ns > p->first_ns) {
        int64_t step_ns = (now_ns - p->first_ns) / (step - p->first_step);
        p->step_ns = step_ns > 0 ? step_ns : 1;
        p->step_ranks = job->gang.size;
    }
    if (saved > p->saved) {
        p->saved = saved;
        p->saved_ns = now_ns;
    }
}

void qd_progress_end(qd_job_record *job, bool saved_all) {
    if (saved_all)
        job->progress.saved = job->progress.step;
    else
        job->progress.step = job->progress.saved;
}

double qd_progress_unsaved_rank_s(const qd_job_record *job, int64_t now_ns) {
    return (double)(now_ns - job->progress.saved_ns) * 1e-9 * job->gang.live;
}
