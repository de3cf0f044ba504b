#include <string.h>

#include "worker/cpu/kernels/kernels.h"

static int64_t width_of(const qd_graph *graph, int value) {
    const qd_shape *shape = &graph->values[value].shape;
    return shape->dim[shape->dims - 1];
}

static int64_t rows_of(const qd_graph *graph, const qd_node *node) {
    return qd_shape_elements(&graph->values[node->output].shape) / width_of(graph, node->output);
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    int64_t rows = rows_of(graph, node), width = width_of(graph, node->output);
    float *y = operands->output;
    for (int i = 0; i < 2; i++) {
        const float *x = operands->inputs[i];
        int64_t part = width_of(graph, node->inputs[i]);
        for (int64_t n = 0; n < rows; n++)
            memcpy(y + n * width, x + n * part, (size_t)part * sizeof *x);
        y += part;
    }
    return 0;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    int64_t rows = rows_of(graph, node), width = width_of(graph, node->output);
    const float *dy = operands->output_grad;
    for (int i = 0; i < 2; i++) {
        float *dx = operands->input_grads[i];
        int64_t part = width_of(graph, node->inputs[i]);
        for (int64_t n = 0; dx && n < rows; n++)
            QD_CPU(hand_on)(dx + n * part, dy + n * width, part, operands->input_adds[i]);
        dy += part;
    }
    return 0;
}

const qd_cpu_op QD_CPU(concat) = {.forward = forward, .backward = backward};
