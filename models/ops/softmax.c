#include "models/ops/flops.h"
#include "runtime/error.h"

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *x = &graph->values[node->inputs[0]];
    char text[64];
    if (x->dtype != QD_F32 || x->shape.dims < 2)
        return qd_error_set(QD_ECONFIG, "%s: input %s; softmax takes [n, .., width] of float",
                            node->name, qd_shape_text(&x->shape, text, sizeof text));
    output->dtype = QD_F32;
    output->shape = x->shape;
    return 0;
}

/* Difference, exponential (counts 1), sum and quotient. */
static double forward_flops(const qd_graph *graph, const qd_node *node) {
    return 4.0 * qd_input_elements(graph, node);
}

/* A product and its sum; a difference and a product. */
static double backward_flops(const qd_graph *graph, const qd_node *node) {
    return 4.0 * qd_input_elements(graph, node);
}

const qd_op qd_op_softmax = {
    .kind = QD_OP_SOFTMAX,
    .name = "softmax",
    .inputs = 1,
    .params = 0,
    .keep = QD_KEEP_OUTPUT,
    .infer = infer,
    .forward_flops = forward_flops,
    .backward_flops = backward_flops,
};
