#include "scheduler/migration.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "scheduler/core_internal.h"
#include "scheduler/placement.h"
#include "scheduler/preemption.h"
#include "scheduler/progress.h"
#include "scheduler/resize.h"
#include "scheduler/room.h"
#include "scheduler/together.h"

static const int64_t hour_ns = INT64_C(3600000000000);

/* A part of the row that the head could have, and what it takes. */
typedef struct spot {
    int first, end;     /* positions */
    int free;           /* ranks that it could have at once */
    int movers;         /* of core->running, in front; each leaves `room` ranks of it */
    double lost_rank_s; /* by them */
} spot;

/* ---- who may move, and how often ---- */

static int64_t moves_left(qd_core *core) {
    if (core->now_ns - core->migrated_since_ns >= hour_ns)
        core->migrated = 0;
    return core->scheduling.migrate_per_hour - core->migrated;
}

static bool may_move(const qd_core *core, const qd_job_record *head, const qd_job_record *job) {
    int64_t least_ns = llround(core->scheduling.min_run_s * 1e9);
    return qd_resize_may_move(job) && job->submit.importance <= head->submit.importance &&
           core->now_ns >= qd_time_after(job->start_ns, least_ns > 0 ? least_ns : 1);
}

/* ---- a place, and who is in it ---- */

static int rank_at(const qd_core *core, int position) {
    return core->ranks.places.rank_at[position];
}

static bool has_memory(const qd_core *core, const qd_job_record *head, int position) {
    const qd_places *places = &core->ranks.places;
    int64_t has = places->islands[places->island_of[position]].memory_bytes;
    return has >= head->submit.demand.memory_bytes;
}

/* Counts free ranks, and into `room` those of each gang that may move; lists these gangs. */
static int look_at_ranks(qd_core *core, const qd_job_record *head, spot *s) {
    int n = 0;
    for (int at = s->first; at < s->end; at++) {
        const qd_rank *rank = &core->ranks.rank[rank_at(core, at)];
        if (!has_memory(core, head, at) || rank->drained)
            continue;
        s->free += rank->state == QD_RANK_FREE;
        qd_job_record *job =
            rank->state == QD_RANK_HELD ? qd_jobs_find(&core->jobs, rank->job) : NULL;
        if (job && may_move(core, head, job) && job->room++ == 0)
            core->running[n++] = job;
    }
    return n;
}

static int compare(const void *a, const void *b) {
    const qd_job_record *x = *(qd_job_record *const *)a, *y = *(qd_job_record *const *)b;
    if (x->lost_rank_s != y->lost_rank_s)
        return x->lost_rank_s < y->lost_rank_s ? -1 : 1;
    if (x->room != y->room)
        return x->room > y->room ? -1 : 1;
    return (x->job > y->job) - (x->job < y->job);
}

/* Of n gangs the cheapest that leave enough, in front, nobody of them who is not needed; returns
 * how many, 0: too few. */
static int choose(qd_core *core, int n, int missing) {
    qd_job_record **jobs = core->running;
    int count = 0, kept = 0, surplus = -missing;
    for (int i = 0; i < n; i++)
        jobs[i]->lost_rank_s = qd_progress_unsaved_rank_s(jobs[i], core->now_ns) +
                               core->scheduling.migrate_cost_s * jobs[i]->gang.size;
    qsort(jobs, (size_t)n, sizeof *jobs, compare);
    while (count < n && surplus < 0)
        surplus += jobs[count++]->room;
    if (surplus < 0)
        return 0;
    for (int i = count - 1; i >= 0; i--)
        if (jobs[i]->room <= surplus) {
            surplus -= jobs[i]->room;
            jobs[i]->room = 0; /* let off */
        }
    for (int i = 0; i < count; i++)
        if (jobs[i]->room > 0)
            jobs[kept++] = jobs[i];
    return kept;
}

/* ---- where they go ---- */

static bool is_in(const qd_core *core, const spot *s, int rank) {
    int at = core->ranks.places.position[rank];
    return at >= s->first && at < s->end;
}

static void hide(qd_core *core, const int *ranks, int count, bool hidden) {
    for (int i = 0; i < count; i++)
        qd_places_hide(&core->ranks.places, ranks[i], hidden);
}

/* A gang that takes any ranks leaves only those of the spot; another one moves as a whole. Its new
 * gang into ranks, what is new of it in front; returns how many are new, 0: there is no place. */
static int find_new_place(qd_core *core, const spot *s, const qd_job_record *job, int *ranks) {
    bool whole = qd_is_choosy(job);
    int count = whole ? job->gang.size : 0;
    for (int i = 0; !whole && i < job->gang.size; i++)
        count += is_in(core, s, job->ranks[i]);
    if (!qd_placement_fits(&core->ranks, &job->submit.demand, count))
        return 0;
    qd_placement_choose(&core->ranks, &job->submit.demand, count, ranks);
    for (int i = 0, n = count; !whole && i < job->gang.size; i++)
        if (!is_in(core, s, job->ranks[i]))
            ranks[n++] = job->ranks[i];
    return count;
}

static int list_free(const qd_core *core, const spot *s, int *ranks) {
    int count = 0;
    for (int at = s->first; at < s->end; at++)
        if (core->ranks.rank[rank_at(core, at)].state == QD_RANK_FREE)
            ranks[count++] = rank_at(core, at);
    return count;
}

/* New gangs of all movers, one behind the other, into targets; what is given away or in the spot is
 * out of sight meanwhile. False: there is no place for one of them. */
static bool find_new_places(qd_core *core, const spot *s, int *targets) {
    int *hidden = core->members;
    int64_t unclaimed = qd_unclaimed_ranks(core) - s->free, moved = 0;
    int count = list_free(core, s, hidden);
    hide(core, hidden, count, true);
    bool found = true;
    for (int i = 0; found && i < s->movers; i++) {
        int fresh = find_new_place(core, s, core->running[i], targets);
        unclaimed -= fresh;
        moved += fresh;
        found = fresh > 0 && unclaimed >= 0;
        hide(core, targets, fresh, true);
        for (int k = 0; k < fresh; k++)
            hidden[count++] = targets[k];
        targets += core->running[i]->gang.size;
    }
    hide(core, hidden, count, false);
    return found && qd_room_for_moves(core, core->running, s->movers, moved);
}

/* ---- which place ---- */

/* Fills in what the place would cost, with the movers in front of running and their new ranks in
 * targets. False: it can't be made wide enough, or needs nobody. */
static bool appraise(qd_core *core, const qd_job_record *head, spot *s) {
    qd_job_record **all = core->running + core->ranks.count;
    int n = look_at_ranks(core, head, s), most = (int)qd_unclaimed_ranks(core);
    s->free = s->free < most ? s->free : most;
    for (int i = 0; i < n; i++)
        all[i] = core->running[i]; /* choose loses some of them */
    int missing = head->entry.ranks - s->free;
    s->movers = missing > 0 ? choose(core, n, missing) : 0;
    for (int i = 0; i < s->movers; i++)
        s->lost_rank_s += core->running[i]->lost_rank_s;
    for (int i = 0; i < n; i++)
        all[i]->room = 0;
    return s->movers > 0 && s->movers <= moves_left(core) &&
           find_new_places(core, s, core->targets);
}

static bool is_cheaper(const spot *a, const spot *b) {
    if (a->lost_rank_s != b->lost_rank_s)
        return a->lost_rank_s < b->lost_rank_s;
    return a->movers < b->movers;
}

static bool find_cheapest(qd_core *core, const qd_job_record *head, spot *best) {
    const qd_places *places = &core->ranks.places;
    bool found = false;
    for (int at = 0; at < places->ranks;) {
        spot s = {.first = at, .end = qd_end_of_spot(places, head->submit.demand.within, at)};
        at = s.end;
        if (!appraise(core, head, &s) || (found && !is_cheaper(&s, best)))
            continue;
        *best = s;
        found = true;
    }
    return found;
}

/* Enough ranks are free, somewhere, for as long as it needs them, and it would wait for longer than
 * a move takes. */
static bool is_worth_it(qd_core *core, const qd_job_record *head) {
    int64_t cost_ns = llround(core->scheduling.migrate_cost_s * 1e9);
    return head->submit.demand.within != QD_WITHIN_ANYTHING &&
           qd_unclaimed_ranks(core) >= head->entry.ranks && !qd_somebody_is_resized(core) &&
           qd_room_fits(core, head, head->entry.ranks) &&
           qd_room_beside(core, &head->entry, qd_preemption_grace_ns(core)) &&
           qd_find_opening(core, head).at_ns > qd_time_after(core->now_ns, cost_ns);
}

void qd_migrate_for(qd_core *core, qd_job_record *head) {
    char why[QD_REASON_WORDS_BYTES];
    spot best = {0};
    if (!core->scheduling.migrate || !is_worth_it(core, head) || moves_left(core) <= 0 ||
        !find_cheapest(core, head, &best))
        return;
    spot again = {.first = best.first, .end = best.end};
    appraise(core, head, &again); /* its movers in front once more */
    if (core->migrated == 0)
        core->migrated_since_ns = core->now_ns;
    core->migrated += again.movers;
    snprintf(why, sizeof why, "job %lld gets ranks together", (long long)head->job);
    const int *targets = core->targets;
    for (int i = 0; i < again.movers; i++) {
        int size = core->running[i]->gang.size;
        qd_job_move(core, core->running[i], targets, why);
        targets += size;
    }
}
