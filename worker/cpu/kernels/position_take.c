#include <string.h>

#include "worker/cpu/kernels/kernels.h"

typedef struct sizes {
    int64_t samples, width;
    int64_t first, block; /* of a sample: where its position begins, and elements of all of them */
} sizes;

static sizes sizes_of(const qd_graph *graph, const qd_node *node) {
    const int64_t *dim = graph->values[node->inputs[0]].shape.dim;
    return (sizes){dim[0], dim[2], node->attributes.position_take.position * dim[2],
                   dim[1] * dim[2]};
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    sizes s = sizes_of(graph, node);
    const float *x = operands->inputs[0];
    float *y = operands->output;
    for (int64_t n = 0; n < s.samples; n++)
        memcpy(y + n * s.width, x + n * s.block + s.first, (size_t)s.width * sizeof *y);
    return 0;
}

/* The other positions get gradient 0. */
static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    sizes s = sizes_of(graph, node);
    const float *dy = operands->output_grad;
    float *dx = operands->input_grads[0];
    bool adds = operands->input_adds[0];
    if (!dx)
        return 0;
    if (!adds)
        memset(dx, 0, (size_t)(s.samples * s.block) * sizeof *dx);
    for (int64_t n = 0; n < s.samples; n++)
        QD_CPU(hand_on)(dx + n * s.block + s.first, dy + n * s.width, s.width, adds);
    return 0;
}

const qd_cpu_op QD_CPU(position_take) = {.forward = forward, .backward = backward};
