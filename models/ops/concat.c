#include "models/ops/flops.h"
#include "runtime/error.h"

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *a = &graph->values[node->inputs[0]], *b = &graph->values[node->inputs[1]];
    char left[64], right[64];
    int last = a->shape.dims - 1;
    bool fits = a->dtype == QD_F32 && b->dtype == QD_F32 && last >= 1 && b->shape.dims == last + 1;
    for (int i = 0; fits && i < last; i++)
        fits = a->shape.dim[i] == b->shape.dim[i];
    if (!fits)
        return qd_error_set(QD_ECONFIG,
                            "%s: %s %s and %s %s do not fit together; concat takes two float "
                            "tensors that differ in the last dimension only",
                            node->name, a->name, qd_shape_text(&a->shape, left, sizeof left),
                            b->name, qd_shape_text(&b->shape, right, sizeof right));
    output->dtype = QD_F32;
    output->shape = a->shape;
    output->shape.dim[last] += b->shape.dim[last];
    return 0;
}

const qd_op qd_op_concat = {
    .kind = QD_OP_CONCAT,
    .name = "concat",
    .inputs = 2,
    .params = 0,
    .infer = infer,
    .forward_flops = qd_no_flops,
    .backward_flops = qd_no_flops,
};
