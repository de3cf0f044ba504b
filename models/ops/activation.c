/* Functions of one element: they differ in name, in what backward reads and in what they cost. */
#include "models/ops/flops.h"
#include "runtime/error.h"

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *x = &graph->values[node->inputs[0]];
    if (x->dtype != QD_F32)
        return qd_error_set(QD_ECONFIG, "%s: %s takes floats, but %s holds integers", node->name,
                            node->op->name, x->name);
    output->dtype = QD_F32;
    output->shape = x->shape;
    return 0;
}

/* A comparison. */
static double relu_flops(const qd_graph *graph, const qd_node *node) {
    return qd_input_elements(graph, node);
}

/* An exponential counts 1, as the few operations around it do. */
static double smooth_flops(const qd_graph *graph, const qd_node *node) {
    return 8.0 * qd_input_elements(graph, node);
}

/* Of the output y the derivative is y (1 - y) or 1 - y^2. */
static double output_flops(const qd_graph *graph, const qd_node *node) {
    return 3.0 * qd_input_elements(graph, node);
}

#define ACTIVATION(KIND, NAME, KEEP, FORWARD, BACKWARD)                                            \
    {                                                                                              \
        .kind = KIND, .name = NAME, .inputs = 1, .params = 0, .keep = KEEP, .infer = infer,        \
        .forward_flops = FORWARD, .backward_flops = BACKWARD,                                      \
    }

/* Backward of relu needs the output only: it is positive exactly where the input was. */
const qd_op qd_op_relu = ACTIVATION(QD_OP_RELU, "relu", QD_KEEP_OUTPUT, relu_flops, relu_flops);
const qd_op qd_op_gelu = ACTIVATION(QD_OP_GELU, "gelu", QD_KEEP_INPUTS, smooth_flops, smooth_flops);
const qd_op qd_op_gelu_tanh =
    ACTIVATION(QD_OP_GELU_TANH, "gelu_tanh", QD_KEEP_INPUTS, smooth_flops, smooth_flops);
const qd_op qd_op_silu = ACTIVATION(QD_OP_SILU, "silu", QD_KEEP_INPUTS, smooth_flops, smooth_flops);
const qd_op qd_op_tanh = ACTIVATION(QD_OP_TANH, "tanh", QD_KEEP_OUTPUT, smooth_flops, output_flops);
const qd_op qd_op_sigmoid =
    ACTIVATION(QD_OP_SIGMOID, "sigmoid", QD_KEEP_OUTPUT, smooth_flops, output_flops);
