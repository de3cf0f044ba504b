#include "scheduler/placement.h"

#include <stdlib.h>

bool qd_placement_fits(qd_rank_table *table, const qd_demand *demand, int count) {
    qd_places *places = &table->places;
    qd_places_look(places, demand->memory_bytes);
    if (demand->within == QD_WITHIN_ANYTHING)
        return count <= places->usable;
    bool island = demand->within == QD_WITHIN_ISLAND;
    return qd_places_best_fit(island ? &places->islands_by_usable : &places->hosts_by_usable,
                              count);
}

static int measure_of(const qd_island *island, qd_measure measure) {
    switch (measure) {
    case QD_MEASURE_FREE:
        return island->free;
    case QD_MEASURE_IN_SERVICE:
        return island->in_service;
    default:
        return island->alive;
    }
}

int qd_placement_most(const qd_rank_table *table, const qd_demand *demand, qd_measure measure) {
    const qd_places *places = &table->places;
    int most = 0, sum = 0;
    for (int i = 0; i < places->island_count; i++) {
        const qd_island *island = &places->islands[i];
        bool apart =
            i > 0 && (demand->within == QD_WITHIN_ISLAND ||
                      (demand->within == QD_WITHIN_HOST && island->host != island[-1].host));
        bool has_memory = island->memory_bytes >= demand->memory_bytes;
        sum = (apart ? 0 : sum) + (has_memory ? measure_of(island, measure) : 0);
        most = sum > most ? sum : most;
    }
    return most;
}

/* ---- how many from which island ---- */

/* A choice that is being made: so many are `taken` of each of these islands. */
typedef struct choice {
    qd_places *places;
    int *pieces, piece_count;
    int unit; /* members of a group of peers */
} choice;

static void take(choice *c, int number, int ranks) {
    qd_island *island = &c->places->islands[number];
    if (island->taken == 0 && ranks > 0)
        c->pieces[c->piece_count++] = number;
    island->taken += ranks;
}

static void give_back(choice *c) {
    for (int i = 0; i < c->piece_count; i++)
        c->places->islands[c->pieces[i]].taken = 0;
    c->piece_count = 0;
}

/* Takes as much as there is of the widest spots, and the rest of the one that it fits best; of each
 * but that one whole groups. Returns how many could not be had so. */
static int spread(choice *c, const qd_tree *by_usable, int count, int unit,
                  void (*take_of)(choice *c, int number, int ranks)) {
    for (const qd_spot *spot = qd_places_widest(by_usable); spot && count > 0;
         spot = qd_places_next_widest(by_usable, spot)) {
        if (spot->usable >= count) {
            /* One as wide as this may have been taken; a narrower one has not. */
            const qd_spot *best = qd_places_best_fit(by_usable, count);
            take_of(c, best->usable < spot->usable ? best->number : spot->number, count);
            return 0;
        }
        int whole = spot->usable - spot->usable % unit;
        if (whole == 0)
            return count;
        take_of(c, spot->number, whole);
        count -= whole;
    }
    return count;
}

/* Groups for which no island is wide enough lie on several islands of the host. */
static void take_of_host(choice *c, int number, int ranks) {
    const qd_tree *islands = &c->places->hosts[number].islands_by_usable;
    int left = spread(c, islands, ranks, c->unit, take);
    for (const qd_spot *spot = qd_places_widest(islands); left > 0;
         spot = qd_places_next_widest(islands, spot)) {
        int untaken = spot->usable - c->places->islands[spot->number].taken;
        int more = untaken < left ? untaken : left;
        take(c, spot->number, more);
        left -= more;
    }
}

static void take_all(choice *c, int count) {
    qd_places *places = c->places;
    const qd_spot *island = qd_places_best_fit(&places->islands_by_usable, count);
    const qd_spot *host = qd_places_best_fit(&places->hosts_by_usable, count);
    if (island) {
        take(c, island->number, count);
    } else if (host) {
        take_of_host(c, host->number, count);
    } else if (spread(c, &places->hosts_by_usable, count, c->unit, take_of_host) > 0) {
        give_back(c);
        spread(c, &places->hosts_by_usable, count, 1, take_of_host);
    }
}

/* ---- which of its ranks, in which order ---- */

static int compare_numbers(const void *a, const void *b) {
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

/* The position from which on the island's free ranks are taken. */
static int first_position(qd_places *places, const qd_island *island) {
    int first = places->island_count == 1
                    ? qd_free_ranks_lowest_run(&places->free, island->taken)
                    : qd_free_ranks_run_in(&places->free, island->first,
                                           island->first + island->count, island->taken);
    return first >= 0 ? first : island->first;
}

typedef struct emission {
    choice *c;
    int *chosen, count;
} emission;

static void emit(emission *e, int piece, int ranks) {
    qd_places *places = e->c->places;
    qd_island *island = &places->islands[e->c->pieces[piece]];
    for (; ranks > 0; ranks--, island->taken--) {
        int position = qd_free_ranks_next(&places->free, island->next);
        island->next = position + 1;
        e->chosen[e->count++] = places->rank_at[position];
    }
}

/* First the groups that lie in one island, then those on one host, then the rest. */
static void emit_all(emission *e) {
    const choice *c = e->c;
    const qd_island *islands = c->places->islands;
    for (int i = 0; i < c->piece_count; i++)
        emit(e, i, islands[c->pieces[i]].taken - islands[c->pieces[i]].taken % c->unit);
    for (int i = 0, end; i < c->piece_count; i = end) {
        int left = 0;
        for (end = i;
             end < c->piece_count && islands[c->pieces[end]].host == islands[c->pieces[i]].host;
             end++)
            left += islands[c->pieces[end]].taken;
        left -= left % c->unit;
        for (int k = i; k < end && left > 0; k++) {
            int taken = islands[c->pieces[k]].taken, part = taken < left ? taken : left;
            emit(e, k, part);
            left -= part;
        }
    }
    for (int i = 0; i < c->piece_count; i++)
        emit(e, i, islands[c->pieces[i]].taken);
}

void qd_placement_choose(qd_rank_table *table, const qd_demand *demand, int count, int *chosen) {
    qd_places *places = &table->places;
    choice c = {
        .places = places, .pieces = places->pieces, .unit = demand->peers > 1 ? demand->peers : 1};
    qd_places_look(places, demand->memory_bytes);
    take_all(&c, count);
    qsort(c.pieces, (size_t)c.piece_count, sizeof *c.pieces, compare_numbers);
    for (int i = 0; i < c.piece_count; i++) {
        qd_island *island = &places->islands[c.pieces[i]];
        island->next = first_position(places, island);
    }
    emit_all(&(emission){.c = &c, .chosen = chosen});
}
