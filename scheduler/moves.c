#include "scheduler/moves.h"

#include <stddef.h>

static qd_job_record *job_of(const qd_tree_node *node) {
    return node ? (qd_job_record *)((char *)node - offsetof(qd_job_record, move)) : NULL;
}

static int compare(const qd_tree_node *a, const qd_tree_node *b) {
    const qd_job_record *x = job_of(a), *y = job_of(b);
    if (x->move_ns != y->move_ns)
        return x->move_ns < y->move_ns ? -1 : 1;
    return (x->job > y->job) - (x->job < y->job);
}

void qd_moves_init(qd_moves *moves) {
    *moves = (qd_moves){.tree = {.compare = compare}};
}

void qd_moves_set(qd_moves *moves, qd_job_record *job, int64_t at_ns) {
    if (job->move_ns != QD_NEVER)
        qd_tree_remove(&moves->tree, &job->move);
    job->move_ns = at_ns;
    if (at_ns != QD_NEVER)
        qd_tree_insert(&moves->tree, &job->move, (uint64_t)job->job);
}

qd_job_record *qd_moves_first(const qd_moves *moves) {
    return job_of(qd_tree_first(&moves->tree));
}

int64_t qd_moves_first_ns(const qd_moves *moves) {
    const qd_job_record *job = qd_moves_first(moves);
    return job ? job->move_ns : QD_NEVER;
}
