#include "scheduler/together.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "runtime/text.h"
#include "scheduler/core_internal.h"
#include "scheduler/migration.h"
#include "scheduler/preemption.h"
#include "scheduler/room.h"

bool qd_is_choosy(const qd_job_record *job) {
    return job->submit.demand.within != QD_WITHIN_ANYTHING || job->submit.demand.memory_bytes > 0;
}

bool qd_fits_now(qd_core *core, const qd_job_record *job, int ranks) {
    return qd_placement_fits(&core->ranks, &job->submit.demand, ranks) &&
           qd_room_fits(core, job, ranks);
}

int qd_most_ranks(const qd_core *core, const qd_job_record *job, qd_measure measure) {
    if (qd_is_choosy(job) && core->ranks.places.known)
        return qd_placement_most(&core->ranks, &job->submit.demand, measure);
    switch (measure) {
    case QD_MEASURE_FREE:
        return core->ranks.in_state[QD_RANK_FREE];
    case QD_MEASURE_IN_SERVICE:
        return qd_ranks_in_service(&core->ranks);
    default:
        return qd_ranks_alive(&core->ranks);
    }
}

void qd_say_demand(const qd_job_record *job, int most, char *text, size_t size) {
    static const char *const within[QD_WITHINS] = {
        [QD_WITHIN_ANYTHING] = "",
        [QD_WITHIN_HOST] = " on one host",
        [QD_WITHIN_ISLAND] = " in one island",
    };
    const qd_demand *demand = &job->submit.demand;
    int least = job->submit.ranks_min;
    char memory[48] = "";
    if (demand->memory_bytes > 0)
        snprintf(memory, sizeof memory, ", each with %.4g GiB",
                 (double)demand->memory_bytes / 0x1p30);
    snprintf(text, size, "needs %d rank%s%s%s; here are at most %d", least, qd_plural(least),
             within[demand->within], memory, most);
}

/* ---- openings ---- */

int qd_end_of_spot(const qd_places *places, int within, int first) {
    const qd_island *island = &places->islands[places->island_of[first]];
    const qd_island *end = places->islands + places->island_count;
    if (within == QD_WITHIN_ANYTHING)
        return places->ranks;
    int host = island->host;
    do
        island++;
    while (within == QD_WITHIN_HOST && island < end && island->host == host);
    return island < end ? island->first : places->ranks;
}

/* Index of the spot of a rank, as the job's demand goes; -1: it has not the memory. */
static int spot_of(const qd_core *core, const qd_job_record *job, int rank) {
    const qd_places *places = &core->ranks.places;
    const qd_island *island = &places->islands[places->island_of[places->position[rank]]];
    if (island->memory_bytes < job->submit.demand.memory_bytes)
        return -1;
    switch (job->submit.demand.within) {
    case QD_WITHIN_ISLAND:
        return island->of_all.number;
    case QD_WITHIN_HOST:
        return island->host;
    default:
        return 0;
    }
}

static void count_free(const qd_core *core, const qd_job_record *job, int *counts) {
    const qd_places *places = &core->ranks.places;
    memset(counts, 0, (size_t)core->ranks.count * sizeof *counts);
    for (int i = 0; i < places->island_count; i++) {
        int spot = spot_of(core, job, places->rank_at[places->islands[i].first]);
        if (spot >= 0)
            counts[spot] += places->islands[i].free;
    }
}

static const qd_job_record *job_due(const qd_tree_node *node) {
    return (const qd_job_record *)((const char *)node - offsetof(qd_job_record, due));
}

/* Ranks that others can have once it has ended. */
static bool frees(const qd_core *core, const qd_job_record *job, int i) {
    int rank = job->ranks[i];
    const qd_rank *r = &core->ranks.rank[rank];
    return qd_ranks_held_by(&core->ranks, rank, job->job, job->attempt) && !r->drained &&
           !r->kept && !r->reservation;
}

/* Adds its ranks to the counts of their spots. */
static void count_freed(const qd_core *core, const qd_job_record *job, const qd_job_record *other,
                        int *counts) {
    for (int i = 0; i < other->gang.size; i++) {
        int spot = frees(core, other, i) ? spot_of(core, job, other->ranks[i]) : -1;
        if (spot >= 0)
            counts[spot]++;
    }
}

/* A spot of its that has enough now; -1. */
static int find_wide_spot(const qd_core *core, const qd_job_record *job, const qd_job_record *other,
                          const int *counts) {
    for (int i = 0; i < other->gang.size; i++) {
        int spot = frees(core, other, i) ? spot_of(core, job, other->ranks[i]) : -1;
        if (spot >= 0 && counts[spot] >= job->entry.ranks)
            return spot;
    }
    return -1;
}

bool qd_somebody_is_resized(const qd_core *core) {
    for (const qd_job_record *job = core->jobs.active.first; job; job = job->next)
        if (job->resize_to > 0)
            return true;
    return false;
}

qd_opening qd_find_opening(const qd_core *core, const qd_job_record *job) {
    int *counts = core->members;
    const qd_tree *ends = &core->timetable.ends;
    if (qd_somebody_is_resized(core))
        return (qd_opening){.at_ns = QD_NEVER};
    count_free(core, job, counts);
    for (const qd_tree_node *node = qd_tree_first(ends); node; node = qd_tree_after(ends, node)) {
        const qd_job_record *other = job_due(node);
        if (other->due_ns == QD_NEVER)
            break;
        count_freed(core, job, other, counts);
        int spot = find_wide_spot(core, job, other, counts);
        if (spot < 0)
            continue;
        int with_freed = counts[spot];
        count_free(core, job, counts);
        int needed = job->entry.ranks - (with_freed - counts[spot]);
        return (qd_opening){other->due_ns, spot, needed > 0 ? needed : 0};
    }
    return (qd_opening){.at_ns = QD_NEVER};
}

int qd_most_with_room(const qd_core *core, const qd_job_record *job) {
    int *counts = core->members, most = 0;
    count_free(core, job, counts);
    for (const qd_job_record *other = core->jobs.active.first; other; other = other->next)
        if (qd_preemption_may_ask(core, job, other))
            count_freed(core, job, other, counts);
    for (int i = 0; i < core->ranks.count; i++)
        most = counts[i] > most ? counts[i] : most;
    return most;
}

/* ---- backfill ---- */

/* So many free ranks of the spot as the opening needs; returns how many. */
static int find_needed(const qd_core *core, const qd_job_record *job, const qd_opening *opening,
                       int *ranks) {
    const qd_places *places = &core->ranks.places;
    int count = 0;
    for (int at = qd_free_ranks_next(&places->free, 0); at >= 0 && count < opening->needed;
         at = qd_free_ranks_next(&places->free, at + 1))
        if (spot_of(core, job, places->rank_at[at]) == opening->spot)
            ranks[count++] = places->rank_at[at];
    return count;
}

static void hide(qd_core *core, const int *ranks, int count, bool hidden) {
    for (int i = 0; i < count; i++)
        qd_places_hide(&core->ranks.places, ranks[i], hidden);
}

static int count_in_spot(const qd_core *core, const qd_job_record *job, const qd_opening *opening,
                         const qd_job_record *other) {
    int count = 0;
    for (int i = 0; i < other->gang.size; i++)
        count += spot_of(core, job, other->ranks[i]) == opening->spot;
    return count;
}

/* Starts it if it fits; kept ranks are for others. */
static bool start_beside(qd_core *core, qd_job_record *job, const int *kept, int count,
                         const char *why) {
    hide(core, kept, count, true);
    bool fits = qd_fits_now(core, job, job->entry.ranks);
    if (fits)
        qd_job_start(core, job, job->entry.ranks, why);
    hide(core, kept, count, false);
    return fits;
}

bool qd_backfill_around(qd_core *core, const qd_queue_entry *head, int64_t now_free) {
    qd_job_record *first = qd_job_of_entry(head);
    qd_migrate_for(core, first);
    qd_opening opening = qd_find_opening(core, first);
    if (opening.at_ns == QD_NEVER)
        return true;
    char why[QD_REASON_WORDS_BYTES];
    snprintf(why, sizeof why, "does not delay job %lld", (long long)first->job);
    int kept = find_needed(core, first, &opening, core->members);
    const qd_queue_entry *last = head;
    qd_queue_entry place; /* of the last one that was looked at */
    for (;;) {
        qd_gap gap = {.ranks = now_free,
                      .beyond = now_free > kept ? now_free - kept : 0,
                      .open = now_free,
                      .window_ns = opening.at_ns - core->now_ns};
        qd_queue_entry *next = qd_queue_fitting(&core->queue, last, &gap);
        if (!next)
            return true;
        qd_job_record *job = qd_job_of_entry(next);
        bool ends_before = next->run_ns <= gap.window_ns;
        place = *next;
        last = &place;
        if (!start_beside(core, job, core->members, ends_before ? 0 : kept, why))
            continue;
        if (first->gate != QD_GATE_OPEN)
            return false;
        if (core->quotas)
            core->policy->set_room(core);
        now_free -= place.ranks;
        if (!ends_before)
            continue;
        opening.needed -= count_in_spot(core, first, &opening, job);
        kept = find_needed(core, first, &opening, core->members);
    }
}
