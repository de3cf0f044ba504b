#include "scheduler/regroup.h"

#include <math.h>

#include "runtime/error.h"
#include "scheduler/core_internal.h"

enum { MOST_LOSSES = 3, KEY_SHIFT = 41 }; /* steps beyond the offsets of lanes (queue.h) */

bool qd_regroup_may(const qd_core *core, const qd_job_record *job) {
    bool used_up = job->limit_ns > 0 && job->run_before_ns >= job->limit_ns;
    return !core->draining && job->gang.exit_code == QD_ELOST && job->submit.tells &&
           !job->timed_out && !job->gang.unwanted && !used_up && job->losses < MOST_LOSSES &&
           job->submit.ranks_min <= qd_ranks_alive(&core->ranks);
}

void qd_regroup_keep(qd_core *core, qd_job_record *job) {
    int count = 0;
    for (int i = 0; i < job->gang.size; i++) {
        int rank = job->ranks[i];
        if (!qd_ranks_held_by(&core->ranks, rank, job->job, job->attempt) ||
            core->ranks.rank[rank].drained)
            continue;
        qd_ranks_keep(&core->ranks, rank, job->job);
        count++;
    }
    job->gang.regroups = true;
    qd_timetable_give_back(&core->timetable, job, -count);
    qd_timetable_keep(&core->timetable, job, count, QD_NEVER);
}

void qd_regroup_let_go(qd_core *core, qd_job_record *job) {
    if (!job->gang.regroups)
        return;
    for (int i = 0; i < job->gang.size; i++) {
        const qd_rank *rank = &core->ranks.rank[job->ranks[i]];
        if (rank->kept && rank->job == job->job)
            qd_ranks_unkeep(&core->ranks, job->ranks[i]);
    }
    job->gang.regroups = false;
    qd_timetable_keep(&core->timetable, job, 0, QD_NEVER);
}

void qd_regroup_owe(const qd_core *core, qd_job_record *job) {
    int64_t wait_ns = llround(core->scheduling.spare_wait_s * 1e9);
    job->owed_until_ns = qd_time_after(core->now_ns, wait_ns);
}

bool qd_is_owed(const qd_core *core, const qd_job_record *job) {
    return job->owed_until_ns > core->now_ns;
}

int64_t qd_owed_key(const qd_job_record *job) {
    return -(INT64_C(1) << 60) + ((int64_t)(100 - job->submit.importance) << KEY_SHIFT);
}
