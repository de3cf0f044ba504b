#include "models/op.h"
#include "runtime/error.h"

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *x = &graph->values[node->inputs[0]];
    if (x->dtype != QD_F32)
        return qd_error_set(QD_ECONFIG, "%s: relu takes floats, but %s holds integers", node->name,
                            x->name);
    output->dtype = QD_F32;
    output->shape = x->shape;
    return 0;
}

/* One comparison an element, both ways. */
static double flops(const qd_graph *graph, const qd_node *node) {
    return (double)qd_shape_elements(&graph->values[node->inputs[0]].shape);
}

/* Backward needs the output only: it is positive exactly where the input was. */
const qd_op qd_op_relu = {
    .kind = QD_OP_RELU,
    .name = "relu",
    .inputs = 1,
    .params = 0,
    .keep = QD_KEEP_OUTPUT,
    .infer = infer,
    .forward_flops = flops,
    .backward_flops = flops,
};
