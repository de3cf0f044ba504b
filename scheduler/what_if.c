#include <stdlib.h>

#include "runtime/error.h"
#include "scheduler/core_internal.h"
#include "scheduler/reservations.h"
#include "scheduler/together.h"
#include "scheduler/why.h"

static int check(const qd_core *core, int64_t number, const qd_what_if *what_if) {
    const qd_job_record *job = qd_jobs_find(&core->jobs, number);
    if (!job)
        return qd_error_set(QD_EPROTO, "no job %lld was ever submitted", (long long)number);
    if (job->state != QD_STATE_PENDING)
        return qd_error_set(QD_EPROTO, "job %lld is %s; what would be is known of pending jobs",
                            (long long)number, qd_job_state_names[job->state]);
    if (what_if->importance_is_set && abs(what_if->importance) > 100)
        return qd_error_set(QD_EPROTO, "importance %d; accepted: -100 .. 100", what_if->importance);
    int64_t alive = qd_most_ranks(core, job, QD_MEASURE_ALIVE),
            limit = qd_limits_most_ranks(core, job);
    alive = limit > 0 && limit < alive ? limit : alive;
    limit = core->quotas ? qd_quotas_most(core, job) : alive;
    alive = limit < alive ? limit : alive;
    if (what_if->ranks_is_set && (what_if->ranks < 1 || what_if->ranks > alive))
        return qd_error_set(QD_EPROTO, "%d ranks; accepted: 1 .. %lld", what_if->ranks,
                            (long long)alive);
    if (what_if->time_is_set && what_if->time_ns <= job->run_before_ns)
        return qd_error_set(QD_EPROTO, "a time of %g s; job %lld has already run for %g s",
                            (double)what_if->time_ns * 1e-9, (long long)number,
                            (double)job->run_before_ns * 1e-9);
    return 0;
}

static void change(const qd_what_if *what_if, qd_job_record *job) {
    if (what_if->importance_is_set)
        job->submit.importance = what_if->importance;
    if (what_if->ranks_is_set)
        job->submit.ranks_min = job->submit.ranks_max = what_if->ranks;
    if (what_if->time_is_set)
        job->submit.estimate_ns = job->limit_ns = what_if->time_ns;
}

int qd_why_if(const qd_core *core, int64_t number, const qd_what_if *what_if, qd_why *why) {
    qd_core *copy = NULL;
    qd_action_list actions;
    int rc = check(core, number, what_if);
    if (!rc)
        rc = qd_core_copy_for(core, number, what_if->ranks_is_set ? what_if->ranks : 0, &copy);
    if (rc)
        return rc;
    qd_job_record *job = qd_jobs_find(&copy->jobs, number);
    qd_limits_note_end(copy, job);           /* the order within its account changes */
    qd_reservations_stop_waiting(copy, job); /* and within its reservation */
    change(what_if, job);
    if (job->gate == QD_GATE_RESERVATION)
        qd_reservations_wait(copy, job);
    qd_limits_revise(copy, job);
    qd_job_revised(copy, job);
    qd_job_reconsider(copy, job);
    rc =
        qd_core_handle(copy, &(qd_event){.kind = QD_EVENT_TIME, .time_ns = core->now_ns}, &actions);
    if (!rc)
        rc = qd_why_ask(copy, number, why);
    qd_core_destroy(copy);
    return rc;
}
