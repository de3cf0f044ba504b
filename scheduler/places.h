/*
 * places.h: where ranks are: each on a host, and there in an island, the ranks that reach each
 * other by the shortest way (an NVLink domain, a NUMA node). Ranks of an island that differ in
 * memory count as islands of their own, since the least of a gang's members decides what it can
 * hold. Knows how many ranks of each island and host are free, and finds the one that a gang leaves
 * least free in. Which of them a gang gets is decided in placement.h.
 *
 * Ranks are put in a row by host, island, memory, and number, so that an island is an unbroken part
 * of it; `position` is a place in that row, from 0. O(log n) for n islands for each one whose free
 * ranks have changed since the last look, however many of them did.
 */
#ifndef QD_SCHEDULER_PLACES_H
#define QD_SCHEDULER_PLACES_H

#include <stdbool.h>
#include <stdint.h>

#include "scheduler/free_ranks.h"
#include "scheduler/place.h"
#include "scheduler/tree.h"

/* A part of the row in a tree of such parts. */
typedef struct qd_spot {
    qd_tree_node by_usable; /* first: a node is a spot */
    int number;             /* from 0, in the order of the row */
    int usable;             /* free ranks with enough memory, as of the last look */
} qd_spot;

typedef struct qd_island {
    qd_spot of_all, of_host; /* among all islands, and those of its host */
    int host;                /* index */
    int first, count;
    int64_t memory_bytes;
    int free, in_service, alive; /* ranks that are; of any memory */
    bool changed;                /* free, since the last look */
    int taken;                   /* scratch of placement.c: ranks; 0 between its calls */
} qd_island;

typedef struct qd_host {
    qd_spot spot;
    qd_tree islands_by_usable;
} qd_host;

/* Start with qd_places_init. */
typedef struct qd_places {
    int ranks;
    bool known; /* all have told, or never will */
    int island_count, host_count;
    qd_island *islands; /* [ranks], of them island_count */
    qd_host *hosts;     /* [ranks], of them host_count */
    int *position;      /* [ranks + 1], of world rank */
    int *rank_at;       /* [ranks], at position */
    int *island_of;     /* [ranks], at position */
    qd_tree islands_by_usable, hosts_by_usable;
    qd_free_ranks free;  /* by position */
    int free_count;      /* of any memory */
    int usable;          /* as of the last look */
    int broken;          /* free ranks of islands that are not free as a whole */
    int64_t least_bytes; /* memory of the rank that has least */
    int64_t look_bytes;  /* memory that the last look asked for; 0: any */
    int *changed;        /* [ranks], of them changed_count: islands */
    int changed_count;
    int *pieces; /* [ranks]; scratch of placement.c */
} qd_places;

/* How a rank stands. */
typedef struct qd_presence {
    bool free, in_service, alive;
} qd_presence;

/* For world ranks 1 .. ranks, none of them known. QD_ENOMEM; fini accepts zeros. */
int qd_places_init(qd_places *places, int ranks);
void qd_places_fini(qd_places *places);

/* All ranks have told where they are: place[1 .. ranks]. None of them is alive before
 * qd_places_change says so. O(n log n); once. */
void qd_places_settle(qd_places *places, const qd_place *place);

/* A rank stands otherwise now. Nothing before places are known. O(1). */
void qd_places_change(qd_places *places, int rank, qd_presence before, qd_presence after);

/* A free rank is out of everybody's sight, or is not any more. O(1). */
void qd_places_hide(qd_places *places, int rank, bool hidden);

/* Brings what is usable up to date for gangs whose members need so much memory each. O(log n) for
 * each island that has changed; O(n log n) when fewer or more ranks have enough memory than at the
 * last look. */
void qd_places_look(qd_places *places, int64_t memory_bytes);

/* Of the islands or the hosts: the one with the fewest usable ranks, but at least count (>= 1); the
 * first in the row of several. NULL. */
qd_spot *qd_places_best_fit(const qd_tree *by_usable, int count);

/* From the widest to the narrowest, each once; spots alike in the order of the row. NULL. */
qd_spot *qd_places_widest(const qd_tree *by_usable);
qd_spot *qd_places_next_widest(const qd_tree *by_usable, const qd_spot *spot);

#endif
