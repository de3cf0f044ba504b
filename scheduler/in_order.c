#include "scheduler/core_internal.h"
#include "scheduler/migration.h"
#include "scheduler/room.h"
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

/* Those that were dealt ranks, but do not start. */
static void take_back(qd_core *core, int count) {
    const qd_queue_entry *entry = qd_queue_first(&core->queue);
    for (; entry && count > 0; count--, entry = qd_queue_next(&core->queue, entry)) {
        qd_job_record *job = qd_job_of_entry(entry);
        if (job->planned_ranks > 0)
            qd_limits_take(core, job, job->submit.ranks_min - job->planned_ranks);
        job->planned_ranks = 0;
    }
}

/* Ranks for the job and those before it, which run for no more than *longest_ns; the job's run
 * counts from now on. */
static int64_t room_for(const qd_core *core, const qd_queue_entry *entry, int64_t *longest_ns) {
    if (core->book.count == 0)
        return core->ranks.in_state[QD_RANK_FREE];
    int64_t run_ns = entry->yields ? qd_room_least_ns(core) : entry->run_ns;
    *longest_ns = run_ns > *longest_ns ? run_ns : *longest_ns;
    return qd_room_for_ns(core, *longest_ns);
}

/* Starts the first ones that fit together, each for as long as the longest of them; returns how
 * many. */
static int start_first(qd_core *core) {
    int64_t used = 0, room = 0, longest_ns = 0;
    int count = 0;
    core->timetable.profile.now_free = core->ranks.in_state[QD_RANK_FREE];
    for (const qd_queue_entry *entry = qd_queue_first(&core->queue); entry;
         entry = qd_queue_next(&core->queue, entry)) {
        int64_t with_it = room_for(core, entry, &longest_ns);
        if (used + entry->ranks > with_it)
            break;
        qd_job_of_entry(entry)->planned_ranks = entry->ranks;
        room = with_it;
        used += entry->ranks;
        count++;
    }
    deal(core, count, room - used);
    for (int i = 0; i < count; i++) {
        qd_job_record *job = qd_job_of_entry(qd_queue_first(&core->queue));
        if (!job || job->planned_ranks == 0)
            return i; /* those that started keep one of them waiting, which has left the queue */
        plan_what_fits(core, job);
        if (!qd_fits_now(core, job, job->planned_ranks)) {
            take_back(core, count - i); /* enough are free, but not together */
            qd_migrate_for(core, job);
            return i;
        }
        qd_job_start(core, job, job->planned_ranks, "its turn");
    }
    return count;
}

/* Reservations set aside all that fit do so together. */
void qd_decide_in_order(qd_core *core) {
    while (start_first(core) > 0 && core->book.count > 0)
        ;
}
