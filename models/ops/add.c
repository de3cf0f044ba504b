#include "models/op.h"
#include "runtime/error.h"

static bool same_shape(const qd_shape *a, const qd_shape *b) {
    bool same = a->dims == b->dims;
    for (int i = 0; same && i < a->dims; i++)
        same = a->dim[i] == b->dim[i];
    return same;
}

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *a = &graph->values[node->inputs[0]], *b = &graph->values[node->inputs[1]];
    char left[64], right[64];
    if (a->dtype != QD_F32 || b->dtype != QD_F32 || !same_shape(&a->shape, &b->shape))
        return qd_error_set(QD_ECONFIG,
                            "%s: %s %s and %s %s can't be added; add takes two float tensors of "
                            "one shape",
                            node->name, a->name, qd_shape_text(&a->shape, left, sizeof left),
                            b->name, qd_shape_text(&b->shape, right, sizeof right));
    output->dtype = QD_F32;
    output->shape = a->shape;
    return 0;
}

static double forward_flops(const qd_graph *graph, const qd_node *node) {
    return (double)qd_shape_elements(&graph->values[node->output].shape);
}

/* The gradient is handed on as it is. */
static double backward_flops(const qd_graph *graph, const qd_node *node) {
    (void)graph;
    (void)node;
    return 0;
}

const qd_op qd_op_add = {
    .kind = QD_OP_ADD,
    .name = "add",
    .inputs = 2,
    .params = 0,
    .infer = infer,
    .forward_flops = forward_flops,
    .backward_flops = backward_flops,
};
