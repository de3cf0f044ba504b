#include "models/ops/flops.h"
#include "models/ops/lengths.h"
#include "runtime/error.h"

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *x = &graph->values[node->inputs[0]];
    char text[64];
    if (x->dtype != QD_F32 || x->shape.dims != 3)
        return qd_error_set(QD_ECONFIG,
                            "%s: input %s; position_mean takes [n, length, width] of float",
                            node->name, qd_shape_text(&x->shape, text, sizeof text));
    output->dtype = QD_F32;
    output->shape = (qd_shape){.dims = 2, .dim = {x->shape.dim[0], x->shape.dim[2]}};
    return node->input_count == 2 ? qd_lengths_check(graph, node) : 0;
}

const qd_op qd_op_position_mean = {
    .kind = QD_OP_POSITION_MEAN,
    .name = "position_mean",
    .inputs = 1,
    .params = 0,
    .infer = infer,
    /* An addition for each element; the same to hand the gradient to all of them. */
    .forward_flops = qd_input_elements,
    .backward_flops = qd_input_elements,
};

const qd_op qd_op_position_mean_lengths = {
    .kind = QD_OP_POSITION_MEAN,
    .name = "position_mean_lengths",
    .inputs = 2,
    .params = 0,
    .keep = QD_KEEP_INPUTS,
    .infer = infer,
    .forward_flops = qd_input_elements,
    .backward_flops = qd_input_elements,
};
