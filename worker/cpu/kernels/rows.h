/* rows.h: a tensor as rows of its last dimension. Only for worker/cpu/kernels/. */
#ifndef QD_WORKER_CPU_KERNELS_ROWS_H
#define QD_WORKER_CPU_KERNELS_ROWS_H

#include "models/op.h"

typedef struct qd_rows {
    int64_t count, width; /* that are held */
    int64_t first;        /* of them, among `whole` on any grid */
    int64_t whole;
    bool shared; /* the others are other members' */
} qd_rows;

static inline qd_rows qd_rows_of_value(const qd_graph *graph, int value) {
    const qd_value *v = &graph->values[value];
    int64_t width = v->shape.dim[v->shape.dims - 1];
    return (qd_rows){.count = qd_shape_elements(&v->shape) / width,
                     .width = width,
                     .first = v->by_rows ? v->first_row : 0,
                     .whole = qd_rows_whole(v),
                     .shared = qd_rows_are_shared(graph, v)};
}

/* Those of the node's first input. */
static inline qd_rows qd_rows_of(const qd_graph *graph, const qd_node *node) {
    return qd_rows_of_value(graph, node->inputs[0]);
}

#endif
