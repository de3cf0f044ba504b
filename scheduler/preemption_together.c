#include "scheduler/preemption_together.h"

#include <stdio.h>
#include <stdlib.h>

#include "scheduler/core_internal.h"
#include "scheduler/preemption.h"
#include "scheduler/progress.h"
#include "scheduler/together.h"

/* ---- ranks that are claimed ---- */

bool qd_claimed_are_whole(const qd_core *core, const qd_job_record *job) {
    for (int i = 0; i < job->claimed; i++)
        if (core->ranks.rank[job->ranks[i]].claimed_by != job->job)
            return false;
    return true;
}

bool qd_claimed_are_free(const qd_core *core, const qd_job_record *job) {
    for (int i = 0; i < job->claimed; i++)
        if (core->ranks.rank[job->ranks[i]].state != QD_RANK_CLAIMED)
            return false;
    return qd_claimed_are_whole(core, job);
}

void qd_give_back_claimed(qd_core *core, qd_job_record *job) {
    for (int i = 0; i < job->claimed; i++)
        if (core->ranks.rank[job->ranks[i]].claimed_by == job->job)
            qd_ranks_claim(&core->ranks, job->ranks[i], 0);
    job->claimed = 0;
}

static void claim(qd_core *core, qd_job_record *job, int rank) {
    qd_ranks_claim(&core->ranks, rank, job->job);
    job->ranks[job->claimed++] = rank;
}

/* ---- a place, and who is in it ---- */

/* A part of the row, and what it would take to make it wide enough. */
typedef struct bid {
    int first, end; /* positions */
    int free;       /* ranks that it could have at once */
    int victims;    /* of core->running, in front */
    int importance; /* the highest among them */
    double lost_rank_s;
} bid;

static bool has_memory(const qd_core *core, const qd_job_record *job, int position) {
    const qd_places *places = &core->ranks.places;
    int64_t has = places->islands[places->island_of[position]].memory_bytes;
    return has >= job->submit.demand.memory_bytes;
}

/* Counts the free ranks, and the ranks of each that may make room into its `room`; lists those.
 * Returns how many. */
static int look_at_ranks(qd_core *core, const qd_job_record *job, bid *b) {
    int n = 0;
    for (int at = b->first; at < b->end; at++) {
        const qd_rank *rank = &core->ranks.rank[core->ranks.places.rank_at[at]];
        if (!has_memory(core, job, at) || rank->drained)
            continue;
        b->free += rank->state == QD_RANK_FREE;
        if (rank->state != QD_RANK_HELD)
            continue;
        qd_job_record *other = qd_jobs_find(&core->jobs, rank->job);
        if (!qd_preemption_may_make_room(core, job, other))
            continue;
        if (other->room++ == 0)
            core->running[n++] = other;
    }
    return n;
}

static int compare(const void *a, const void *b) {
    const qd_job_record *x = *(qd_job_record *const *)a, *y = *(qd_job_record *const *)b;
    if (x->submit.importance != y->submit.importance)
        return x->submit.importance < y->submit.importance ? -1 : 1;
    if (x->lost_rank_s != y->lost_rank_s)
        return x->lost_rank_s < y->lost_rank_s ? -1 : 1;
    if (x->room != y->room)
        return x->room > y->room ? -1 : 1;
    return (y->job > x->job) - (y->job < x->job);
}

/* The cheapest of n that free so many ranks, in front; of them nobody who is not needed. Returns
 * how many; 0: too few. */
static int choose(qd_core *core, int n, int missing) {
    qd_job_record **candidates = core->running;
    int count = 0, surplus = -missing, kept = 0;
    for (int i = 0; i < n; i++)
        candidates[i]->lost_rank_s = qd_progress_unsaved_rank_s(candidates[i], core->now_ns);
    qsort(candidates, (size_t)n, sizeof *candidates, compare);
    while (count < n && surplus < 0)
        surplus += candidates[count++]->room;
    if (surplus < 0)
        return 0;
    for (int i = count - 1; i >= 0; i--)
        if (candidates[i]->room <= surplus) {
            surplus -= candidates[i]->room;
            candidates[i]->room = 0; /* let off */
        }
    for (int i = 0; i < count; i++)
        if (candidates[i]->room > 0)
            candidates[kept++] = candidates[i];
    return kept;
}

/* Fills in what the place would cost; false: it cannot be made wide enough, or needs nobody. */
static bool appraise(qd_core *core, const qd_job_record *job, bid *b) {
    int64_t unclaimed = qd_unclaimed_ranks(core), there = qd_preemption_there(core, job);
    int64_t most = there < unclaimed ? there : unclaimed;
    int n = look_at_ranks(core, job, b);
    if (b->free > most)
        b->free = most > 0 ? (int)most : 0;
    for (int i = 0; i < n; i++)
        core->running[core->ranks.count + i] = core->running[i]; /* choose loses some of them */
    b->victims = b->free < job->entry.ranks ? choose(core, n, job->entry.ranks - b->free) : 0;
    b->importance = -101;
    for (int i = 0; i < b->victims; i++) {
        const qd_job_record *victim = core->running[i];
        b->lost_rank_s += victim->lost_rank_s;
        if (victim->submit.importance > b->importance)
            b->importance = victim->submit.importance;
    }
    for (int i = 0; i < n; i++)
        core->running[core->ranks.count + i]->room = 0;
    return b->victims > 0;
}

static bool is_cheaper(const bid *a, const bid *b) {
    if (a->importance != b->importance)
        return a->importance < b->importance;
    if (a->lost_rank_s != b->lost_rank_s)
        return a->lost_rank_s < b->lost_rank_s;
    return a->victims < b->victims;
}

static bool find_cheapest(qd_core *core, const qd_job_record *job, bid *best) {
    const qd_places *places = &core->ranks.places;
    bool found = false;
    for (int at = 0; at < places->ranks;) {
        bid b = {.first = at, .end = qd_end_of_spot(places, job->submit.demand.within, at)};
        at = b.end;
        if (!appraise(core, job, &b) || (found && !is_cheaper(&b, best)))
            continue;
        *best = b;
        found = true;
    }
    return found;
}

/* Those that are free, and then such as are being saved. */
static void claim_ranks(qd_core *core, qd_job_record *job, const bid *b) {
    int free = b->free;
    for (int saved = 0; saved < 2; saved++)
        for (int at = b->first; at < b->end && job->claimed < job->entry.ranks; at++) {
            int number = core->ranks.places.rank_at[at];
            const qd_rank *rank = &core->ranks.rank[number];
            if (!has_memory(core, job, at) || rank->drained || rank->claimed_by)
                continue;
            bool takes =
                saved ? rank->state == QD_RANK_HELD && qd_jobs_find(&core->jobs, rank->job)->chosen
                      : rank->state == QD_RANK_FREE && free-- > 0;
            if (takes)
                claim(core, job, number);
        }
}

bool qd_make_room_together(qd_core *core, qd_job_record *job, int64_t grace_ns) {
    char text[QD_REASON_WORDS_BYTES];
    bid best = {0};
    if (!find_cheapest(core, job, &best))
        return false;
    bid again = {.first = best.first, .end = best.end};
    appraise(core, job, &again); /* its victims in front once more */
    for (int i = 0; i < again.victims; i++)
        core->running[i]->chosen = true;
    claim_ranks(core, job, &again);
    snprintf(text, sizeof text, "makes room for job %lld", (long long)job->job);
    for (int i = 0; i < again.victims; i++) {
        core->running[i]->chosen = false;
        qd_job_preempt(core, core->running[i], grace_ns, text);
    }
    return true;
}
