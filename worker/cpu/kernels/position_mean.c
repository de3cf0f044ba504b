#include <string.h>

#include "worker/cpu/kernels/kernels.h"

typedef struct sizes {
    int64_t samples, length, width;
} sizes;

static sizes sizes_of(const qd_graph *graph, const qd_node *node) {
    const qd_shape *x = &graph->values[node->inputs[0]].shape;
    return (sizes){x->dim[0], x->dim[1], x->dim[2]};
}

/* Position after position. */
static void take_means(float *restrict y, const float *restrict x, sizes s) {
    for (int64_t n = 0; n < s.samples; n++, y += s.width) {
        memset(y, 0, (size_t)s.width * sizeof *y);
        for (int64_t t = 0; t < s.length; t++, x += s.width)
            for (int64_t i = 0; i < s.width; i++)
                y[i] += x[i];
        for (int64_t i = 0; i < s.width; i++)
            y[i] /= (float)s.length;
    }
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    take_means(operands->output, operands->inputs[0], sizes_of(graph, node));
    return 0;
}

/* dx = dy / length at each position; adds: to what stands there. */
static void spread(float *restrict dx, const float *restrict dy, sizes s, bool adds) {
    float length = (float)s.length;
    for (int64_t n = 0; n < s.samples; n++, dy += s.width)
        for (int64_t t = 0; t < s.length; t++, dx += s.width)
            if (adds)
                for (int64_t i = 0; i < s.width; i++)
                    dx[i] += dy[i] / length;
            else
                for (int64_t i = 0; i < s.width; i++)
                    dx[i] = dy[i] / length;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    if (operands->input_grads[0])
        spread(operands->input_grads[0], operands->output_grad, sizes_of(graph, node),
               operands->input_adds[0]);
    return 0;
}

const qd_cpu_op QD_CPU(position_mean) = {.forward = forward, .backward = backward};
