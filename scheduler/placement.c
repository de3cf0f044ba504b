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

/* In the order of the row. */
static void emit(const choice *c, int *chosen) {
    qd_places *places = c->places;
    int count = 0;
    for (int i = 0; i < c->piece_count; i++) {
        qd_island *island = &places->islands[c->pieces[i]];
        for (int at = first_position(places, island); island->taken > 0; island->taken--, at++) {
            at = qd_free_ranks_next(&places->free, at);
            chosen[count++] = places->rank_at[at];
        }
    }
}

/* ---- the order of a gang ---- */

typedef struct order {
    const qd_places *places;
    int *left, left_count; /* positions, ascending */
    int *ranks, count;     /* those that have their place */
    int unit;
} order;

static int spot_at(const qd_places *places, int position, bool island) {
    int number = places->island_of[position];
    return island ? number : places->islands[number].host;
}

/* Of each island, or else host, whole groups of those that are left. */
static void put_groups(order *o, bool island) {
    int still = 0;
    for (int i = 0, end; i < o->left_count; i = end) {
        int spot = spot_at(o->places, o->left[i], island);
        for (end = i; end < o->left_count && spot_at(o->places, o->left[end], island) == spot;)
            end++;
        int whole = (end - i) / o->unit * o->unit;
        for (int k = i; k < end; k++)
            if (k < i + whole)
                o->ranks[o->count++] = o->places->rank_at[o->left[k]];
            else
                o->left[still++] = o->left[k];
    }
    o->left_count = still;
}

void qd_placement_arrange(qd_rank_table *table, const qd_demand *demand, int count, int *ranks) {
    const qd_places *places = &table->places;
    order o = {.places = places,
               .left = places->pieces,
               .left_count = count,
               .ranks = ranks,
               .unit = demand->peers > 1 ? demand->peers : 1};
    for (int i = 0; i < count; i++)
        o.left[i] = places->position[ranks[i]];
    qsort(o.left, (size_t)count, sizeof *o.left, compare_numbers);
    put_groups(&o, true);
    put_groups(&o, false);
    for (int i = 0; i < o.left_count; i++)
        ranks[o.count++] = places->rank_at[o.left[i]];
}

/* ---- what is asked from outside ---- */

static bool is_beside(const qd_demand *demand, const qd_island *a, const qd_island *b) {
    if (demand->within == QD_WITHIN_ISLAND)
        return a == b;
    return demand->within != QD_WITHIN_HOST || a->host == b->host;
}

static const qd_island *island_of(const qd_places *places, int rank) {
    return &places->islands[places->island_of[places->position[rank]]];
}

int qd_placement_beside(const qd_rank_table *table, const qd_demand *demand, int member) {
    const qd_places *places = &table->places;
    const qd_island *its = island_of(places, member);
    int count = 0;
    for (int i = 0; i < places->island_count; i++) {
        const qd_island *island = &places->islands[i];
        if (is_beside(demand, island, its) && island->memory_bytes >= demand->memory_bytes)
            count += island->free;
    }
    return count;
}

static void choose(qd_rank_table *table, const qd_demand *demand, const qd_island *beside,
                   int count, int *chosen) {
    qd_places *places = &table->places;
    choice c = {
        .places = places, .pieces = places->pieces, .unit = demand->peers > 1 ? demand->peers : 1};
    qd_places_look(places, demand->memory_bytes);
    if (beside && demand->within == QD_WITHIN_ISLAND)
        take(&c, beside->of_all.number, count);
    else if (beside && demand->within == QD_WITHIN_HOST)
        take_of_host(&c, beside->host, count);
    else
        take_all(&c, count);
    qsort(c.pieces, (size_t)c.piece_count, sizeof *c.pieces, compare_numbers);
    emit(&c, chosen);
    qd_placement_arrange(table, demand, count, chosen);
}

void qd_placement_choose(qd_rank_table *table, const qd_demand *demand, int count, int *chosen) {
    choose(table, demand, NULL, count, chosen);
}

void qd_placement_choose_beside(qd_rank_table *table, const qd_demand *demand, int member,
                                int count, int *chosen) {
    choose(table, demand, island_of(&table->places, member), count, chosen);
}
