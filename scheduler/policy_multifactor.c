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
 *
 * Where teams have quotas (quotas.h), each lane has a width that its jobs may have now; who is
 * wider is passed over, promised nothing and counted nowhere.
 */
#include <math.h>

#include "scheduler/core_internal.h"
#include "scheduler/policy.h"
#include "scheduler/preemption.h"
#include "scheduler/preemption_together.h"
#include "scheduler/regroup.h"
#include "scheduler/reservations.h"
#include "scheduler/together.h"

/* Of those that keep their ranks, where quotas make a difference; and all claims in one. */
enum { STEADY, RISING, KEEPS, LANES_PER_ACCOUNT = 4 };
enum { CLAIMS_LANE = LANES_PER_ACCOUNT * QD_ACCOUNTS };
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
    if (qd_is_owed(core, job))
        return qd_owed_key(job);
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
    if (job->claim > 0)
        return CLAIMS_LANE;
    int keeps = core->quotas && job->submit.keeps_ranks ? KEEPS : 0;
    bool rises = !qd_is_owed(core, job) && is_rising(core, job);
    return LANES_PER_ACCOUNT * job->submit.account + keeps + (rises ? RISING : STEADY);
}

/* When it goes to the other lane. */
static int64_t lane_ends_ns(const qd_core *core, const qd_job_record *job) {
    int64_t latest = latest_start_ns(job);
    if (latest == QD_NEVER || core->now_ns >= latest)
        return QD_NEVER;
    return is_rising(core, job) ? latest : latest - ns(core->scheduling.urgency_s);
}

/* When its place in the queue is another one. */
static int64_t move_ns(const qd_core *core, const qd_job_record *job) {
    int64_t at_ns = lane_ends_ns(core, job);
    return qd_is_owed(core, job) && job->owed_until_ns < at_ns ? job->owed_until_ns : at_ns;
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

static bool rises(int lane) {
    return lane != CLAIMS_LANE && (lane & RISING);
}

static int64_t offset_of(const qd_core *core, int lane) {
    const qd_scheduling *s = &core->scheduling;
    int account = lane / LANES_PER_ACCOUNT;
    double share = qd_shares_factor(&core->shares, account);
    int64_t offset = -llround((double)s->weight_fair_share * share * parts);
    /* Who has no share comes behind those whose factor is almost 0, too. */
    if (core->teams->team[account].shares <= 0 && s->weight_fair_share > 0)
        offset++;
    return rises(lane) ? offset - grown(s->weight_urgency, core->now_ns, s->urgency_s) : offset;
}

/* Whose teams wait for ranks that they own, and so what each lane's may have. */
static void set_room(qd_core *core) {
    const qd_queue *queue = &core->queue;
    qd_quotas_nobody_waits(core);
    const qd_tree *claims = &queue->lanes[CLAIMS_LANE].tree;
    for (const qd_tree_node *at = qd_tree_first(claims); at; at = qd_tree_after(claims, at))
        qd_quotas_claims(core, qd_job_of_entry((const qd_queue_entry *)at)->submit.account);
    for (int i = 0; i < queue->used_count; i++) {
        const qd_tree_node *root = queue->lanes[queue->used[i]].tree.root;
        if (queue->used[i] != CLAIMS_LANE)
            qd_quotas_waits(core, queue->used[i] / LANES_PER_ACCOUNT,
                            ((const qd_queue_entry *)root)->narrowest);
    }
    for (int i = 0; i < queue->used_count; i++) {
        int lane = queue->used[i], account = lane / LANES_PER_ACCOUNT;
        if (lane != CLAIMS_LANE)
            core->queue.lanes[lane].most_ranks =
                lane & KEEPS ? qd_quotas_own(core, account) : qd_quotas_room(core, account);
    }
}

static void set_lanes(qd_core *core) {
    core->queue.lanes[CLAIMS_LANE].most_ranks = 0; /* they are nobody's who asks who is allowed */
    for (int i = 0; i < core->queue.used_count; i++) {
        int lane = core->queue.used[i];
        core->queue.lanes[lane].offset = lane == CLAIMS_LANE ? 0 : offset_of(core, lane);
    }
    if (core->quotas)
        set_room(core);
}

static bool may_use_claim(const qd_core *core, const qd_job_record *job) {
    return qd_claim_is_met(core, job) && qd_reservations_spare(core, job);
}

/* The first claimant whose ranks are free, else the first of those without a claim; NULL. */
static const qd_queue_entry *next(const qd_core *core) {
    const qd_queue_entry *entry = qd_queue_first(&core->queue);
    while (entry && qd_job_of_entry(entry)->claim > 0 &&
           !may_use_claim(core, qd_job_of_entry(entry)))
        entry = qd_queue_next(&core->queue, entry);
    if (!entry || qd_job_of_entry(entry)->claim > 0)
        return entry;
    return qd_queue_allowed(&core->queue, NULL);
}

static bool fits(qd_core *core, const qd_job_record *job) {
    return job->entry.ranks <= qd_unclaimed_ranks(core) && qd_fits_now(core, job, job->entry.ranks);
}

/* Others that do not lend keep the ranks: who has borrowed gives back first. */
static bool is_kept_from(const qd_core *core, const qd_job_record *job) {
    return core->quotas && job->entry.ranks > qd_quotas_unheld(core, job->submit.account);
}

/* The first of all may be beyond what its team may have, and still take it from lower classes of
 * its own team. */
static bool displaces_its_own(qd_core *core) {
    const qd_queue_entry *first = qd_queue_first(&core->queue);
    while (first && qd_job_of_entry(first)->claim > 0)
        first = qd_queue_next(&core->queue, first);
    return core->quotas && first && first->ranks > core->queue.lanes[first->lane].most_ranks &&
           qd_preemption_make_room(core, qd_job_of_entry(first));
}

/* The first behind jobs that are owed ranks, if head is one: where that is more important, they
 * come before it only as long as it starts nevertheless. NULL: there is none such. */
static qd_job_record *more_important(const qd_core *core, const qd_queue_entry *head) {
    const qd_queue_entry *entry = head;
    while (entry && qd_is_owed(core, qd_job_of_entry(entry)))
        entry = qd_queue_allowed(&core->queue, entry);
    int least = qd_job_of_entry(head)->submit.importance;
    bool before = entry && entry != head && qd_job_of_entry(entry)->submit.importance > least;
    return before ? qd_job_of_entry(entry) : NULL;
}

/* It waits as others do. */
static void owe_no_more(qd_core *core, qd_job_record *job) {
    job->owed_until_ns = 0;
    qd_moves_set(&core->moves, job, move_ns(core, job));
    qd_job_requeue(core, job);
}

/* Starts it, or has others make room for it; false: it has to wait. */
static bool take(qd_core *core, qd_job_record *job) {
    if (job->claim == 0 && (!fits(core, job) || is_kept_from(core, job))) {
        if (qd_preemption_make_room(core, job))
            return true;
        if (!fits(core, job))
            return false;
    }
    qd_give_back_claimed(core, job); /* the placement may choose them */
    qd_job_start(core, job, job->entry.ranks, job->claim ? "room was made for it" : "its turn");
    return true;
}

static void decide(qd_core *core) {
    const qd_queue_entry *head;
    change_lanes(core);
    qd_preemption_settle(core);
    core->next_room_ns = QD_NEVER;
    for (;;) {
        set_lanes(core); /* again after a start, which its account is charged for */
        if (displaces_its_own(core))
            continue;
        head = next(core);
        if (!head)
            return;
        qd_job_record *job = qd_job_of_entry(head), *other = more_important(core, head);
        if (other && !take(core, other))
            owe_no_more(core, job);
        else if (!other && !take(core, job) && qd_backfill(core, head, qd_unclaimed_ranks(core)))
            return;
    }
}

/* When the first job of a rising lane will have passed a head that does not rise. */
static int64_t passing_ns(const qd_core *core) {
    const qd_scheduling *s = &core->scheduling;
    const qd_queue_entry *head = qd_queue_allowed(&core->queue, NULL);
    while (head && qd_is_owed(core, qd_job_of_entry(head)))
        head = qd_queue_allowed(&core->queue, head);
    int64_t first = QD_NEVER, full = s->weight_urgency * (int64_t)parts;
    if (full == 0 || !head || rises(head->lane))
        return QD_NEVER;
    for (int i = 0; i < core->queue.used_count; i++) {
        int lane = core->queue.used[i];
        const qd_queue_entry *rising = qd_queue_allowed_in(&core->queue.lanes[lane]);
        if (!rises(lane) || !rising)
            continue;
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
    .lanes = LANES_PER_ACCOUNT * QD_ACCOUNTS + 1,
    .lane = lane,
    .key = key,
    .enters = enters,
    .leaves = leaves,
    .revised = enters,
    .decide = decide,
    .set_room = set_room,
    .passing = QD_PASSING_HARMLESS,
    .wake_ns = wake_ns,
    .preempts = true,
    .by_class = true,
};
