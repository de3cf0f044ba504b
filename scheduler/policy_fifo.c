/*
 * First come, first served, by gangs: the longest prefix of the queue whose least ranks fit starts,
 * and what is left over is dealt among those that start. Since nothing passes the head, no job
 * waits for ever; the price is ranks that idle before a wide head (backfill is what cures that).
 */
#include "scheduler/policy.h"

/* Deals ranks one by one, round robin, up to each job's most. */
static void deal(const qd_job_table *jobs, int free_ranks, qd_grant *grants, int count) {
    for (bool dealt = true; free_ranks > 0 && dealt;) {
        dealt = false;
        const qd_job_record *job = jobs->pending.first;
        for (int i = 0; i < count && free_ranks > 0; i++, job = job->next) {
            if (grants[i].ranks == job->ranks_max)
                continue;
            grants[i].ranks++;
            free_ranks--;
            dealt = true;
        }
    }
}

static int grant(const qd_job_table *jobs, const qd_rank_table *ranks, qd_grant *grants) {
    int free_ranks = ranks->in_state[QD_RANK_FREE];
    int count = 0;
    const qd_job_record *job = jobs->pending.first;
    for (; job && job->ranks_min <= free_ranks; job = job->next) {
        grants[count++] = (qd_grant){.job = job->job, .ranks = job->ranks_min};
        free_ranks -= job->ranks_min;
    }
    deal(jobs, free_ranks, grants, count);
    return count;
}

const qd_policy qd_policy_fifo = {
    .name = "fifo",
    .summary = "first come, first served; spare ranks are dealt round robin",
    .grant = grant,
};
