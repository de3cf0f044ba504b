#include "worker/cpu/kernels/kernels.h"
#include "worker/cpu/kernels/lanes.h"
#include "worker/cpu/kernels/rows.h"

/*
 * Means over a row of a function of element and target. The loops are written once, and made for
 * each loss by inlining. The third argument is what the loss is told: huber's delta.
 */
typedef float function(float x, float t, float told);

typedef void forward_loop(float *restrict losses, const float *restrict x, const float *restrict t,
                          qd_rows r, float told);
typedef void backward_loop(float *restrict dx, const float *restrict scales,
                           const float *restrict x, const float *restrict t, qd_rows r, float told,
                           bool adds);

/* Sixteen sums, as in lanes.h. */
QD_MATH_INLINE float mean(const float *x, const float *t, int64_t width, float told, function f) {
    float sums[QD_LANES] = {0};
    int64_t whole = width / QD_LANES * QD_LANES;
    for (int64_t i = 0; i < whole; i += QD_LANES)
        for (int l = 0; l < QD_LANES; l++)
            sums[l] += f(x[i + l], t[i + l], told);
    for (int64_t i = whole; i < width; i++)
        sums[i - whole] += f(x[i], t[i], told);
    qd_lanes lanes;
    memcpy(&lanes, sums, sizeof lanes);
    return qd_lanes_sum(&lanes) / (float)width;
}

QD_MATH_INLINE void each(float *restrict losses, const float *restrict x, const float *restrict t,
                         qd_rows r, float told, function f) {
    for (int64_t n = 0; n < r.count; n++)
        losses[n] = mean(x + n * r.width, t + n * r.width, r.width, told, f);
}

QD_MATH_INLINE void each_grad(float *restrict dx, const float *restrict scales,
                              const float *restrict x, const float *restrict t, qd_rows r,
                              float told, bool adds, function derivative) {
    for (int64_t n = 0; n < r.count; n++, dx += r.width, x += r.width, t += r.width) {
        float scale = scales[n] / (float)r.width;
        if (adds)
            for (int64_t i = 0; i < r.width; i++)
                dx[i] += derivative(x[i], t[i], told) * scale;
        else
            for (int64_t i = 0; i < r.width; i++)
                dx[i] = derivative(x[i], t[i], told) * scale;
    }
}

#define LOOPS(NAME)                                                                                \
    static void NAME##_forward(float *restrict losses, const float *restrict x,                    \
                               const float *restrict t, qd_rows r, float told) {                   \
        each(losses, x, t, r, told, NAME);                                                         \
    }                                                                                              \
    static void NAME##_backward(float *restrict dx, const float *restrict scales,                  \
                                const float *restrict x, const float *restrict t, qd_rows r,       \
                                float told, bool adds) {                                           \
        each_grad(dx, scales, x, t, r, told, adds, NAME##_slope);                                  \
    }

QD_MATH_INLINE float square(float x, float t, float told) {
    (void)told;
    return (x - t) * (x - t);
}

QD_MATH_INLINE float square_slope(float x, float t, float told) {
    (void)told;
    return 2.0f * (x - t);
}

QD_MATH_INLINE float huber(float x, float t, float delta) {
    float a = fabsf(x - t);
    return a <= delta ? 0.5f * a * a : delta * (a - 0.5f * delta);
}

/* The comparisons are put so that a NaN passes through. */
QD_MATH_INLINE float huber_slope(float x, float t, float delta) {
    float d = x - t;
    return d > delta ? delta : d < -delta ? -delta : d;
}

/* -t log sigmoid(x) - (1 - t) log sigmoid(-x) = max(x, 0) - x t + log(1 + e^-|x|), where nothing
 * overflows. */
QD_MATH_INLINE float binary(float x, float t, float told) {
    (void)told;
    float positive = x < 0 ? 0.0f : x;
    return (positive - x * t) + qd_log1pf(qd_expf(x < 0 ? x : -x));
}

QD_MATH_INLINE float binary_slope(float x, float t, float told) {
    (void)told;
    return qd_sigmoidf(x) - t;
}

LOOPS(square)
LOOPS(huber)
LOOPS(binary)

static const struct {
    forward_loop *forward;
    backward_loop *backward;
} loops[QD_OP_KINDS] = {
    [QD_OP_MSE] = {square_forward, square_backward},
    [QD_OP_HUBER] = {huber_forward, huber_backward},
    [QD_OP_BINARY_CROSS_ENTROPY] = {binary_forward, binary_backward},
};

static float told_of(const qd_node *node) {
    return node->op->kind == QD_OP_HUBER ? node->attributes.huber.delta : 0.0f;
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    loops[node->op->kind].forward(operands->output, operands->inputs[0], operands->inputs[1],
                                  qd_rows_of(graph, node), told_of(node));
    return 0;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    if (operands->input_grads[0])
        loops[node->op->kind].backward(
            operands->input_grads[0], operands->output_grad, operands->inputs[0],
            operands->inputs[1], qd_rows_of(graph, node), told_of(node), operands->input_adds[0]);
    return 0;
}

const qd_cpu_op QD_CPU(elementwise_loss) = {.forward = forward, .backward = backward};
