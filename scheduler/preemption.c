#include "scheduler/preemption.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "scheduler/core_internal.h"
#include "scheduler/preemption_together.h"
#include "scheduler/progress.h"
#include "scheduler/together.h"

enum { MOST_CLAIMS = 1023, KEY_SHIFT = 41 }; /* steps beyond the offsets of lanes (queue.h) */

static bool is_on(const qd_core *core) {
    return core->policy->by_class && core->scheduling.preempt_by == QD_PREEMPT_CLASS;
}

/* ---- claims ---- */

/* Those that are being saved, too. */
static int64_t ranks_without_claim(const qd_core *core) {
    int64_t free = core->ranks.in_state[QD_RANK_FREE] + core->ranks.in_state[QD_RANK_KEPT];
    return free + core->saving_ranks - core->claimed_ranks;
}

bool qd_claim_is_met(const qd_core *core, const qd_job_record *job) {
    return job->kept > 0 ? qd_kept_are_free(core, job)
                         : job->claim_ranks <= core->ranks.in_state[QD_RANK_FREE];
}

int64_t qd_unclaimed_ranks(const qd_core *core) {
    int64_t now = core->ranks.in_state[QD_RANK_FREE], all = ranks_without_claim(core);
    return now < all ? now : all;
}

int64_t qd_claim_key(const qd_job_record *job) {
    int64_t number = job->claim < MOST_CLAIMS ? job->claim : MOST_CLAIMS;
    int64_t place = (100 - job->submit.importance) * (MOST_CLAIMS + 1) + number;
    return -(INT64_C(1) << 61) + (place << KEY_SHIFT);
}

static int64_t grace_ns(const qd_core *core) {
    return llround(core->scheduling.save_grace_s * 1e9);
}

static void take_claim(qd_core *core, qd_job_record *job, int ranks) {
    job->claim = ++core->claims;
    job->claim_ranks = ranks;
    core->claimed_ranks += ranks;
}

static void drop_claim(qd_core *core, qd_job_record *job) {
    qd_give_back_kept(core, job);
    core->claimed_ranks -= job->claim_ranks;
    job->claim = job->claim_ranks = 0;
    if (core->claimed_ranks == 0)
        core->claims = 0;
}

static void claim(qd_core *core, qd_job_record *job) {
    take_claim(core, job, job->entry.ranks);
    qd_timetable_plan(&core->timetable, job, qd_time_after(core->now_ns, grace_ns(core)));
    qd_job_requeue(core, job);
}

/* It waits as others do. */
static void give_up(qd_core *core, qd_job_record *job) {
    drop_claim(core, job);
    if (job->state != QD_STATE_PENDING)
        return;
    qd_timetable_unplan(&core->timetable, job);
    qd_job_requeue(core, job);
}

void qd_preemption_forget(qd_core *core, qd_job_record *job) {
    if (job->claim == 0)
        return;
    drop_claim(core, job);
    /* Those that save in vain. */
    for (qd_job_record *other = core->jobs.active.first; other; other = other->next)
        if (other->preempted && other->claim == 0 && !qd_is_choosy(other) &&
            other->submit.ranks_min <= ranks_without_claim(core))
            take_claim(core, other, other->submit.ranks_min);
}

void qd_preemption_returned(qd_core *core, qd_job_record *job) {
    bool queued = job->state == QD_STATE_PENDING && job->gate == QD_GATE_OPEN;
    if (!queued)
        qd_preemption_forget(core, job);
    else if (is_on(core) && job->claim == 0 && !qd_is_choosy(job) &&
             job->entry.ranks <= ranks_without_claim(core))
        claim(core, job);
}

/* ---- all claims, wherever their jobs are ---- */

/* The queue's, then those of jobs that save in vain: into jobs, in order; returns how many. */
static int find_claims(const qd_core *core, qd_job_record **jobs) {
    int n = 0;
    for (const qd_queue_entry *entry = qd_queue_first(&core->queue);
         entry && qd_job_of_entry(entry)->claim > 0; entry = qd_queue_next(&core->queue, entry))
        jobs[n++] = qd_job_of_entry(entry);
    for (qd_job_record *job = core->jobs.active.first; job && core->claims > 0; job = job->next)
        if (job->claim > 0)
            jobs[n++] = job;
    return n;
}

/* Of ranks one by one, of which some were lost or drained. */
static void drop_broken_claims(qd_core *core) {
    int n = core->claims > 0 ? find_claims(core, core->running) : 0;
    for (int i = 0; i < n; i++)
        if (!qd_kept_are_whole(core, core->running[i]))
            give_up(core, core->running[i]);
}

void qd_preemption_settle(qd_core *core) {
    drop_broken_claims(core);
    if (ranks_without_claim(core) >= 0)
        return;
    int n = find_claims(core, core->running);
    while (n > 0 && ranks_without_claim(core) < 0)
        give_up(core, core->running[--n]);
}

/* ---- who makes room ---- */

/* From when on it may be told to; QD_NEVER: once it has made a step. */
static int64_t ready_ns(const qd_core *core, const qd_job_record *job) {
    if (job->submit.tells && !job->progress.told)
        return QD_NEVER;
    /* Nobody starts and makes room in one instant. */
    int64_t least_ns = llround(core->scheduling.min_run_s * 1e9);
    return qd_time_after(job->start_ns, least_ns > 0 ? least_ns : 1);
}

static int64_t ranks_of(const qd_job_record *candidate) {
    return candidate->claim > 0 ? candidate->claim_ranks : candidate->planned_ranks;
}

/* Claims first: nothing is lost with them. */
static int compare(const void *a, const void *b) {
    const qd_job_record *x = *(qd_job_record *const *)a, *y = *(qd_job_record *const *)b;
    if ((x->claim > 0) != (y->claim > 0))
        return x->claim > 0 ? -1 : 1;
    if (x->submit.importance != y->submit.importance)
        return x->submit.importance < y->submit.importance ? -1 : 1;
    if (x->lost_rank_s != y->lost_rank_s)
        return x->lost_rank_s < y->lost_rank_s ? -1 : 1;
    if (ranks_of(x) != ranks_of(y))
        return ranks_of(x) < ranks_of(y) ? -1 : 1;
    return (y->job > x->job) - (y->job < x->job);
}

bool qd_preemption_may_ask(const qd_core *core, const qd_job_record *job,
                           const qd_job_record *other) {
    return is_on(core) && other->state == QD_STATE_RUNNING && !other->submit.keeps_ranks &&
           other->submit.importance < job->submit.importance;
}

bool qd_preemption_may_make_room(const qd_core *core, const qd_job_record *job,
                                 const qd_job_record *other) {
    return qd_preemption_may_ask(core, job, other) && ready_ns(core, other) <= core->now_ns;
}

/* All that could, the cheapest first; returns how many. */
static int find_candidates(qd_core *core, const qd_job_record *job) {
    int n = 0;
    for (int i = 0, claims = find_claims(core, core->running); i < claims; i++) {
        qd_job_record *other = core->running[i];
        if (other->submit.importance >= job->submit.importance)
            continue;
        other->lost_rank_s = 0;
        core->running[n++] = other;
    }
    for (qd_job_record *other = core->jobs.active.first; other; other = other->next) {
        if (!qd_preemption_may_make_room(core, job, other))
            continue;
        other->lost_rank_s = qd_progress_unsaved_rank_s(other, core->now_ns);
        core->running[n++] = other;
    }
    qsort(core->running, (size_t)n, sizeof *core->running, compare);
    return n;
}

/* Keeps, of the first n candidates, only those without whom the ranks would be too few; the dearest
 * are let off first. Returns how many are left. */
static int let_off(qd_job_record **candidates, int n, int64_t surplus) {
    int kept = n;
    for (int i = n - 1; i >= 0; i--) {
        if (ranks_of(candidates[i]) > surplus)
            continue;
        surplus -= ranks_of(candidates[i]);
        for (int k = i + 1; k < kept; k++)
            candidates[k - 1] = candidates[k];
        kept--;
    }
    return kept;
}

static int64_t sum_of(qd_job_record **candidates, int from, int to) {
    int64_t ranks = 0;
    for (int i = from; i < to; i++)
        ranks += ranks_of(candidates[i]);
    return ranks;
}

/* Of running candidates from..n, one that is enough alone, of the lowest class, and loses no more
 * than from..to together, takes their place; returns where the chosen ones end. */
static int prefer_one(qd_job_record **candidates, int from, int to, int n, int64_t ranks) {
    double lost_rank_s = 0;
    int lowest = candidates[from]->submit.importance;
    for (int i = from; i < to; i++)
        lost_rank_s += candidates[i]->lost_rank_s;
    for (int i = from; i < n && candidates[to - 1]->submit.importance == lowest &&
                       candidates[i]->submit.importance == lowest;
         i++)
        if (ranks_of(candidates[i]) >= ranks && candidates[i]->lost_rank_s <= lost_rank_s) {
            candidates[from] = candidates[i];
            return from + 1;
        }
    return to;
}

/* Of n candidates, those that make so many ranks free, in front; returns how many, 0: too few. */
static int choose(qd_job_record **candidates, int n, int64_t ranks) {
    int claims = 0, count = 0;
    while (claims < n && candidates[claims]->claim > 0)
        claims++;
    for (int64_t sum = 0; sum < ranks; count++) {
        if (count == n)
            return 0;
        sum += ranks_of(candidates[count]);
    }
    if (count > claims)
        count = prefer_one(candidates, claims, count, n, ranks - sum_of(candidates, 0, claims));
    return let_off(candidates, count, sum_of(candidates, 0, count) - ranks);
}

/* When the next of those that are too young yet may be told. */
static void note_next_room(qd_core *core, const qd_job_record *job) {
    for (const qd_job_record *other = core->jobs.active.first; other; other = other->next) {
        int64_t ready = ready_ns(core, other);
        if (other->state == QD_STATE_RUNNING && !other->submit.keeps_ranks &&
            other->submit.importance < job->submit.importance && ready > core->now_ns &&
            ready < core->next_room_ns)
            core->next_room_ns = ready;
    }
}

/* Somebody of a lower class saves: what it frees is the job's before others'. */
static bool outranks_one_that_saves(const qd_core *core, const qd_job_record *job) {
    for (const qd_job_record *other = core->jobs.active.first; other; other = other->next)
        if (other->preempted && other->submit.importance < job->submit.importance)
            return true;
    return false;
}

bool qd_preemption_make_room(qd_core *core, qd_job_record *job) {
    char text[QD_REASON_WORDS_BYTES];
    if (!is_on(core))
        return false;
    if (qd_is_choosy(job)) {
        if (qd_make_room_together(core, job, grace_ns(core))) {
            claim(core, job);
            return true;
        }
        note_next_room(core, job);
        return false;
    }
    int64_t missing = job->entry.ranks - ranks_without_claim(core);
    int count = 0;
    if (missing > 0) {
        count = choose(core->running, find_candidates(core, job), missing);
        if (count == 0) {
            note_next_room(core, job);
            return false;
        }
    } else if (!outranks_one_that_saves(core, job)) {
        return false;
    }
    snprintf(text, sizeof text, "makes room for job %lld", (long long)job->job);
    for (int i = 0; i < count; i++) {
        if (core->running[i]->claim > 0)
            give_up(core, core->running[i]);
        else
            qd_job_preempt(core, core->running[i], grace_ns(core), text);
    }
    claim(core, job);
    return true;
}
