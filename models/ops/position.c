#include "models/ops/flops.h"
#include "runtime/error.h"

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *x = &graph->values[node->inputs[0]];
    const qd_shape *table = &graph->params[node->params[0]].shape;
    char a[64], b[64];
    bool fits = x->dtype == QD_F32 && x->shape.dims == 3 && table->dims == 2 &&
                x->shape.dim[1] <= table->dim[0] && x->shape.dim[2] == table->dim[1];
    if (!fits)
        return qd_error_set(QD_ECONFIG,
                            "%s: input %s and table %s do not fit together; position takes [n, "
                            "length, width] of float and [at least length, width]",
                            node->name, qd_shape_text(&x->shape, a, sizeof a),
                            qd_shape_text(table, b, sizeof b));
    output->dtype = QD_F32;
    output->shape = x->shape;
    return 0;
}

const qd_op qd_op_position = {
    .kind = QD_OP_POSITION,
    .name = "position",
    .inputs = 1,
    .params = 1,
    .infer = infer,
    /* One addition for each element, both ways. */
    .forward_flops = qd_output_elements,
    .backward_flops = qd_output_elements,
};
