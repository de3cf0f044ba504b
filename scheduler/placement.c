#include "scheduler/placement.h"

void qd_placement_choose(qd_rank_table *table, int count, int *chosen) {
    int first = qd_free_ranks_lowest_run(&table->free_ranks, count);
    int rank = first >= 0 ? first : qd_free_ranks_next(&table->free_ranks, 1);
    for (int n = 0; n < count; n++) {
        chosen[n] = rank;
        rank = first >= 0 ? rank + 1 : qd_free_ranks_next(&table->free_ranks, rank + 1);
    }
}
