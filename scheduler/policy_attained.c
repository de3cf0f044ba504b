/*
 * Least attained service, for run times that nobody knows: after Tiresias (Gu et al., NSDI 2019,
 * discretized two-dimensional LAS). A job starts in the first of a few queues and sinks into the
 * next as the rank-seconds that it was given pass each queue's limit; so the many short jobs get
 * through, and long ones share what they leave. Within a queue: first come, first served. A job
 * that has waited `promotion` times as long as it has run in all begins anew in the first queue, so
 * that none starves. Nor does a wide one starve behind narrow ones that are too young to be told to
 * save whenever they are looked at: who comes first, and has waited `promotion` times as long as it
 * has run or as a quantum, keeps whatever becomes free until it can start. So the first in the
 * queue waits for patience, two quanta and a save at most. A gang that lost a rank has a claim, too
 * (regroup.h).
 *
 * Who runs is looked at once a quantum, since a change costs a save and a restart: the jobs,
 * running and pending, in order, take the cluster's ranks while they fit (first of all those that
 * started less than a quantum ago, so that a start is never for nothing); running ones that get
 * none save and go back into the queue, pending ones that get some claim what is being freed. In
 * between, free ranks that nobody claims go to pending jobs in order; choosy jobs (together.h) get
 * no others, since nobody saves for them. O((r + s) log n) a look, with r running jobs and s that
 * start; O(log n) a start in between.
 */
#include <math.h>
#include <stdlib.h>

#include "scheduler/core_internal.h"
#include "scheduler/policy.h"
#include "scheduler/regroup.h"
#include "scheduler/room.h"
#include "scheduler/together.h"

enum { CLAIM_KEY = -1, QUEUE_SHIFT = 61 }; /* claims come before all queues */

static int64_t ns(double seconds) {
    return llround(seconds * 1e9);
}

static int queue_of(const qd_core *core, const qd_job_record *job) {
    int queue = 0;
    double service_rank_s = (double)job->attained.service_rank_us * 1e-6;
    while (queue < QD_ATTAINED_QUEUES - 1 && service_rank_s >= core->scheduling.limits[queue])
        queue++;
    return queue;
}

/* Queue first, then since when the job has been in it. */
static int64_t place_of(const qd_job_record *job) {
    return ((int64_t)job->attained.queue << QUEUE_SHIFT) + job->attained.since_ns;
}

static int64_t key(const qd_core *core, const qd_job_record *job) {
    (void)core;
    return job->attained.claims ? CLAIM_KEY : place_of(job);
}

static void enter_queue(qd_core *core, qd_job_record *job, int queue) {
    job->attained.queue = queue;
    job->attained.since_ns = core->now_ns;
}

static void sink(qd_core *core, qd_job_record *job) {
    int queue = queue_of(core, job);
    if (queue != job->attained.queue)
        enter_queue(core, job, queue);
}

/* Counts the time since it was last counted, in which the job held so many ranks. */
static void count(qd_attained *attained, int64_t now_ns, int ranks) {
    int64_t passed = now_ns - attained->counted_ns;
    attained->counted_ns = now_ns;
    if (ranks == 0) {
        attained->waited_ns += passed;
        return;
    }
    attained->service_rank_us += passed / 1000 * ranks;
}

/* When it will have waited for long enough. A job that never ran is in the first queue already. */
static int64_t promotion_ns(const qd_core *core, const qd_job_record *job) {
    const qd_attained *a = &job->attained;
    if (job->run_before_ns == 0)
        return QD_NEVER;
    int64_t wait_ns = llround(core->scheduling.promotion * (double)job->run_before_ns);
    return qd_time_after(a->counted_ns - a->waited_ns, wait_ns);
}

static void enters(qd_core *core, qd_job_record *job) {
    if (job->attempt > 0) {
        count(&job->attained, core->now_ns, job->submit.ranks_min);
        sink(core, job);
    } else {
        enter_queue(core, job, 0);
    }
    job->attained.counted_ns = core->now_ns;
    job->attained.claims = qd_is_owed(core, job) && !qd_is_choosy(job);
    qd_moves_set(&core->moves, job, promotion_ns(core, job));
}

static void leaves(qd_core *core, qd_job_record *job) {
    qd_moves_set(&core->moves, job, QD_NEVER);
    count(&job->attained, core->now_ns, 0);
    job->attained.claims = false;
}

static void resizes(qd_core *core, qd_job_record *job) {
    count(&job->attained, core->now_ns, job->gang.size);
}

static void promote(qd_core *core) {
    while (qd_moves_first_ns(&core->moves) <= core->now_ns) {
        qd_job_record *job = qd_moves_first(&core->moves);
        job->attained.service_rank_us = job->attained.waited_ns = 0;
        job->attained.counted_ns = core->now_ns;
        enter_queue(core, job, 0);
        qd_moves_set(&core->moves, job, QD_NEVER); /* once it runs again */
        qd_job_requeue(core, job);
    }
}

/* ---- a look at who runs ---- */

static int compare_running(const void *a, const void *b) {
    const qd_job_record *x = *(qd_job_record *const *)a, *y = *(qd_job_record *const *)b;
    if (x->attained.young != y->attained.young)
        return x->attained.young ? -1 : 1;
    if (x->entry.key != y->entry.key)
        return x->entry.key < y->entry.key ? -1 : 1;
    return (x->job > y->job) - (x->job < y->job);
}

/* The jobs that could be told to save, in order; returns how many. */
static int find_running(qd_core *core) {
    int64_t quantum = ns(core->scheduling.quantum_s);
    int n = 0;
    for (qd_job_record *job = core->jobs.active.first; job; job = job->next) {
        if (job->state != QD_STATE_RUNNING || job->inside > 0)
            continue;
        count(&job->attained, core->now_ns, job->gang.size);
        sink(core, job);
        job->entry.key = place_of(job);
        job->attained.young = core->now_ns - job->start_ns < quantum;
        core->running[n++] = job;
    }
    qsort(core->running, (size_t)n, sizeof *core->running, compare_running);
    return n;
}

static bool comes_before(const qd_job_record *running, const qd_queue_entry *pending) {
    if (!pending || running->attained.young)
        return true;
    if (running->entry.key != pending->key)
        return running->entry.key < pending->key;
    return running->job < pending->job;
}

/* Ranks that can be handed out: all that serve, but those of gangs that end of themselves. */
static int64_t ranks_to_share(const qd_core *core, int running) {
    int64_t ranks = core->ranks.in_state[QD_RANK_FREE] + core->saving_ranks;
    for (int i = 0; i < running; i++)
        ranks += core->running[i]->gang.size;
    return ranks;
}

static void claim(qd_core *core, qd_job_record *job) {
    if (job->attained.claims)
        return;
    job->attained.claims = true;
    qd_job_requeue(core, job);
}

/* Of a pending job. */
static bool starves(const qd_core *core, const qd_job_record *job) {
    int64_t quantum = ns(core->scheduling.quantum_s), run = job->run_before_ns;
    double patience = core->scheduling.promotion * (double)(run > quantum ? run : quantum);
    return (double)(core->now_ns - job->pending_ns) >= patience;
}

/* The first of the queue, if it starves: it claims ranks that the young still hold. NULL: not, or
 * what others free need not be together. */
static const qd_queue_entry *claim_for_starving(qd_core *core) {
    const qd_queue_entry *first = qd_queue_first(&core->queue);
    qd_job_record *job = first ? qd_job_of_entry(first) : NULL;
    if (!job || qd_is_choosy(job) || !starves(core, job))
        return NULL;
    claim(core, job);
    return first;
}

/* Hands out the ranks in order; who gets none and runs is told to save. */
static void look(qd_core *core) {
    promote(core);
    int running = find_running(core);
    int64_t left = ranks_to_share(core, running);
    qd_queue_entry place;
    const qd_queue_entry *last = claim_for_starving(core);
    if (last) {
        left -= last->ranks;
        place = *last;
        last = &place;
    }
    for (int i = 0;;) {
        qd_gap gap = {.ranks = left, .beyond = left, .open = left};
        qd_queue_entry *pending = qd_queue_fitting(&core->queue, last, &gap);
        if (i == running && !pending)
            return;
        if (i < running && comes_before(core->running[i], pending)) {
            qd_job_record *job = core->running[i++];
            if (job->gang.size <= left || job->attained.young)
                left -= job->gang.size;
            else
                qd_job_preempt(core, job, QD_NEVER, "saves to make room for jobs that had less");
            continue;
        }
        place = *pending;
        last = &place;
        if (qd_is_choosy(qd_job_of_entry(pending)))
            continue; /* what others free need not be together */
        left -= place.ranks;
        claim(core, qd_job_of_entry(pending));
    }
}

/* ---- starts ---- */

/* Who was to make room has ended otherwise, or ranks were lost: it waits as others do. */
static void give_up_claim(qd_core *core, qd_job_record *job) {
    job->attained.claims = false;
    qd_job_requeue(core, job);
}

/* Though ranks are missing. */
static bool keeps_claim(const qd_core *core, const qd_job_record *job) {
    return starves(core, job) || qd_is_owed(core, job);
}

/* Returns whether one has started. */
static bool start(qd_core *core) {
    int64_t unclaimed = core->ranks.in_state[QD_RANK_FREE] + core->saving_ranks;
    /* Nobody starts without time for a run and a save before a reservation. */
    int64_t free_ranks = core->book.count > 0 ? qd_room_for_ns(core, qd_room_least_ns(core))
                                              : core->ranks.in_state[QD_RANK_FREE];
    qd_queue_entry place;
    const qd_queue_entry *last = NULL;
    bool any = false;
    for (;;) {
        int64_t most = unclaimed < free_ranks ? unclaimed : free_ranks;
        const qd_queue_entry *entry =
            last ? qd_queue_next(&core->queue, last) : qd_queue_first(&core->queue);
        bool claims = entry && entry->key == CLAIM_KEY;
        qd_gap gap = {.ranks = most, .beyond = most, .open = most};
        if (!claims)
            entry = qd_queue_fitting(&core->queue, last, &gap);
        if (!entry)
            return any;
        place = *entry;
        last = &place;
        if (claims && entry->ranks > unclaimed && !keeps_claim(core, qd_job_of_entry(entry))) {
            give_up_claim(core, qd_job_of_entry(entry));
            continue;
        }
        if (!claims && !qd_fits_now(core, qd_job_of_entry(entry), entry->ranks))
            continue;
        unclaimed -= entry->ranks;
        if (entry->ranks <= most) {
            free_ranks -= entry->ranks;
            any = true;
            qd_job_start(core, qd_job_of_entry(entry), entry->ranks,
                         claims ? "room was made for it" : "fits into ranks that nobody claims");
        }
    }
}

static void decide(qd_core *core) {
    if (core->now_ns >= core->next_look_ns) {
        int64_t quantum = ns(core->scheduling.quantum_s);
        look(core);
        core->next_look_ns = core->now_ns - core->now_ns % quantum + quantum;
    }
    /* A start may keep one of the same name waiting, which had a claim. */
    while (start(core) && core->names.kept) {
    }
}

static int64_t wake_ns(const qd_core *core) {
    return core->next_look_ns;
}

const qd_policy qd_policy_attained = {
    .name = "attained",
    .summary = "least attained service first, blind to run times; preempts once a quantum",
    .key = key,
    .enters = enters,
    .leaves = leaves,
    .resizes = resizes,
    .decide = decide,
    .passing = QD_PASSING_BLIND,
    .wake_ns = wake_ns,
    .preempts = true,
};
