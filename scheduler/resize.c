#include "scheduler/resize.h"

#include <string.h>

#include "scheduler/core_internal.h"
#include "scheduler/placement.h"

int qd_resize_widest(const qd_job_record *job, int64_t ranks) {
    const qd_submission *s = &job->submit;
    if (ranks < s->ranks_min)
        return 0;
    int64_t most = ranks < s->ranks_max ? ranks : s->ranks_max;
    return (int)(most - (most - s->ranks_min) % s->ranks_step);
}

static bool is_kept(const qd_core *core, const qd_job_record *job, int rank) {
    return core->ranks.rank[rank].kept && core->ranks.rank[rank].job == job->job;
}

bool qd_resize_may_move(const qd_job_record *job) {
    return job->state == QD_STATE_RUNNING && !job->submit.keeps_ranks &&
           (job->progress.told || !job->submit.tells) && job->gang.live == job->gang.size &&
           job->planned_ranks == job->gang.size && job->inside == 0;
}

void qd_resize_keep(qd_core *core, qd_job_record *job, int ranks) {
    int own = ranks < job->planned_ranks ? ranks : job->planned_ranks;
    for (int i = 0, left = own; left > 0; i++) {
        int rank = job->ranks[i];
        if (!qd_ranks_held_by(&core->ranks, rank, job->job, job->attempt) ||
            core->ranks.rank[rank].drained)
            continue;
        qd_ranks_keep(&core->ranks, rank, job->job);
        left--;
    }
    job->resize_to = ranks;
    job->reserved = ranks - own;
    if (job->reserved > 0)
        qd_placement_choose_beside(&core->ranks, &job->submit.demand, job->ranks[0], job->reserved,
                                   job->ranks + job->gang.size);
    for (int i = 0; i < job->reserved; i++)
        qd_ranks_keep(&core->ranks, job->ranks[job->gang.size + i], job->job);
    core->timetable.profile.now_free -= job->reserved;
    if (ranks > job->gang.size)
        qd_limits_resize(core, job, ranks);
    qd_timetable_give_back(&core->timetable, job, -own);
    qd_timetable_keep(&core->timetable, job, ranks, QD_NEVER);
    qd_quotas_hold(core, job, ranks);
}

void qd_resize_keep_these(qd_core *core, qd_job_record *job, const int *ranks) {
    int size = job->gang.size, own = 0;
    job->reserved = 0;
    for (int i = 0; i < size; i++) {
        bool member = qd_ranks_held_by(&core->ranks, ranks[i], job->job, job->attempt);
        own += member;
        if (!member)
            job->ranks[size + job->reserved++] = ranks[i];
        qd_ranks_keep(&core->ranks, ranks[i], job->job);
    }
    job->resize_to = size;
    core->timetable.profile.now_free -= job->reserved;
    qd_timetable_give_back(&core->timetable, job, -own);
    qd_timetable_keep(&core->timetable, job, size, QD_NEVER);
}

int qd_resize_kept(qd_core *core, const qd_job_record *job, int *ranks) {
    int count = 0;
    for (int i = 0; i < job->gang.size + job->reserved; i++)
        if (is_kept(core, job, job->ranks[i]))
            ranks[count++] = job->ranks[i];
    qd_placement_arrange(&core->ranks, &job->submit.demand, count, ranks);
    return count;
}

void qd_resize_rank_gone(qd_core *core, int rank) {
    qd_job_record *job = qd_jobs_find(&core->jobs, core->ranks.rank[rank].job);
    qd_timetable_keep(&core->timetable, job, job->kept_ranks - 1, job->kept_ns);
    /* One that regroups (regroup.h) holds the others, too. */
    qd_quotas_hold(core, job, job->kept_ranks + (job->preempted ? 0 : job->planned_ranks));
}

static void forget(qd_core *core, qd_job_record *job) {
    qd_timetable_keep(&core->timetable, job, 0, QD_NEVER);
    job->resize_to = job->reserved = 0;
}

int qd_resize_take(qd_core *core, qd_job_record *job) {
    int *kept = core->members;
    int count = qd_resize_kept(core, job, kept);
    int ranks = qd_resize_widest(job, count < job->resize_to ? count : job->resize_to);
    for (int i = ranks; i < count; i++)
        qd_ranks_unkeep(&core->ranks, kept[i]);
    memcpy(job->ranks, kept, (size_t)ranks * sizeof *kept);
    forget(core, job);
    return ranks;
}

void qd_resize_give_up(qd_core *core, qd_job_record *job) {
    if (job->resize_to == 0)
        return;
    int held = 0, count = qd_resize_kept(core, job, core->members);
    for (int i = 0; i < count; i++) {
        held += core->ranks.rank[core->members[i]].state == QD_RANK_HELD;
        qd_ranks_unkeep(&core->ranks, core->members[i]);
    }
    forget(core, job);
    qd_quotas_hold(core, job, job->claim_ranks);
    qd_limits_resize(core, job, job->gang.size);
    if (held == 0)
        return;
    qd_timetable_give_back(&core->timetable, job, held);
    if (!job->makes_way)
        core->saving_ranks += held;
}
