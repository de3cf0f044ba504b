/*
 * placement.h: which of the free ranks a gang gets, and in which order. How many it gets, and when,
 * is decided before (policy.h).
 *
 * A gang lies in one island (places.h) where it can, else on one host, else on as few hosts as
 * possible; of several islands or hosts in the one that it leaves least free in (best fit), so that
 * wide holes stay whole. Tensor-parallel peers, neighbours in the gang by groups of `peers`, talk
 * most: of hosts and islands that do not hold the whole gang whole groups are taken as long as
 * that is possible, and no group lies on two hosts unless there is no other way.
 */
#ifndef QD_SCHEDULER_PLACEMENT_H
#define QD_SCHEDULER_PLACEMENT_H

#include "scheduler/ranks.h"

/* Whether count (>= 1) free ranks are together as demanded. O(log n), see qd_places_look. */
bool qd_placement_fits(qd_rank_table *table, const qd_demand *demand, int count);

/* What may be counted. */
typedef enum { QD_MEASURE_FREE, QD_MEASURE_IN_SERVICE, QD_MEASURE_ALIVE } qd_measure;

/* The most such ranks that are together as demanded; the places are known. O(islands). */
int qd_placement_most(const qd_rank_table *table, const qd_demand *demand, qd_measure measure);

/*
 * Chooses count free ranks (>= 1), which fit, into chosen[count], in the order of the gang: peers
 * side by side, else as they are in the row (places.h), and in an island its lowest unbroken run
 * that is long enough, else the lowest free ranks. No rank changes its state. O(count log n).
 */
void qd_placement_choose(qd_rank_table *table, const qd_demand *demand, int count, int *chosen);

/* The free ranks that a gang with that member can have besides as demanded. O(islands). */
int qd_placement_beside(const qd_rank_table *table, const qd_demand *demand, int member);

/* qd_placement_choose for such a gang: of those. */
void qd_placement_choose_beside(qd_rank_table *table, const qd_demand *demand, int member,
                                int count, int *chosen);

/* Puts the ranks of a gang into the order that qd_placement_choose says. O(count log count). */
void qd_placement_arrange(qd_rank_table *table, const qd_demand *demand, int count, int *ranks);

#endif
