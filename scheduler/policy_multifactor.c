/*
 * Multifactor priority, after Slurm's (priority_multifactor), with EASY backfill and, where that is
 * set, preemption by class (preemption.h). In points, higher first; each factor is worth its weight
 * when it is 1 (scheduler.weights):
 *
 *   class       (importance + 100) / 200
 *   urgency     1 - slack / urgency_s, cut to 0 .. 1; slack = deadline - now - predicted run; 0
 *               without a deadline
 *   age         time waited / age_s. It is not cut: a job that waits for long enough passes every
 *               other one, so the wait behind later ones is at most
 *               age_s * (sum of the other weights + nice) / weight of age
 *   fair share  2^(-U/S), see shares.h
 *   size        ranks / ranks of the cluster: wide jobs first
 *   nice        is taken off as it is
 *
 * Points change with time, but not each job's on its own: all age alike, so that age is said by
 * when waiting began; fair share is one number for all jobs of an account; urgency of all jobs
 * between 0 and 1 rises alike. So an account has two lanes of the queue, one of jobs whose urgency
 * is rising; a job goes from one to the other when its slack passes urgency_s and 0 (moves.h).
 */
#include <math.h>

#include "scheduler/core_internal.h"
#include "scheduler/policy.h"
#include "scheduler/preemption.h"
#include "scheduler/preemption_together.h"
#include "scheduler/together.h"

enum { STEADY, RISING, LANES_PER_ACCOUNT };
static const double parts = 1e6; /* of a point: what keys count in */

static int64_t ns(double seconds) {
    return llround(seconds * 1e9);
}

/* weight * time / full, in parts of a point, exactly: the product does not fit into 64 bits. */
static int64_t grown(int64_t weight, int64_t time_ns, double full_s) {
    return (int64_t)((__int128)weight * (int64_t)parts * time_ns / ns(full_s));
}

/* When slack is 0; QD_NEVER without a deadline. */
static int64_t latest_start_ns(const qd_job_record *job) {
    if (job->submit.deadline_ns == 0)
        return QD_NEVER;
    int64_t run_ns = job->entry.run_ns == QD_NEVER ? 0 : job->entry.run_ns;
    return job->submit.deadline_ns - run_ns;
}

static bool is_rising(const qd_core *core, const qd_job_record *job) {
    int64_t latest = latest_start_ns(job);
    return latest != QD_NEVER && core->now_ns < latest &&
           core->now_ns >= latest - ns(core->scheduling.urgency_s);
}

/* Urgency as it is with the offset of the lane left out. */
static int64_t urgency_parts(const qd_core *core, const qd_job_record *job) {
    const qd_scheduling *s = &core->scheduling;
    int64_t latest = latest_start_ns(job);
    if (is_rising(core, job))
        return grown(s->weight_urgency, ns(s->urgency_s) - latest, s->urgency_s);
    return core->now_ns >= latest ? s->weight_urgency * (int64_t)parts : 0;
}

static int64_t key(const qd_core *core, const qd_job_record *job) {
    if (job->claim > 0)
        return qd_claim_key(job);
    const qd_scheduling *s = &core->scheduling;
    double of_class = (job->submit.importance + 100) / 200.0;
    double of_size = (double)job->submit.ranks_min / core->ranks.count;
    double still =
        (double)s->weight_class * of_class + (double)s->weight_size * of_size - job->submit.nice;
    int64_t waiting_since = job->pending_ns - job->waited_ns;
    return -llround(still * parts) + grown(s->weight_age, waiting_since, s->age_s) -
           urgency_parts(core, job);
}

static int lane(const qd_core *core, const qd_job_record *job) {
    bool rises = job->claim == 0 && is_rising(core, job);
    return LANES_PER_ACCOUNT * job->submit.account + (rises ? RISING : STEADY);
}

/* When it goes to the other lane. */
static int64_t move_ns(const qd_core *core, const qd_job_record *job) {
    int64_t latest = latest_start_ns(job);
    if (latest == QD_NEVER || core->now_ns >= latest)
        return QD_NEVER;
    return is_rising(core, job) ? latest : latest - ns(core->scheduling.urgency_s);
}

static void enters(qd_core *core, qd_job_record *job) {
    qd_shares_see(&core->shares, job->submit.account);
    qd_moves_set(&core->moves, job, move_ns(core, job));
}

static void leaves(qd_core *core, qd_job_record *job) {
    qd_moves_set(&core->moves, job, QD_NEVER);
}

static void change_lanes(qd_core *core) {
    while (qd_moves_first_ns(&core->moves) <= core->now_ns) {
        qd_job_record *job = qd_moves_first(&core->moves);
        qd_moves_set(&core->moves, job, move_ns(core, job));
        qd_job_requeue(core, job);
    }
}

static void set_offsets(qd_core *core) {
    const qd_scheduling *s = &core->scheduling;
    for (int i = 0; i < core->queue.used_count; i++) {
        int of = core->queue.used[i];
        double share = qd_shares_factor(&core->shares, of / LANES_PER_ACCOUNT);
        int64_t offset = -llround((double)s->weight_fair_share * share * parts);
        if (of % LANES_PER_ACCOUNT == RISING)
            offset -= grown(s->weight_urgency, core->now_ns, s->urgency_s);
        core->queue.lanes[of].offset = offset;
    }
}

/* The first claimant whose ranks are free, else the first of those without a claim; NULL. */
static const qd_queue_entry *next(const qd_core *core) {
    const qd_queue_entry *entry = qd_queue_first(&core->queue);
    while (entry && qd_job_of_entry(entry)->claim > 0 &&
           !qd_claim_is_met(core, qd_job_of_entry(entry)))
        entry = qd_queue_next(&core->queue, entry);
    return entry;
}

static void decide(qd_core *core) {
    const qd_queue_entry *head;
    change_lanes(core);
    qd_preemption_settle(core);
    core->next_room_ns = QD_NEVER;
    for (;;) {
        set_offsets(core); /* again after a start, which its account is charged for */
        head = next(core);
        if (!head)
            return;
        qd_job_record *job = qd_job_of_entry(head);
        bool fits = head->ranks <= qd_unclaimed_ranks(core) && qd_fits_now(core, job, head->ranks);
        if (job->claim == 0 && !fits) {
            if (qd_preemption_make_room(core, job))
                continue;
            break;
        }
        qd_give_back_claimed(core, job); /* the placement may choose them */
        qd_job_start(core, job, head->ranks, job->claim ? "room was made for it" : "its turn");
    }
    qd_backfill(core, head, qd_unclaimed_ranks(core));
}

/* When the first job of a rising lane will have passed a head that does not rise. */
static int64_t passing_ns(const qd_core *core) {
    const qd_scheduling *s = &core->scheduling;
    const qd_queue_entry *head = qd_queue_first(&core->queue);
    while (head && qd_job_of_entry(head)->claim > 0)
        head = qd_queue_next(&core->queue, head);
    int64_t first = QD_NEVER, full = s->weight_urgency * (int64_t)parts;
    if (full == 0 || !head || head->lane % LANES_PER_ACCOUNT == RISING)
        return QD_NEVER;
    for (int i = 0; i < core->queue.used_count; i++) {
        if (core->queue.used[i] % LANES_PER_ACCOUNT != RISING)
            continue;
        const qd_tree *tree = &core->queue.lanes[core->queue.used[i]].tree;
        const qd_queue_entry *rising = (const qd_queue_entry *)qd_tree_first(tree);
        int64_t behind = qd_queue_place(&core->queue, rising) - qd_queue_place(&core->queue, head);
        /* Two parts more than it is behind: places are rounded, and equal ones do not pass. */
        int64_t takes_ns = (int64_t)((__int128)(behind + 2) * ns(s->urgency_s) / full) + 1;
        int64_t at_ns = qd_time_after(core->now_ns, takes_ns);
        first = at_ns < first ? at_ns : first;
    }
    return first;
}

static int64_t wake_ns(const qd_core *core) {
    const int64_t wakes[] = {qd_wake_overdue_ns(core), qd_moves_first_ns(&core->moves),
                             passing_ns(core), core->next_room_ns};
    int64_t first = QD_NEVER;
    for (int i = 0; i < 4; i++)
        first = wakes[i] < first ? wakes[i] : first;
    return first;
}

const qd_policy qd_policy_multifactor = {
    .name = "multifactor",
    .summary = "by importance, urgency, age, fair share and size, with EASY backfill",
    .lanes = LANES_PER_ACCOUNT * QD_ACCOUNTS,
    .lane = lane,
    .key = key,
    .enters = enters,
    .leaves = leaves,
    .revised = enters,
    .decide = decide,
    .passing = QD_PASSING_HARMLESS,
    .wake_ns = wake_ns,
    .preempts = true,
    .by_class = true,
};
