#include "worker/cpu/kernels/kernels.h"

static void add_pair(float *restrict y, const float *restrict a, const float *restrict b,
                     int64_t count) {
    for (int64_t i = 0; i < count; i++)
        y[i] = a[i] + b[i];
}

static int64_t elements(const qd_graph *graph, const qd_node *node) {
    return qd_shape_elements(&graph->values[node->output].shape);
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    add_pair(operands->output, operands->inputs[0], operands->inputs[1], elements(graph, node));
    return 0;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    int64_t count = elements(graph, node);
    for (int i = 0; i < 2; i++)
        if (operands->input_grads[i])
            QD_CPU(hand_on)
    (operands->input_grads[i], operands->output_grad, count, operands->input_adds[i]);
    return 0;
}

const qd_cpu_op QD_CPU(add) = {.forward = forward, .backward = backward};
