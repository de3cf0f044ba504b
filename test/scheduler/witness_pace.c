#include "core_witness_internal.h"

/* Whether at least half of the gang is so many times faster; not before all have told. */
static bool is_above(const witness *w, const witness_job *job, int64_t busy_ns, double ratio) {
    int faster = 0;
    for (int rank = 1; rank <= w->worker_ranks; rank++) {
        if (!(job->members >> (rank - 1) & 1))
            continue;
        if (w->ranks[rank].busy_ns == 0)
            return false;
        faster += (double)busy_ns > ratio * (double)w->ranks[rank].busy_ns;
    }
    return 2 * faster >= job->size;
}

void note_pace(witness *w, const qd_event *e) {
    const witness_job *job = witness_find(w, e->job);
    witness_rank *rank = &w->ranks[e->rank];
    if (rank->job != e->job || job->attempt != e->attempt)
        return;
    rank->busy_ns = e->busy_ns;
    if (job->size < 2)
        return;
    double ratio = rank->slow ? (1 + w->swap_ratio) / 2 : w->swap_ratio;
    bool other = is_above(w, job, e->busy_ns, ratio) != rank->slow;
    rank->against = other ? rank->against + 1 : 0;
    if (rank->against == 3) {
        rank->slow = !rank->slow;
        rank->against = 0;
    }
}
