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
 * is none, the lowest free ranks. The table is not changed.
 */
void qd_placement_choose(const qd_rank_table *table, int count, int *chosen);

#endif
