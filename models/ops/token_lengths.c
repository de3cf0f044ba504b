#include "models/ops/flops.h"
#include "runtime/error.h"

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *tokens = &graph->values[node->inputs[0]];
    char text[64];
    if (tokens->dtype != QD_I32 || tokens->shape.dims != 2)
        return qd_error_set(QD_ECONFIG, "%s: input %s; token_lengths takes [n, length] of integers",
                            node->name, qd_shape_text(&tokens->shape, text, sizeof text));
    output->dtype = QD_I32;
    output->shape = (qd_shape){.dims = 1, .dim = {tokens->shape.dim[0]}};
    return 0;
}

const qd_op qd_op_token_lengths = {
    .kind = QD_OP_TOKEN_LENGTHS,
    .name = "token_lengths",
    .inputs = 1,
    .params = 0,
    .infer = infer,
    /* It compares, and has no gradient. */
    .forward_flops = qd_no_flops,
    .backward_flops = qd_no_flops,
};
