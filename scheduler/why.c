#include "scheduler/why.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "runtime/error.h"
#include "scheduler/core_internal.h"
#include "scheduler/forecast.h"
#include "scheduler/gates.h"
#include "scheduler/preemption.h"
#include "scheduler/reservations.h"
#include "scheduler/together.h"

static qd_why_reason *add(qd_why *why, qd_reason reason, int64_t since_ns) {
    qd_why_reason *r = &why->reasons[why->count++];
    *r = (qd_why_reason){.team = "", .reason = reason, .since_ns = since_ns, .until_ns = QD_NEVER};
    return r;
}

static bool is_overdue(const qd_job_record *job) {
    return job->gang.live > 0 && job->due_ns > qd_time_after(job->start_ns, job->run_ns);
}

static void add_blocker(qd_why_reason *reason, const qd_job_record *job) {
    if (reason->blocker_count < QD_WHY_BLOCKERS)
        reason->blockers[reason->blocker_count] =
            (qd_blocker){.job = job->job,
                         .until_ns = job->gang.live > 0 ? job->due_ns : QD_NEVER,
                         .overdue = is_overdue(job)};
    reason->blocker_count++;
}

static const qd_job_record *job_due(const qd_tree_node *node) {
    return node ? (const qd_job_record *)((const char *)node - offsetof(qd_job_record, due)) : NULL;
}

/* ---- what keeps it out of the queue ---- */

static void add_dependency(const qd_core *core, const qd_job_record *job, qd_why *why) {
    const qd_job_record *others[QD_AFTER_MOST];
    int count = qd_gates_waits_for(core, job, others);
    if (count == 0)
        return;
    qd_why_reason *reason = add(why, QD_REASON_DEPENDENCY, job->submit_ns);
    reason->until_ns = core->now_ns;
    for (int i = 0; i < count; i++) {
        add_blocker(reason, others[i]);
        int64_t until = others[i]->gang.live > 0 ? others[i]->due_ns : QD_NEVER;
        reason->until_ns = until > reason->until_ns ? until : reason->until_ns;
    }
}

/* Others of its name that run, or were submitted before it. */
static void add_singleton(const qd_core *core, const qd_job_record *job, qd_why *why) {
    const qd_job_record *other = qd_singleton_waits_for(core, job);
    if (!other)
        return;
    qd_why_reason *reason = add(why, QD_REASON_DEPENDENCY, job->submit_ns);
    reason->until_ns = core->now_ns;
    for (; other && other != job; other = qd_singleton_next(core, other)) {
        add_blocker(reason, other);
        int64_t until = other->gang.live > 0 ? other->due_ns : QD_NEVER;
        reason->until_ns = until > reason->until_ns ? until : reason->until_ns;
    }
}

/* Members of its array that run, are in the queue, or wait for their account alone. */
static void add_array(const qd_core *core, const qd_job_record *job, qd_why *why) {
    const qd_job_list *lists[] = {&core->jobs.active, &core->jobs.pending, &core->jobs.blocked};
    qd_why_reason *reason = add(why, QD_REASON_ARRAY, job->changed_ns);
    for (int i = 0; i < 3; i++)
        for (const qd_job_record *other = lists[i]->first; other; other = other->next) {
            if (other->array != job->array || !other->counts)
                continue;
            add_blocker(reason, other);
            if (other->gang.live > 0 && other->due_ns < reason->until_ns)
                reason->until_ns = other->due_ns;
        }
}

/* Those that its account has, the running ones first; by predicted ends, those that have to end. */
static void add_account(const qd_core *core, const qd_job_record *job, qd_why *why) {
    qd_why_reason *reason = add(why, qd_limits_reason(core, job), job->changed_ns);
    reason->team = qd_teams_name(&core->scheduling, job->waits_at);
    int64_t jobs = core->accounts[job->waits_at].jobs;
    int64_t ranks = core->accounts[job->waits_at].ranks;
    const qd_team *team = &core->teams->team[job->waits_at];
    const qd_tree *ends = &core->timetable.ends;
    for (const qd_tree_node *node = qd_tree_first(ends); node; node = qd_tree_after(ends, node)) {
        const qd_job_record *other = job_due(node);
        bool enough = (team->most_jobs == 0 || jobs < team->most_jobs) &&
                      (team->most_ranks == 0 || ranks + job->submit.ranks_min <= team->most_ranks);
        if (enough)
            break;
        if (qd_teams_common(core->teams, other->submit.account, job->waits_at) != job->waits_at)
            continue;
        jobs--;
        ranks -= other->counted_ranks;
        add_blocker(reason, other);
        reason->until_ns = other->due_ns;
    }
    why->start_ns = reason->until_ns;
}

/* Its own, which has not begun, or has no room for it. */
static void add_own_reservation(const qd_core *core, const qd_job_record *job, qd_why *why) {
    const qd_booking *b = qd_book_find((qd_book *)&core->book, job->submit.reservation);
    qd_why_reason *reason = add(why, QD_REASON_RESERVATION, job->changed_ns);
    snprintf(reason->reservation, sizeof reason->reservation, "%s", b->is.name);
    reason->until_ns = b->running ? QD_NEVER : b->is.from_ns;
    why->start_ns = reason->until_ns;
}

static void add_reservation_in_the_way(const qd_core *core, const qd_job_record *job, qd_why *why) {
    const qd_booking *b = qd_reservations_in_the_way(core, job);
    if (!b)
        return;
    bool maintenance = b->is.kind == QD_RESERVATION_MAINTENANCE;
    qd_why_reason *reason =
        add(why, maintenance ? QD_REASON_MAINTENANCE : QD_REASON_RESERVATION, job->pending_ns);
    snprintf(reason->reservation, sizeof reason->reservation, "%s", b->is.name);
    reason->until_ns = b->is.until_ns;
}

static void look_at_gates(const qd_core *core, const qd_job_record *job, qd_why *why) {
    if (job->held)
        add(why, QD_REASON_HELD, job->held_ns);
    if (job->submit.begin_ns > core->now_ns)
        add(why, QD_REASON_BEGIN, job->submit_ns)->until_ns = job->submit.begin_ns;
    add_dependency(core, job, why);
    add_singleton(core, job, why);
    if (job->submit.ranks_min > qd_most_ranks(core, job, QD_MEASURE_IN_SERVICE))
        add(why, QD_REASON_NODES, job->changed_ns)->ranks = core->ranks.drained;
    if (job->gate == QD_GATE_ARRAY)
        add_array(core, job, why);
    if (job->gate == QD_GATE_RESERVATION)
        add_own_reservation(core, job, why);
    if (job->gate == QD_GATE_ACCOUNT)
        add_account(core, job, why);
}

/* ---- what makes it wait in the queue ---- */

/* Who has to end first, by predicted ends, until its ranks are free. */
static void add_resources(const qd_core *core, const qd_job_record *job, qd_why *why) {
    int ranks = core->ranks.in_state[QD_RANK_FREE];
    if (ranks >= job->submit.ranks_min)
        return;
    qd_why_reason *reason = add(why, QD_REASON_RESOURCES, job->pending_ns);
    reason->ranks = ranks;
    const qd_tree *ends = &core->timetable.ends;
    for (const qd_tree_node *node = qd_tree_first(ends); node && ranks < job->submit.ranks_min;
         node = qd_tree_after(ends, node)) {
        const qd_job_record *other = job_due(node);
        add_blocker(reason, other);
        ranks += other->planned_ranks;
        reason->until_ns = other->due_ns;
    }
}

static void add_place(const qd_core *core, const qd_job_record *job, qd_why *why) {
    int together = qd_most_ranks(core, job, QD_MEASURE_FREE);
    if (!qd_is_choosy(job) || together >= job->submit.ranks_min || !core->ranks.places.known)
        return;
    qd_why_reason *reason = add(why, QD_REASON_PLACE, job->pending_ns);
    reason->ranks = together;
    reason->most = qd_most_with_room(core, job);
}

/* Holds ranks that the job has a claim to; or, of one that has none, may have its own back. */
static bool saves_in_its_way(const qd_core *core, const qd_job_record *job,
                             const qd_job_record *other) {
    for (int i = 0; i < job->claimed; i++)
        if (core->ranks.rank[job->ranks[i]].job == other->job)
            return true;
    return job->claim == 0 && other->claim > 0;
}

/* Enough are free, but not those that it has a claim to, or they are kept for who saves in vain. */
static void add_savers(const qd_core *core, const qd_job_record *job, qd_why *why) {
    int64_t unclaimed = qd_unclaimed_ranks(core);
    qd_why_reason *reason = add(why, QD_REASON_RESOURCES, job->pending_ns);
    for (const qd_job_record *other = core->jobs.active.first; other; other = other->next)
        if (saves_in_its_way(core, job, other))
            add_blocker(reason, other);
    for (int i = 0; i < job->claimed; i++)
        reason->ranks += core->ranks.rank[job->ranks[i]].state == QD_RANK_CLAIMED;
    if (job->claim == 0)
        reason->ranks = unclaimed > 0 ? (int)unclaimed : 0;
    else
        why->start_ns = job->due_ns; /* by then, at the latest */
    why->end_ns = qd_time_after(why->start_ns, job->entry.run_ns);
    reason->until_ns = why->start_ns;
}

static void add_priority(const qd_core *core, const qd_job_record *job, qd_why *why) {
    const qd_queue_entry *entry = qd_queue_first(&core->queue);
    if (entry == &job->entry)
        return;
    qd_why_reason *reason = add(why, QD_REASON_PRIORITY, job->pending_ns);
    reason->until_ns = why->start_ns;
    for (; entry && entry != &job->entry; entry = qd_queue_next(&core->queue, entry))
        add_blocker(reason, qd_job_of_entry(entry));
}

/* The lane says what its jobs may have now. */
static bool is_beyond_quota(const qd_core *core, const qd_job_record *job) {
    return core->quotas && job->claim == 0 &&
           job->entry.ranks > core->queue.lanes[job->entry.lane].most_ranks;
}

/* Its team holds all that it owns, or another one waits for its own: those of its team that have to
 * end first, by predicted ends, until it is within the quota. */
static void add_quota(const qd_core *core, const qd_job_record *job, qd_why *why) {
    qd_why_reason *reason = add(why, QD_REASON_QUOTA, job->pending_ns);
    int64_t may_have = core->queue.lanes[job->entry.lane].most_ranks;
    int64_t own = qd_quotas_own(core, job->submit.account);
    int team = qd_quotas_bound(core, job->submit.account);
    reason->ranks = may_have > 0 ? (int)may_have : 0;
    reason->team = qd_teams_name(&core->scheduling, team);
    const qd_tree *ends = &core->timetable.ends;
    for (const qd_tree_node *node = qd_tree_first(ends); node && own < job->entry.ranks;
         node = qd_tree_after(ends, node)) {
        const qd_job_record *other = job_due(node);
        if (other->quota_ranks == 0 ||
            qd_teams_common(core->teams, other->submit.account, team) != team)
            continue;
        own += other->quota_ranks;
        add_blocker(reason, other);
        if (own >= job->entry.ranks)
            reason->until_ns = other->due_ns;
    }
    why->start_ns = reason->until_ns;
    why->end_ns = qd_time_after(why->start_ns, job->entry.run_ns);
}

static void look_at_queue(const qd_core *core, const qd_job_record *job, qd_why *why) {
    int absent = core->ranks.in_state[QD_RANK_ABSENT];
    if (is_beyond_quota(core, job)) {
        add_quota(core, job, why);
        return;
    }
    if (absent > 0)
        add(why, QD_REASON_NODES, job->pending_ns)->ranks = absent;
    add_reservation_in_the_way(core, job, why);
    add_resources(core, job, why);
    add_place(core, job, why);
    add_priority(core, job, why);
    if (why->count == 0 && core->claims > 0)
        add_savers(core, job, why);
}

static int predict(const qd_core *core, const qd_job_record *job, qd_why *why) {
    qd_forecast forecast;
    int rc = qd_forecast_create(core, &forecast);
    if (rc)
        return rc;
    for (int i = 0; i < forecast.count; i++)
        if (forecast.entries[i].job == job->job)
            why->start_ns = forecast.entries[i].start_ns;
    why->end_ns = qd_time_after(why->start_ns, job->entry.run_ns);
    qd_forecast_fini(&forecast);
    return 0;
}

static int look_at_pending(const qd_core *core, const qd_job_record *job, qd_why *why) {
    bool queued = job->gate == QD_GATE_OPEN;
    int rc = queued ? predict(core, job, why) : 0;
    if (rc)
        return rc;
    why->ranks = job->submit.ranks_min;
    if (qd_is_choosy(job))
        qd_say_demand(job, qd_most_ranks(core, job, QD_MEASURE_ALIVE), why->demand,
                      sizeof why->demand);
    why->age_ns = job->waited_ns + (queued ? core->now_ns - job->pending_ns : 0);
    look_at_gates(core, job, why);
    if (queued)
        look_at_queue(core, job, why);
    return 0;
}

int qd_why_ask(const qd_core *core, int64_t number, qd_why *out) {
    const qd_job_record *job = qd_jobs_find(&core->jobs, number);
    if (!job)
        return qd_error_set(QD_EPROTO, "no job %lld was ever submitted", (long long)number);
    qd_why why = {.job = job->job,
                  .state = job->state,
                  .since_ns = job->changed_ns,
                  .now_ns = core->now_ns,
                  .ranks = job->gang.size,
                  .start_ns = job->attempt > 0 ? job->start_ns : QD_NEVER,
                  .end_ns = job->gang.live > 0 ? job->due_ns : QD_NEVER};
    snprintf(why.text, sizeof why.text, "%s", job->reason);
    if (job->state == QD_STATE_PENDING) {
        why.start_ns = QD_NEVER;
        int rc = look_at_pending(core, job, &why);
        if (rc)
            return rc;
    } else if (job->state == QD_STATE_RESIZING) {
        why.end_ns = job->kept_ns;
    } else if (job->state == QD_STATE_COMPLETING) {
        add(&why, QD_REASON_CLEANING, job->changed_ns)->ranks = job->gang.live;
    } else if (job->gang.live == 0) {
        why.end_ns = job->changed_ns;
    }
    *out = why;
    return 0;
}
