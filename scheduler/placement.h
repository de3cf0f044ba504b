/*
 * placement.h: which of the free ranks a gang gets. How many it gets, and when, is decided before
 * (policy.h).
 */
#ifndef QD_SCHEDULER_PLACEMENT_H
#define QD_SCHEDULER_PLACEMENT_H

#include "scheduler/ranks.h"

/*
 * Chooses count free ranks (1 <= count <= number of free ones) into chosen[count], ascending:
 * the lowest unbroken run that is long enough, because neighbours mostly share a node; where there
 * is none, the lowest free ranks. No rank changes its state. O(count + log n) for n ranks, and for
 * scattered ones the words of free_ranks.h that lie between.
 */
void qd_placement_choose(qd_rank_table *table, int count, int *chosen);

#endif
