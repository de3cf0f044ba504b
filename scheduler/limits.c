#include "scheduler/limits.h"

#include <stddef.h>
#include <stdlib.h>

#include "scheduler/core_internal.h"

static qd_job_record *waiting_job(const qd_tree_node *node) {
    return node ? (qd_job_record *)((char *)node - offsetof(qd_job_record, in_account)) : NULL;
}

static qd_job_record *queued_job(const qd_tree_node *node) {
    return node ? ((const qd_queued_place *)node)->job : NULL;
}

/* The most important first, then in order of their numbers. */
static int compare(const qd_job_record *x, const qd_job_record *y) {
    if (x->submit.importance != y->submit.importance)
        return x->submit.importance > y->submit.importance ? -1 : 1;
    return (x->job > y->job) - (x->job < y->job);
}

static int compare_waiting(const qd_tree_node *a, const qd_tree_node *b) {
    return compare(waiting_job(a), waiting_job(b));
}

static int compare_queued(const qd_tree_node *a, const qd_tree_node *b) {
    return compare(queued_job(b), queued_job(a));
}

qd_account_use *qd_limits_create(const qd_team_tree *tree) {
    qd_account_use *accounts = calloc((size_t)tree->count, sizeof *accounts);
    for (int i = 0; accounts && i < tree->count; i++) {
        accounts[i].waiting.compare = compare_waiting;
        accounts[i].queued.compare = compare_queued;
    }
    return accounts;
}

static int parent_of(const qd_core *core, int team) {
    return core->teams->team[team].parent;
}

static bool over(int64_t most, int64_t number) {
    return most > 0 && number > most;
}

static bool is_over(const qd_core *core, int team, int64_t jobs, int64_t ranks) {
    const qd_team *limits = &core->teams->team[team];
    return over(limits->most_jobs, jobs) || over(limits->most_ranks, ranks);
}

static bool fits(const qd_core *core, const qd_job_record *job, int team) {
    const qd_account_use *use = &core->accounts[team];
    return !is_over(core, team, use->jobs + 1, use->ranks + job->submit.ranks_min);
}

/* Another one that waits for this team is let in first. */
static bool has_to_queue(const qd_core *core, const qd_job_record *job, int team) {
    const qd_job_record *first = waiting_job(qd_tree_first(&core->accounts[team].waiting));
    return first && compare(first, job) < 0;
}

/* The lowest team that keeps it waiting. */
static int find_blocker(const qd_core *core, const qd_job_record *job) {
    int team = job->submit.account;
    while (team != QD_NO_TEAM && fits(core, job, team) && !has_to_queue(core, job, team))
        team = parent_of(core, team);
    return team;
}

bool qd_limits_exceeded(const qd_core *core, const qd_job_record *job) {
    if (!core->accounts || job->counted_ranks > 0)
        return false;
    return find_blocker(core, job) != QD_NO_TEAM;
}

qd_reason qd_limits_reason(const qd_core *core, const qd_job_record *job) {
    int team = job->waits_at;
    bool jobs = over(core->teams->team[team].most_jobs, core->accounts[team].jobs + 1);
    return jobs ? QD_REASON_ACCOUNT_JOBS : QD_REASON_ACCOUNT_RANKS;
}

int qd_limits_forbid(const qd_core *core, const qd_job_record *job) {
    int team = job->submit.account;
    while (team != QD_NO_TEAM && !over(core->teams->team[team].most_ranks, job->submit.ranks_min))
        team = parent_of(core, team);
    return team;
}

int64_t qd_limits_most_ranks(const qd_core *core, const qd_job_record *job) {
    int64_t most = 0;
    for (int team = job->submit.account; team != QD_NO_TEAM; team = parent_of(core, team)) {
        int64_t ranks = core->teams->team[team].most_ranks;
        most = ranks > 0 && (most == 0 || ranks < most) ? ranks : most;
    }
    return most;
}

/* ---- counting ---- */

static void leave_queued(qd_core *core, qd_job_record *job) {
    for (int team = job->submit.account; team != QD_NO_TEAM; team = parent_of(core, team))
        qd_tree_remove(&core->accounts[team].queued,
                       &job->in_queued[core->teams->team[team].level].node);
}

static void leave_place(qd_core *core, qd_job_record *job) {
    if (job->account_place == QD_ACCOUNT_WAITING)
        qd_tree_remove(&core->accounts[job->waits_at].waiting, &job->in_account);
    else if (job->account_place == QD_ACCOUNT_QUEUED)
        leave_queued(core, job);
    job->account_place = QD_ACCOUNT_NONE;
}

/* team: QD_NO_TEAM stands for its account. */
static void wait_at(qd_core *core, qd_job_record *job, int team) {
    if (team == QD_NO_TEAM)
        team = job->submit.account;
    leave_place(core, job);
    job->account_place = QD_ACCOUNT_WAITING;
    job->waits_at = team;
    qd_tree_insert(&core->accounts[team].waiting, &job->in_account, (uint64_t)job->job);
}

static void enter_queued(qd_core *core, qd_job_record *job) {
    leave_place(core, job);
    job->account_place = QD_ACCOUNT_QUEUED;
    for (int team = job->submit.account; team != QD_NO_TEAM; team = parent_of(core, team)) {
        qd_queued_place *place = &job->in_queued[core->teams->team[team].level];
        place->job = job;
        qd_tree_insert(&core->accounts[team].queued, &place->node, (uint64_t)job->job);
    }
}

static void set_ranks(qd_core *core, qd_job_record *job, int ranks) {
    for (int team = job->submit.account; team != QD_NO_TEAM; team = parent_of(core, team)) {
        core->accounts[team].jobs += (ranks > 0) - (job->counted_ranks > 0);
        core->accounts[team].ranks += ranks - job->counted_ranks;
    }
    job->counted_ranks = ranks;
}

static void count(qd_core *core, qd_job_record *job) {
    set_ranks(core, job, job->submit.ranks_min);
    enter_queued(core, job);
}

static void stop_counting(qd_core *core, qd_job_record *job) {
    leave_place(core, job);
    set_ranks(core, job, 0);
}

/* Those that wait for this team, as many as it may hold; some of them then wait for another. */
static void let_in_at(qd_core *core, int team) {
    for (;;) {
        qd_job_record *first = waiting_job(qd_tree_first(&core->accounts[team].waiting));
        if (!first || !fits(core, first, team))
            return;
        int blocker = find_blocker(core, first);
        if (blocker == QD_NO_TEAM) {
            qd_job_reconsider(core, first);
        } else {
            wait_at(core, first, blocker);
            qd_job_set_gate_reason(core, first);
        }
    }
}

/* From an account upwards: who is let in below may have to wait further up. */
static void let_in(qd_core *core, int account) {
    for (int team = account; team != QD_NO_TEAM; team = parent_of(core, team))
        let_in_at(core, team);
}

void qd_limits_note_gate(qd_core *core, qd_job_record *job) {
    if (!core->accounts)
        return;
    if (job->gate == QD_GATE_OPEN) {
        bool had_more = job->counted_ranks > job->submit.ranks_min;
        count(core, job);
        if (had_more)
            let_in(core, job->submit.account);
        return;
    }
    bool had_place = job->account_place != QD_ACCOUNT_NONE || job->counted_ranks > 0;
    stop_counting(core, job);
    if (job->gate == QD_GATE_ACCOUNT)
        wait_at(core, job, find_blocker(core, job));
    if (had_place)
        let_in(core, job->submit.account);
}

/* ---- who is put out ---- */

/* Whether it would fit if all that are less important and in this team left the queue. */
static bool can_displace_at(const qd_core *core, const qd_job_record *job, int team) {
    const qd_account_use *use = &core->accounts[team];
    const qd_tree_node *node = qd_tree_first(&use->queued);
    int64_t jobs = use->jobs + 1, ranks = use->ranks + job->submit.ranks_min;
    while (is_over(core, team, jobs, ranks)) {
        const qd_job_record *other = queued_job(node);
        if (!other || other->submit.importance >= job->submit.importance)
            return false;
        jobs--;
        ranks -= other->counted_ranks;
        node = qd_tree_after(&use->queued, node);
    }
    return true;
}

/* Those in a team are in all above it: what is enough for each is enough for all together. */
static bool can_displace(const qd_core *core, const qd_job_record *job) {
    int team = job->submit.account;
    while (team != QD_NO_TEAM && !has_to_queue(core, job, team) && can_displace_at(core, job, team))
        team = parent_of(core, team);
    return team == QD_NO_TEAM;
}

bool qd_limits_displace(qd_core *core, qd_job_record *job) {
    if (!can_displace(core, job))
        return false;
    /* First of all, so that those who leave do not find their places free. */
    count(core, job);
    for (int team = job->submit.account; team != QD_NO_TEAM; team = parent_of(core, team)) {
        qd_account_use *use = &core->accounts[team];
        while (is_over(core, team, use->jobs, use->ranks)) {
            qd_job_record *other = queued_job(qd_tree_first(&use->queued));
            stop_counting(core, other);
            qd_job_reconsider(core, other);
        }
    }
    let_in(core, job->submit.account); /* they may have left more than it takes */
    return true;
}

/* ---- starts and ends ---- */

bool qd_limits_take(qd_core *core, qd_job_record *job, int more_ranks) {
    if (!core->accounts)
        return true;
    for (int team = job->submit.account; team != QD_NO_TEAM; team = parent_of(core, team))
        if (over(core->teams->team[team].most_ranks, core->accounts[team].ranks + more_ranks))
            return false;
    set_ranks(core, job, job->counted_ranks + more_ranks);
    return true;
}

int64_t qd_limits_room(const qd_core *core, const qd_job_record *job) {
    int64_t least = INT64_MAX;
    if (core->accounts && job->counted_ranks == 0)
        return 0; /* it has started in a reservation */
    for (int team = core->accounts ? job->submit.account : QD_NO_TEAM; team != QD_NO_TEAM;
         team = parent_of(core, team)) {
        int64_t most = core->teams->team[team].most_ranks, room = most - core->accounts[team].ranks;
        least = most > 0 && room < least ? room : least;
    }
    return least > 0 ? least : 0;
}

void qd_limits_resize(qd_core *core, qd_job_record *job, int ranks) {
    if (!core->accounts || job->counted_ranks == 0 || ranks == job->counted_ranks)
        return;
    set_ranks(core, job, ranks);
    let_in(core, job->submit.account);
}

void qd_limits_note_start(qd_core *core, qd_job_record *job) {
    if (core->accounts)
        leave_place(core, job);
}

void qd_limits_note_end(qd_core *core, qd_job_record *job) {
    if (core->accounts)
        stop_counting(core, job);
}

void qd_limits_settle(qd_core *core, const qd_job_record *job) {
    if (core->accounts)
        let_in(core, job->submit.account);
}

void qd_limits_revise(qd_core *core, qd_job_record *job) {
    if (!core->accounts)
        return;
    int blocker = find_blocker(core, job);
    if (job->gate == QD_GATE_ACCOUNT)
        wait_at(core, job, blocker);
    else if (job->gate == QD_GATE_OPEN && blocker == QD_NO_TEAM)
        count(core, job);
}

void qd_limits_take_over(qd_core *core, qd_job_record *job) {
    if (!core->accounts)
        return;
    int ranks = job->counted_ranks;
    job->counted_ranks = 0;
    set_ranks(core, job, ranks);
    qd_account_place place = job->account_place;
    job->account_place = QD_ACCOUNT_NONE;
    if (place == QD_ACCOUNT_WAITING)
        wait_at(core, job, job->waits_at);
    else if (place == QD_ACCOUNT_QUEUED)
        enter_queued(core, job);
}
