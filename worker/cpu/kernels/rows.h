/* rows.h: a tensor as rows of its last dimension. Only for worker/cpu/kernels/. */
#ifndef QD_WORKER_CPU_KERNELS_ROWS_H
#define QD_WORKER_CPU_KERNELS_ROWS_H

#include "models/graph.h"

typedef struct qd_rows {
    int64_t count, width;
} qd_rows;

/* Those of the node's first input. */
static inline qd_rows qd_rows_of(const qd_graph *graph, const qd_node *node) {
    const qd_shape *x = &graph->values[node->inputs[0]].shape;
    int64_t width = x->dim[x->dims - 1];
    return (qd_rows){qd_shape_elements(x) / width, width};
}

#endif
