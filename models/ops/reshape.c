#include "models/ops/flops.h"
#include "runtime/error.h"

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *x = &graph->values[node->inputs[0]];
    const qd_shape *shape = &node->attributes.reshape.shape;
    char a[64], b[64];
    bool fits = x->dtype == QD_F32 && shape->dims >= 1 && shape->dims <= QD_MAX_DIMS &&
                shape->dim[0] == x->shape.dim[0] &&
                qd_shape_elements(shape) == qd_shape_elements(&x->shape);
    for (int i = 0; fits && i < shape->dims; i++)
        fits = shape->dim[i] > 0;
    if (!fits)
        return qd_error_set(QD_ECONFIG,
                            "%s: input %s can't become %s; reshape takes floats, and keeps their "
                            "number and that of the samples",
                            node->name, qd_shape_text(&x->shape, a, sizeof a),
                            qd_shape_text(shape, b, sizeof b));
    output->dtype = QD_F32;
    output->shape = *shape;
    return 0;
}

const qd_op qd_op_reshape = {
    .kind = QD_OP_RESHAPE,
    .name = "reshape",
    .inputs = 1,
    .params = 0,
    .infer = infer,
    .forward_flops = qd_no_flops,
    .backward_flops = qd_no_flops,
};
