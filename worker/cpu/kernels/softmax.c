#include "worker/cpu/kernels/kernels.h"
#include "worker/cpu/kernels/lanes.h"
#include "worker/cpu/kernels/rows.h"

/* The greatest is taken off first, so that no exponential overflows. */
static void normalise(float *restrict y, const float *restrict x, qd_rows r) {
    for (int64_t n = 0; n < r.count; n++, x += r.width, y += r.width) {
        float max = qd_lanes_row_max(x, r.width);
        float inverse = 1.0f / qd_lanes_row_exp_sum(x, r.width, max);
        for (int64_t i = 0; i < r.width; i++)
            y[i] = qd_expf(x[i] - max) * inverse;
    }
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    normalise(operands->output, operands->inputs[0], qd_rows_of(graph, node));
    return 0;
}

QD_LANES_INLINE float product_sum(const float *a, const float *b, int64_t count) {
    qd_lanes sum = {0}, v, w;
    for (int64_t i = 0; i < count; i += QD_LANES) {
        qd_lanes_load(&v, a + i, count - i);
        qd_lanes_load(&w, b + i, count - i);
        sum += v * w;
    }
    return qd_lanes_sum(&sum);
}

/* dx = y (dy - sum(y dy)); adds: to what stands there. */
static void input_grads(float *restrict dx, const float *restrict dy, const float *restrict y,
                        qd_rows r, bool adds) {
    for (int64_t n = 0; n < r.count; n++, dx += r.width, dy += r.width, y += r.width) {
        float sum = product_sum(y, dy, r.width);
        if (adds)
            for (int64_t i = 0; i < r.width; i++)
                dx[i] += y[i] * (dy[i] - sum);
        else
            for (int64_t i = 0; i < r.width; i++)
                dx[i] = y[i] * (dy[i] - sum);
    }
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    if (operands->input_grads[0])
        input_grads(operands->input_grads[0], operands->output_grad, operands->output,
                    qd_rows_of(graph, node), operands->input_adds[0]);
    return 0;
}

const qd_cpu_op QD_CPU(softmax) = {.forward = forward, .backward = backward};
