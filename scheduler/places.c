#include "scheduler/places.h"

#include <stdlib.h>

#include "runtime/error.h"

/* ---- spots by what is usable in them ---- */

static qd_spot *spot_of(const qd_tree_node *node) {
    return (qd_spot *)node;
}

static int compare(const qd_tree_node *a, const qd_tree_node *b) {
    const qd_spot *x = spot_of(a), *y = spot_of(b);
    if (x->usable != y->usable)
        return x->usable < y->usable ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

qd_spot *qd_places_best_fit(const qd_tree *by_usable, int count) {
    const qd_spot before = {.number = -1, .usable = count};
    return spot_of(qd_tree_after(by_usable, &before.by_usable));
}

static qd_spot *first_of_width(const qd_tree *by_usable, int usable) {
    return usable > 0 ? qd_places_best_fit(by_usable, usable) : NULL;
}

/* The last one that is narrower. */
static const qd_spot *narrower(const qd_tree *by_usable, int usable) {
    const qd_spot *found = NULL;
    for (const qd_tree_node *node = by_usable->root; node;) {
        bool is_narrower = spot_of(node)->usable < usable;
        found = is_narrower ? spot_of(node) : found;
        node = is_narrower ? node->right : node->left;
    }
    return found;
}

qd_spot *qd_places_widest(const qd_tree *by_usable) {
    const qd_spot *last = spot_of(qd_tree_last(by_usable));
    return last ? first_of_width(by_usable, last->usable) : NULL;
}

qd_spot *qd_places_next_widest(const qd_tree *by_usable, const qd_spot *spot) {
    qd_spot *alike = spot_of(qd_tree_after(by_usable, &spot->by_usable));
    if (alike && alike->usable == spot->usable)
        return alike;
    const qd_spot *next = narrower(by_usable, spot->usable);
    return next ? first_of_width(by_usable, next->usable) : NULL;
}

static void set_usable(qd_tree *by_usable, qd_spot *spot, int usable) {
    qd_tree_remove(by_usable, &spot->by_usable);
    spot->usable = usable;
    qd_tree_insert(by_usable, &spot->by_usable, (uint64_t)spot->number);
}

/* ---- the row ---- */

int qd_places_init(qd_places *places, int ranks) {
    size_t n = (size_t)ranks;
    *places = (qd_places){.ranks = ranks,
                          .islands = calloc(n, sizeof *places->islands),
                          .hosts = calloc(n, sizeof *places->hosts),
                          .position = calloc(n + 1, sizeof *places->position),
                          .rank_at = calloc(n, sizeof *places->rank_at),
                          .island_of = calloc(n, sizeof *places->island_of),
                          .changed = calloc(n, sizeof *places->changed),
                          .pieces = calloc(n, sizeof *places->pieces)};
    places->islands_by_usable = places->hosts_by_usable = (qd_tree){.compare = compare};
    bool all = places->islands && places->hosts && places->position && places->rank_at &&
               places->island_of && places->changed && places->pieces;
    int rc = all ? qd_free_ranks_init(&places->free, ranks - 1)
                 : qd_error_set(QD_ENOMEM, "no memory for the places of %d ranks", ranks);
    if (rc)
        qd_places_fini(places);
    return rc;
}

void qd_places_fini(qd_places *places) {
    free(places->islands);
    free(places->hosts);
    free(places->position);
    free(places->rank_at);
    free(places->island_of);
    free(places->changed);
    free(places->pieces);
    qd_free_ranks_fini(&places->free);
    *places = (qd_places){0};
}

static int compare_places(const qd_place *a, const qd_place *b) {
    if (a->host != b->host)
        return a->host < b->host ? -1 : 1;
    if (a->island != b->island)
        return a->island < b->island ? -1 : 1;
    return (a->memory_bytes > b->memory_bytes) - (a->memory_bytes < b->memory_bytes);
}

/* Merge sort, since ranks mostly come in order, and qsort has no context. */
static void sort(const qd_place *place, int *ranks, int count, int *scratch) {
    if (count < 2)
        return;
    int half = count / 2;
    sort(place, ranks, half, scratch);
    sort(place, ranks + half, count - half, scratch);
    if (compare_places(&place[ranks[half - 1]], &place[ranks[half]]) <= 0)
        return;
    for (int i = 0; i < half; i++)
        scratch[i] = ranks[i];
    for (int i = 0, j = half, k = 0; i < half; k++) {
        bool left = j == count || compare_places(&place[scratch[i]], &place[ranks[j]]) <= 0;
        ranks[k] = left ? scratch[i++] : ranks[j++];
    }
}

static void begin_host(qd_places *places) {
    int number = places->host_count++;
    places->hosts[number] =
        (qd_host){.spot = {.number = number}, .islands_by_usable = {.compare = compare}};
    qd_tree_insert(&places->hosts_by_usable, &places->hosts[number].spot.by_usable,
                   (uint64_t)number);
}

static void begin_island(qd_places *places, int position, int64_t memory_bytes) {
    int number = places->island_count++, host = places->host_count - 1;
    qd_island *island = &places->islands[number];
    *island = (qd_island){.of_all = {.number = number},
                          .of_host = {.number = number},
                          .host = host,
                          .first = position,
                          .memory_bytes = memory_bytes};
    qd_tree_insert(&places->islands_by_usable, &island->of_all.by_usable, (uint64_t)number);
    qd_tree_insert(&places->hosts[host].islands_by_usable, &island->of_host.by_usable,
                   (uint64_t)number);
    if (position == 0 || memory_bytes < places->least_bytes)
        places->least_bytes = memory_bytes;
}

static void note_change(qd_places *places, qd_island *island) {
    if (island->changed)
        return;
    island->changed = true;
    places->changed[places->changed_count++] = island->of_all.number;
}

static qd_island *island_of_rank(qd_places *places, int rank) {
    return &places->islands[places->island_of[places->position[rank]]];
}

static void set_free(qd_places *places, int rank, bool free) {
    qd_island *island = island_of_rank(places, rank);
    if (island->free < island->count)
        places->broken -= island->free;
    island->free += free ? 1 : -1;
    if (island->free < island->count)
        places->broken += island->free;
    places->free_count += free ? 1 : -1;
    note_change(places, island);
    if (free)
        qd_free_ranks_add(&places->free, places->position[rank]);
    else
        qd_free_ranks_remove(&places->free, places->position[rank]);
}

void qd_places_settle(qd_places *places, const qd_place *place) {
    for (int i = 0; i < places->ranks; i++)
        places->rank_at[i] = i + 1;
    sort(place, places->rank_at, places->ranks, places->pieces);
    for (int i = 0; i < places->ranks; i++) {
        const qd_place *here = &place[places->rank_at[i]];
        const qd_place *last = i > 0 ? &place[places->rank_at[i - 1]] : NULL;
        if (!last || here->host != last->host)
            begin_host(places);
        if (!last || compare_places(last, here) != 0)
            begin_island(places, i, here->memory_bytes);
        places->position[places->rank_at[i]] = i;
        places->island_of[i] = places->island_count - 1;
        places->islands[places->island_count - 1].count++;
    }
    places->known = true;
}

void qd_places_change(qd_places *places, int rank, qd_presence before, qd_presence after) {
    if (!places->known)
        return;
    qd_island *island = island_of_rank(places, rank);
    island->alive += after.alive - before.alive;
    island->in_service += after.in_service - before.in_service;
    if (before.free != after.free)
        set_free(places, rank, after.free);
}

void qd_places_hide(qd_places *places, int rank, bool hidden) {
    set_free(places, rank, !hidden);
}

/* ---- looks ---- */

static void bring_up_to_date(qd_places *places, qd_island *island) {
    int usable = island->memory_bytes >= places->look_bytes ? island->free : 0;
    int more = usable - island->of_all.usable;
    if (more == 0)
        return;
    qd_host *host = &places->hosts[island->host];
    set_usable(&places->islands_by_usable, &island->of_all, usable);
    set_usable(&host->islands_by_usable, &island->of_host, usable);
    set_usable(&places->hosts_by_usable, &host->spot, host->spot.usable + more);
    places->usable += more;
}

void qd_places_look(qd_places *places, int64_t memory_bytes) {
    /* Where all have enough, nobody need be left out. */
    int64_t wanted = memory_bytes <= places->least_bytes ? 0 : memory_bytes;
    if (wanted != places->look_bytes) {
        places->look_bytes = wanted;
        for (int i = 0; i < places->island_count; i++)
            note_change(places, &places->islands[i]);
    }
    for (int i = 0; i < places->changed_count; i++) {
        qd_island *island = &places->islands[places->changed[i]];
        island->changed = false;
        bring_up_to_date(places, island);
    }
    places->changed_count = 0;
}
