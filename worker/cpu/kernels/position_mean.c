#include <string.h>

#include "worker/cpu/kernels/kernels.h"

typedef struct sizes {
    int64_t samples, length, width;
    const int32_t *lengths; /* positions that count; NULL: all */
} sizes;

static sizes sizes_of(const qd_graph *graph, const qd_node *node, const qd_operands *operands) {
    const qd_shape *x = &graph->values[node->inputs[0]].shape;
    return (sizes){x->dim[0], x->dim[1], x->dim[2],
                   node->input_count == 2 ? operands->inputs[1] : NULL};
}

static int64_t length_of(sizes s, int64_t sample) {
    return s.lengths ? s.lengths[sample] : s.length;
}

/* Position after position. */
static void take_means(float *restrict y, const float *restrict x, sizes s) {
    for (int64_t n = 0; n < s.samples; n++, y += s.width, x += s.length * s.width) {
        int64_t length = length_of(s, n);
        memset(y, 0, (size_t)s.width * sizeof *y);
        for (int64_t t = 0; t < length; t++)
            for (int64_t i = 0; i < s.width; i++)
                y[i] += x[t * s.width + i];
        for (int64_t i = 0; i < s.width; i++)
            y[i] /= (float)length;
    }
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    sizes s = sizes_of(graph, node, operands);
    int rc = QD_CPU(check_lengths)(s.lengths, s.samples, s.length);
    if (!rc)
        take_means(operands->output, operands->inputs[0], s);
    return rc;
}

/* dx = dy / length at each position; adds: to what stands there. */
static void spread(float *restrict dx, const float *restrict dy, int64_t length, int64_t width,
                   bool adds) {
    for (int64_t t = 0; t < length; t++, dx += width)
        if (adds)
            for (int64_t i = 0; i < width; i++)
                dx[i] += dy[i] / (float)length;
        else
            for (int64_t i = 0; i < width; i++)
                dx[i] = dy[i] / (float)length;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    sizes s = sizes_of(graph, node, operands);
    const float *dy = operands->output_grad;
    float *dx = operands->input_grads[0];
    bool adds = operands->input_adds[0];
    for (int64_t n = 0; n < s.samples && dx; n++, dx += s.length * s.width) {
        int64_t length = length_of(s, n), rest = (s.length - length) * s.width;
        spread(dx, dy + n * s.width, length, s.width, adds);
        if (!adds)
            memset(dx + length * s.width, 0, (size_t)rest * sizeof *dx);
    }
    return 0;
}

const qd_cpu_op QD_CPU(position_mean) = {.forward = forward, .backward = backward};
