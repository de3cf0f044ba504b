#include "scheduler/limits.h"

#include <stddef.h>
#include <stdlib.h>

#include "scheduler/core_internal.h"

static qd_job_record *job_of(const qd_tree_node *node) {
    return node ? (qd_job_record *)((char *)node - offsetof(qd_job_record, in_account)) : NULL;
}

/* The most important first, then in order of their numbers. */
static int compare_waiting(const qd_tree_node *a, const qd_tree_node *b) {
    const qd_job_record *x = job_of(a), *y = job_of(b);
    if (x->submit.importance != y->submit.importance)
        return x->submit.importance > y->submit.importance ? -1 : 1;
    return (x->job > y->job) - (x->job < y->job);
}

static int compare_queued(const qd_tree_node *a, const qd_tree_node *b) {
    return compare_waiting(b, a);
}

qd_account_use *qd_limits_create(void) {
    qd_account_use *accounts = calloc(QD_ACCOUNTS, sizeof *accounts);
    for (int i = 0; accounts && i < QD_ACCOUNTS; i++) {
        accounts[i].waiting.compare = compare_waiting;
        accounts[i].queued.compare = compare_queued;
    }
    return accounts;
}

static qd_account_use *account_of(const qd_core *core, const qd_job_record *job) {
    return &core->accounts[job->submit.account];
}

static bool over(int64_t most, int64_t number) {
    return most > 0 && number > most;
}

static bool fits(const qd_core *core, const qd_job_record *job, int64_t jobs, int64_t ranks) {
    return !over(core->scheduling.account_jobs, jobs + 1) &&
           !over(core->scheduling.account_ranks, ranks + job->submit.ranks_min);
}

/* Another one that waits for its account is let in first. */
static bool has_to_queue(const qd_core *core, const qd_job_record *job) {
    const qd_tree_node *first = qd_tree_first(&account_of(core, job)->waiting);
    return first && compare_waiting(first, &job->in_account) < 0;
}

bool qd_limits_exceeded(const qd_core *core, const qd_job_record *job) {
    if (!core->accounts || job->counted_ranks > 0)
        return false;
    const qd_account_use *use = account_of(core, job);
    return has_to_queue(core, job) || !fits(core, job, use->jobs, use->ranks);
}

qd_reason qd_limits_reason(const qd_core *core, const qd_job_record *job) {
    bool jobs = over(core->scheduling.account_jobs, account_of(core, job)->jobs + 1);
    return jobs ? QD_REASON_ACCOUNT_JOBS : QD_REASON_ACCOUNT_RANKS;
}

bool qd_limits_forbid(const qd_core *core, const qd_job_record *job) {
    return over(core->scheduling.account_ranks, job->submit.ranks_min);
}

/* ---- counting ---- */

static void leave_place(qd_core *core, qd_job_record *job) {
    qd_account_use *use = account_of(core, job);
    if (job->account_place == QD_ACCOUNT_WAITING)
        qd_tree_remove(&use->waiting, &job->in_account);
    else if (job->account_place == QD_ACCOUNT_QUEUED)
        qd_tree_remove(&use->queued, &job->in_account);
    job->account_place = QD_ACCOUNT_NONE;
}

static void take_place(qd_core *core, qd_job_record *job, qd_account_place place) {
    qd_account_use *use = account_of(core, job);
    leave_place(core, job);
    job->account_place = place;
    if (place != QD_ACCOUNT_NONE)
        qd_tree_insert(place == QD_ACCOUNT_WAITING ? &use->waiting : &use->queued, &job->in_account,
                       (uint64_t)job->job);
}

static void set_ranks(qd_core *core, qd_job_record *job, int ranks) {
    qd_account_use *use = account_of(core, job);
    use->jobs += (ranks > 0) - (job->counted_ranks > 0);
    use->ranks += ranks - job->counted_ranks;
    job->counted_ranks = ranks;
}

static void count(qd_core *core, qd_job_record *job) {
    set_ranks(core, job, job->submit.ranks_min);
    take_place(core, job, QD_ACCOUNT_QUEUED);
}

static void stop_counting(qd_core *core, qd_job_record *job) {
    leave_place(core, job);
    set_ranks(core, job, 0);
}

static void let_in(qd_core *core, qd_account_use *use) {
    for (;;) {
        qd_job_record *first = job_of(qd_tree_first(&use->waiting));
        if (!first || !fits(core, first, use->jobs, use->ranks))
            return;
        qd_job_reconsider(core, first);
    }
}

void qd_limits_note_gate(qd_core *core, qd_job_record *job) {
    if (!core->accounts)
        return;
    qd_account_use *use = account_of(core, job);
    if (job->gate == QD_GATE_OPEN) {
        bool had_more = job->counted_ranks > job->submit.ranks_min;
        count(core, job);
        if (had_more)
            let_in(core, use);
        return;
    }
    bool had_place = job->account_place != QD_ACCOUNT_NONE || job->counted_ranks > 0;
    stop_counting(core, job);
    if (job->gate == QD_GATE_ACCOUNT)
        take_place(core, job, QD_ACCOUNT_WAITING);
    if (had_place)
        let_in(core, use);
}

/* ---- who is put out ---- */

/* Whether it would fit if all that are less important left the queue. */
static bool can_displace(const qd_core *core, const qd_job_record *job) {
    const qd_account_use *use = account_of(core, job);
    const qd_tree_node *node = qd_tree_first(&use->queued);
    int64_t jobs = use->jobs, ranks = use->ranks;
    while (!fits(core, job, jobs, ranks)) {
        if (!node || job_of(node)->submit.importance >= job->submit.importance)
            return false;
        jobs--;
        ranks -= job_of(node)->counted_ranks;
        node = qd_tree_after(&use->queued, node);
    }
    return true;
}

bool qd_limits_displace(qd_core *core, qd_job_record *job) {
    qd_account_use *use = account_of(core, job);
    if (has_to_queue(core, job) || !can_displace(core, job))
        return false;
    /* First of all, so that those who leave do not find their places free. */
    count(core, job);
    while (over(core->scheduling.account_jobs, use->jobs) ||
           over(core->scheduling.account_ranks, use->ranks)) {
        qd_job_record *other = job_of(qd_tree_first(&use->queued));
        stop_counting(core, other);
        qd_job_reconsider(core, other);
    }
    return true;
}

/* ---- starts and ends ---- */

bool qd_limits_take(qd_core *core, qd_job_record *job, int more_ranks) {
    if (!core->accounts)
        return true;
    if (over(core->scheduling.account_ranks, account_of(core, job)->ranks + more_ranks))
        return false;
    set_ranks(core, job, job->counted_ranks + more_ranks);
    return true;
}

int64_t qd_limits_room(const qd_core *core, const qd_job_record *job) {
    int64_t most = core->scheduling.account_ranks;
    if (!core->accounts || most == 0)
        return INT64_MAX;
    if (job->counted_ranks == 0)
        return 0; /* it has started in a reservation */
    return most > account_of(core, job)->ranks ? most - account_of(core, job)->ranks : 0;
}

void qd_limits_resize(qd_core *core, qd_job_record *job, int ranks) {
    if (!core->accounts || job->counted_ranks == 0 || ranks == job->counted_ranks)
        return;
    set_ranks(core, job, ranks);
    let_in(core, account_of(core, job));
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
        let_in(core, account_of(core, job));
}

void qd_limits_revise(qd_core *core, qd_job_record *job) {
    if (!core->accounts)
        return;
    if (job->gate == QD_GATE_ACCOUNT)
        take_place(core, job, QD_ACCOUNT_WAITING);
    else if (job->gate == QD_GATE_OPEN && !qd_limits_exceeded(core, job))
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
    take_place(core, job, place);
}
