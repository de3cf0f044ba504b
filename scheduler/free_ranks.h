/*
 * free_ranks.h: the set of free ranks, able to find its lowest unbroken run of a given length. One
 * bit for each rank, and above the words of bits a tree that knows the longest run in each part, so
 * that a placement does not walk the whole cluster: O(log n) for the search and for each word that
 * has changed since the last one.
 */
#ifndef QD_SCHEDULER_FREE_RANKS_H
#define QD_SCHEDULER_FREE_RANKS_H

#include <stdint.h>

/* Free ranks in a part of the set, whose length is a power of two. */
typedef struct qd_runs {
    int at_start, at_end, longest; /* lengths of unbroken runs */
} qd_runs;

typedef struct qd_free_ranks {
    int words;      /* power of two */
    uint64_t *bits; /* [words]: rank r is bit r % 64 of word r / 64 */
    qd_runs *runs;  /* [2 * words], a heap: 1 is all, i has 2i and 2i + 1, words + w is word w */
    int *changed;   /* [words]: words whose runs are out of date */
    int changed_count;
    uint8_t *is_changed; /* [words] */
} qd_free_ranks;

/* For ranks 0 .. last, none of them free. QD_ENOMEM; fini accepts zeros. */
int qd_free_ranks_init(qd_free_ranks *set, int last);
void qd_free_ranks_fini(qd_free_ranks *set);

/* O(1). */
void qd_free_ranks_add(qd_free_ranks *set, int rank);
void qd_free_ranks_remove(qd_free_ranks *set, int rank);

/* The first rank of the lowest run of at least count (>= 1) free ranks; -1 when there is none. */
int qd_free_ranks_lowest_run(qd_free_ranks *set, int count);

/* The same among ranks from .. end - 1 alone. O(end - from). */
int qd_free_ranks_run_in(const qd_free_ranks *set, int from, int end, int count);

/* The lowest free rank >= from; -1 when there is none. O(words between). */
int qd_free_ranks_next(const qd_free_ranks *set, int from);

#endif
