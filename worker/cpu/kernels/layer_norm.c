#include <math.h>
#include <string.h>

#include "worker/cpu/kernels/kernels.h"
#include "worker/cpu/kernels/lanes.h"
#include "worker/cpu/kernels/rows.h"
#include "worker/cpu/kernels/tensor_slots.h"

/* What is saved of a row. */
typedef struct moments {
    float mean, inverse; /* 1 / sqrt(variance + epsilon) */
} moments;

/* In two passes: the difference of mean square and squared mean would lose digits. */
QD_LANES_INLINE moments moments_of(const float *x, int64_t width, float epsilon) {
    qd_lanes sum = {0}, squares = {0}, v;
    for (int64_t i = 0; i < width; i += QD_LANES) {
        qd_lanes_load(&v, x + i, width - i);
        sum += v;
    }
    float mean = qd_lanes_sum(&sum) / (float)width;
    int64_t whole = width / QD_LANES * QD_LANES;
    for (int64_t i = 0; i < whole; i += QD_LANES) {
        qd_lanes_load(&v, x + i, QD_LANES);
        v -= mean;
        squares += v * v;
    }
    float square = qd_lanes_sum(&squares);
    for (int64_t i = whole; i < width; i++)
        square += (x[i] - mean) * (x[i] - mean);
    return (moments){mean, 1.0f / sqrtf(square / (float)width + epsilon)};
}

static void normalise(float *restrict y, float *restrict saved, const float *restrict x,
                      const float *restrict gain, const float *restrict bias, qd_rows r,
                      float epsilon) {
    for (int64_t n = 0; n < r.count; n++, x += r.width, y += r.width, saved += 2) {
        moments m = moments_of(x, r.width, epsilon);
        saved[0] = m.mean;
        saved[1] = m.inverse;
        for (int64_t i = 0; i < r.width; i++)
            y[i] = (x[i] - m.mean) * m.inverse * gain[i] + bias[i];
    }
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    normalise(operands->output, operands->saved, operands->inputs[0], operands->params[0],
              operands->params[1], qd_rows_of(graph, node), node->attributes.norm.epsilon);
    return 0;
}

/* dgain += sum over rows of dy x_hat, dbias += sum of dy, row after row. */
static void add_param_grads(float *restrict dgain, float *restrict dbias, const float *restrict dy,
                            const float *restrict x, const float *restrict saved, qd_rows r) {
    for (int64_t n = 0; n < r.count; n++, x += r.width, dy += r.width, saved += 2) {
        float mean = saved[0], inverse = saved[1];
        for (int64_t i = 0; i < r.width; i++) {
            dgain[i] += dy[i] * ((x[i] - mean) * inverse);
            dbias[i] += dy[i];
        }
    }
}

/* Sums over a row of g = dy gain and of g x_hat. */
typedef struct row_sums {
    float g, g_x_hat;
} row_sums;

QD_LANES_INLINE row_sums sums_of(const float *dy, const float *gain, const float *x, moments m,
                                 int64_t width) {
    qd_lanes g_sum = {0}, product_sum = {0}, g, w, v;
    for (int64_t i = 0; i < width; i += QD_LANES) {
        qd_lanes_load(&g, dy + i, width - i);
        qd_lanes_load(&w, gain + i, width - i);
        qd_lanes_load(&v, x + i, width - i);
        g *= w; /* zero behind the end, and with it the products below */
        g_sum += g;
        product_sum += g * ((v - m.mean) * m.inverse);
    }
    return (row_sums){qd_lanes_sum(&g_sum), qd_lanes_sum(&product_sum)};
}

/* dx = inverse (g - mean(g) - x_hat mean(g x_hat)); adds: to what stands there. */
static void input_grads(float *restrict dx, const float *restrict dy, const float *restrict x,
                        const float *restrict gain, const float *restrict saved, qd_rows r,
                        bool adds) {
    for (int64_t n = 0; n < r.count; n++) {
        moments m = {saved[2 * n], saved[2 * n + 1]};
        row_sums s = sums_of(dy, gain, x, m, r.width);
        float mean_g = s.g / (float)r.width, mean_product = s.g_x_hat / (float)r.width;
        if (!adds)
            memset(dx, 0, (size_t)r.width * sizeof *dx);
        for (int64_t i = 0; i < r.width; i++) {
            float x_hat = (x[i] - m.mean) * m.inverse;
            dx[i] += m.inverse * (dy[i] * gain[i] - mean_g - x_hat * mean_product);
        }
        dx += r.width;
        dy += r.width;
        x += r.width;
    }
}

/* What the gradients of gain and bias are made of. */
typedef struct summing {
    const float *dy, *x, *saved;
    int64_t width;
} summing;

/* Of the held rows [first, end) of a slot: gains, and biases behind them. */
static int sum_slot(const void *context, int64_t first, int64_t end, float *part) {
    const summing *s = context;
    memset(part, 0, 2 * (size_t)s->width * sizeof *part);
    add_param_grads(part, part + s->width, s->dy + first * s->width, s->x + first * s->width,
                    s->saved + 2 * first, (qd_rows){.count = end - first, .width = s->width});
    return 0;
}

static float *cleared_unless(bool adds, float *gradient, int64_t count) {
    if (!adds)
        memset(gradient, 0, (size_t)count * sizeof *gradient);
    return gradient;
}

static int param_grads(const qd_graph *graph, const qd_node *node, qd_rows r,
                       const qd_operands *operands) {
    summing s = {operands->output_grad, operands->inputs[0], operands->saved, r.width};
    qd_slots slots = QD_CPU(slots_of_rows)(graph, node->inputs[0], operands->exchange);
    float *dgain = operands->param_grads[0], *dbias = operands->param_grads[1];
    float *sum = operands->scratch;
    if (slots.count == 1) {
        add_param_grads(cleared_unless(operands->param_adds[0], dgain, r.width),
                        cleared_unless(operands->param_adds[1], dbias, r.width), s.dy, s.x, s.saved,
                        r);
        return 0;
    }
    int rc = QD_CPU(sum_slots)(&slots, sum_slot, &s, sum, 2 * r.width, false, sum);
    if (rc)
        return rc;
    QD_CPU(hand_on)(dgain, sum, r.width, operands->param_adds[0]);
    QD_CPU(hand_on)(dbias, sum + r.width, r.width, operands->param_adds[1]);
    return 0;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    qd_rows r = qd_rows_of(graph, node);
    int rc = operands->param_grads[0] ? param_grads(graph, node, r, operands) : 0;
    if (!rc && operands->input_grads[0])
        input_grads(operands->input_grads[0], operands->output_grad, operands->inputs[0],
                    operands->params[0], operands->saved, r, operands->input_adds[0]);
    return rc;
}

const qd_cpu_op QD_CPU(layer_norm) = {.forward = forward, .backward = backward};
