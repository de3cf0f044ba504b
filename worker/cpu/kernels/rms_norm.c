#include <math.h>
#include <string.h>

#include "worker/cpu/kernels/kernels.h"
#include "worker/cpu/kernels/lanes.h"
#include "worker/cpu/kernels/rows.h"
#include "worker/cpu/kernels/tensor_slots.h"

QD_LANES_INLINE float inverse_of(const float *x, int64_t width, float epsilon) {
    qd_lanes squares = {0}, v;
    for (int64_t i = 0; i < width; i += QD_LANES) {
        qd_lanes_load(&v, x + i, width - i);
        squares += v * v;
    }
    return 1.0f / sqrtf(qd_lanes_sum(&squares) / (float)width + epsilon);
}

static void normalise(float *restrict y, float *restrict saved, const float *restrict x,
                      const float *restrict gain, qd_rows r, float epsilon) {
    for (int64_t n = 0; n < r.count; n++, x += r.width, y += r.width) {
        float inverse = inverse_of(x, r.width, epsilon);
        saved[n] = inverse;
        for (int64_t i = 0; i < r.width; i++)
            y[i] = x[i] * inverse * gain[i];
    }
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    normalise(operands->output, operands->saved, operands->inputs[0], operands->params[0],
              qd_rows_of(graph, node), node->attributes.norm.epsilon);
    return 0;
}

/* dgain += sum over rows of dy x_hat, row after row. */
static void add_gain_grads(float *restrict dgain, const float *restrict dy, const float *restrict x,
                           const float *restrict saved, qd_rows r) {
    for (int64_t n = 0; n < r.count; n++, x += r.width, dy += r.width)
        for (int64_t i = 0; i < r.width; i++)
            dgain[i] += dy[i] * (x[i] * saved[n]);
}

/* Sum over a row of dy gain x_hat. */
QD_LANES_INLINE float product_sum(const float *dy, const float *gain, const float *x, float inverse,
                                  int64_t width) {
    qd_lanes sum = {0}, g, w, v;
    for (int64_t i = 0; i < width; i += QD_LANES) {
        qd_lanes_load(&g, dy + i, width - i);
        qd_lanes_load(&w, gain + i, width - i);
        qd_lanes_load(&v, x + i, width - i);
        sum += (g * w) * (v * inverse);
    }
    return qd_lanes_sum(&sum);
}

/* dx = inverse (dy gain - x_hat mean(dy gain x_hat)); adds: to what stands there. */
static void input_grads(float *restrict dx, const float *restrict dy, const float *restrict x,
                        const float *restrict gain, const float *restrict saved, qd_rows r,
                        bool adds) {
    for (int64_t n = 0; n < r.count; n++, dx += r.width, dy += r.width, x += r.width) {
        float inverse = saved[n];
        float mean = product_sum(dy, gain, x, inverse, r.width) / (float)r.width;
        if (!adds)
            memset(dx, 0, (size_t)r.width * sizeof *dx);
        for (int64_t i = 0; i < r.width; i++)
            dx[i] += inverse * (dy[i] * gain[i] - x[i] * inverse * mean);
    }
}

/* What the gain's gradient is made of. */
typedef struct summing {
    const float *dy, *x, *saved;
    int64_t width;
} summing;

/* Of the held rows [first, end) of a slot. */
static int sum_slot(const void *context, int64_t first, int64_t end, float *part) {
    const summing *s = context;
    memset(part, 0, (size_t)s->width * sizeof *part);
    add_gain_grads(part, s->dy + first * s->width, s->x + first * s->width, s->saved + first,
                   (qd_rows){.count = end - first, .width = s->width});
    return 0;
}

static int gain_grad(const qd_graph *graph, const qd_node *node, qd_rows r,
                     const qd_operands *operands) {
    summing s = {operands->output_grad, operands->inputs[0], operands->saved, r.width};
    qd_slots slots = QD_CPU(slots_of_rows)(graph, node->inputs[0], operands->exchange);
    float *dgain = operands->param_grads[0];
    bool adds = operands->param_adds[0];
    if (slots.count > 1)
        return QD_CPU(sum_slots)(&slots, sum_slot, &s, dgain, r.width, adds, operands->scratch);
    if (!adds)
        memset(dgain, 0, (size_t)r.width * sizeof *dgain);
    add_gain_grads(dgain, s.dy, s.x, s.saved, r);
    return 0;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    qd_rows r = qd_rows_of(graph, node);
    int rc = operands->param_grads[0] ? gain_grad(graph, node, r, operands) : 0;
    if (!rc && operands->input_grads[0])
        input_grads(operands->input_grads[0], operands->output_grad, operands->inputs[0],
                    operands->params[0], operands->saved, r, operands->input_adds[0]);
    return rc;
}

const qd_cpu_op QD_CPU(rms_norm) = {.forward = forward, .backward = backward};
