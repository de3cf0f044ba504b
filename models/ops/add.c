#include "models/ops/flops.h"
#include "runtime/error.h"

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *a = &graph->values[node->inputs[0]], *b = &graph->values[node->inputs[1]];
    char left[64], right[64];
    if (a->dtype != QD_F32 || b->dtype != QD_F32 || !qd_shape_equals(&a->shape, &b->shape))
        return qd_error_set(QD_ECONFIG,
                            "%s: %s %s and %s %s can't be added; add takes two float tensors of "
                            "one shape",
                            node->name, a->name, qd_shape_text(&a->shape, left, sizeof left),
                            b->name, qd_shape_text(&b->shape, right, sizeof right));
    output->dtype = QD_F32;
    output->shape = a->shape;
    return 0;
}

const qd_op qd_op_add = {
    .kind = QD_OP_ADD,
    .name = "add",
    .inputs = 2,
    .params = 0,
    .rows = QD_ROWS_KEPT,
    .infer = infer,
    .forward_flops = qd_output_elements,
    .backward_flops = qd_no_flops,
};
