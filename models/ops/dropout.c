#include "models/ops/flops.h"
#include "runtime/error.h"

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *x = &graph->values[node->inputs[0]];
    float rate = node->attributes.dropout.rate;
    if (x->dtype != QD_F32)
        return qd_error_set(QD_ECONFIG, "%s: dropout takes floats, but %s holds integers",
                            node->name, x->name);
    if (!(rate >= 0 && rate < 1))
        return qd_error_set(QD_ECONFIG, "%s: a dropout rate of %g; use 0 or more, below 1",
                            node->name, (double)rate);
    output->dtype = QD_F32;
    output->shape = x->shape;
    return 0;
}

/* What was dropped is drawn again in backward: nothing is kept. */
const qd_op qd_op_dropout = {
    .kind = QD_OP_DROPOUT,
    .name = "dropout",
    .inputs = 1,
    .params = 0,
    .rows = QD_ROWS_KEPT,
    .infer = infer,
    /* One product an element, both ways; drawing is not counted. */
    .forward_flops = qd_input_elements,
    .backward_flops = qd_input_elements,
};
