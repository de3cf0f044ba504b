#include "scheduler/core_internal.h"
#include "scheduler/together.h"

/* The jobs that start are the first `count` of the queue; extra ranks of each, dealt step by step,
 * round robin, are kept in planned_ranks until it starts. */
static void deal(qd_core *core, int count, int64_t spare) {
    for (bool dealt = true; spare > 0 && dealt;) {
        dealt = false;
        const qd_queue_entry *entry = qd_queue_first(&core->queue);
        for (int i = 0; i < count && spare > 0; i++, entry = qd_queue_next(&core->queue, entry)) {
            qd_job_record *job = qd_job_of_entry(entry);
            int step = job->submit.ranks_step;
            if (job->planned_ranks == job->submit.ranks_max || step > spare ||
                !qd_limits_take(core, job, step))
                continue;
            job->planned_ranks += step;
            spare -= step;
            dealt = true;
        }
    }
}

/* Where fewer than the planned ranks are together, it does with fewer, down to its least. */
static void plan_what_fits(qd_core *core, qd_job_record *job) {
    int ranks = job->planned_ranks;
    while (ranks > job->submit.ranks_min && !qd_fits_now(core, job, ranks))
        ranks -= job->submit.ranks_step;
    qd_limits_take(core, job, ranks - job->planned_ranks);
    job->planned_ranks = ranks;
}

/* Those that were dealt more than their least, but do not start. */
static void take_back(qd_core *core, int count) {
    const qd_queue_entry *entry = qd_queue_first(&core->queue);
    for (; count > 0; count--, entry = qd_queue_next(&core->queue, entry)) {
        qd_job_record *job = qd_job_of_entry(entry);
        qd_limits_take(core, job, job->submit.ranks_min - job->planned_ranks);
    }
}

void qd_decide_in_order(qd_core *core) {
    int64_t free_ranks = core->ranks.in_state[QD_RANK_FREE];
    int count = 0;
    const qd_queue_entry *entry = qd_queue_first(&core->queue);
    for (; entry && entry->ranks <= free_ranks; entry = qd_queue_next(&core->queue, entry)) {
        qd_job_of_entry(entry)->planned_ranks = entry->ranks;
        free_ranks -= entry->ranks;
        count++;
    }
    deal(core, count, free_ranks);
    for (; count > 0; count--) {
        qd_job_record *job = qd_job_of_entry(qd_queue_first(&core->queue));
        plan_what_fits(core, job);
        if (!qd_fits_now(core, job, job->planned_ranks)) {
            take_back(core, count); /* enough are free, but not together */
            return;
        }
        qd_job_start(core, job, job->planned_ranks, "its turn");
    }
}
