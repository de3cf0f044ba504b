#include "scheduler/placement.h"

/* First rank of the lowest run of at least count free ranks; 0 when there is none. */
static int lowest_run(const qd_rank_table *table, int count) {
    int length = 0;
    for (int rank = 1; rank <= table->count; rank++) {
        length = table->rank[rank].state == QD_RANK_FREE ? length + 1 : 0;
        if (length == count)
            return rank - count + 1;
    }
    return 0;
}

void qd_placement_choose(const qd_rank_table *table, int count, int *chosen) {
    int rank = lowest_run(table, count);
    int n = 0;
    for (rank = rank > 0 ? rank : 1; n < count && rank <= table->count; rank++)
        if (table->rank[rank].state == QD_RANK_FREE)
            chosen[n++] = rank;
}
