/* flops.h: what the costs of operators are counted from. Only for models/ops/. */
#ifndef QD_MODELS_OPS_FLOPS_H
#define QD_MODELS_OPS_FLOPS_H

#include "models/op.h"

/* Of the first input. */
static inline double qd_input_elements(const qd_graph *graph, const qd_node *node) {
    return (double)qd_shape_elements(&graph->values[node->inputs[0]].shape);
}

static inline double qd_output_elements(const qd_graph *graph, const qd_node *node) {
    return (double)qd_shape_elements(&graph->values[node->output].shape);
}

/* Of an operator that copies, or hands its gradient on as it is. */
static inline double qd_no_flops(const qd_graph *graph, const qd_node *node) {
    (void)graph;
    (void)node;
    return 0;
}

#endif
