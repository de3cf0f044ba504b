#include "worker/cpu/kernels/kernels.h"
#include "worker/cpu/kernels/vector_math.h"

/*
 * An activation is a function of one element and its derivative, from the input or the output as
 * the operator keeps it. The loops are written once, and made for each activation by inlining.
 */
typedef float function(float x);
typedef void forward_loop(float *restrict y, const float *restrict x, int64_t count);
typedef void backward_loop(float *restrict dx, const float *restrict dy, const float *restrict kept,
                           int64_t count, bool adds);

QD_MATH_INLINE void each(float *restrict y, const float *restrict x, int64_t count, function f) {
    for (int64_t i = 0; i < count; i++)
        y[i] = f(x[i]);
}

QD_MATH_INLINE void each_grad(float *restrict dx, const float *restrict dy,
                              const float *restrict kept, int64_t count, bool adds,
                              function derivative) {
    if (adds)
        for (int64_t i = 0; i < count; i++)
            dx[i] += dy[i] * derivative(kept[i]);
    else
        for (int64_t i = 0; i < count; i++)
            dx[i] = dy[i] * derivative(kept[i]);
}

#define LOOPS(NAME, FUNCTION, DERIVATIVE)                                                          \
    static void NAME##_forward(float *restrict y, const float *restrict x, int64_t count) {        \
        each(y, x, count, FUNCTION);                                                               \
    }                                                                                              \
    static void NAME##_backward(float *restrict dx, const float *restrict dy,                      \
                                const float *restrict kept, int64_t count, bool adds) {            \
        each_grad(dx, dy, kept, count, adds, DERIVATIVE);                                          \
    }

/* The comparison is put so that a NaN passes through: it must reach the loss, where it is seen. */
QD_MATH_INLINE float relu(float x) {
    return x <= 0.0f ? 0.0f : x;
}

QD_MATH_INLINE float relu_slope(float y) {
    return y <= 0.0f ? 0.0f : 1.0f;
}

/* Hendrycks and Gimpel, arXiv 1606.08415: x Phi(x), Phi(x) = (1 + erf(x / sqrt(2))) / 2. */
QD_MATH_INLINE float gelu(float x) {
    return 0.5f * x * (1.0f + qd_erff(0.707106781f * x));
}

/* Phi(x) + x phi(x), phi(x) = e^(-x^2 / 2) / sqrt(2 pi). The square is bounded, since beyond the
 * range of a float an infinite x would be multiplied by zero. */
QD_MATH_INLINE float gelu_slope(float x) {
    float bounded = x > 16.0f ? 16.0f : x < -16.0f ? -16.0f : x;
    float density = 0.398942280f * qd_expf(-0.5f * bounded * bounded);
    return 0.5f * (1.0f + qd_erff(0.707106781f * x)) + bounded * density;
}

/* The same paper's approximation: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), which
 * is x sigmoid of twice the argument. */
#define GELU_SCALE 1.5957691216f /* 2 sqrt(2 / pi) */
#define GELU_CUBE 0.044715f

QD_MATH_INLINE float gelu_tanh(float x) {
    return x * qd_sigmoidf(GELU_SCALE * (x + GELU_CUBE * x * x * x));
}

QD_MATH_INLINE float gelu_tanh_slope(float x) {
    float s = qd_sigmoidf(GELU_SCALE * (x + GELU_CUBE * x * x * x));
    return s + x * s * (1.0f - s) * GELU_SCALE * (1.0f + 3.0f * GELU_CUBE * x * x);
}

QD_MATH_INLINE float silu(float x) {
    return x * qd_sigmoidf(x);
}

QD_MATH_INLINE float silu_slope(float x) {
    float s = qd_sigmoidf(x);
    return s * (1.0f + x * (1.0f - s));
}

QD_MATH_INLINE float tanh_slope(float y) {
    return 1.0f - y * y;
}

QD_MATH_INLINE float sigmoid_slope(float y) {
    return y * (1.0f - y);
}

LOOPS(relu, relu, relu_slope)
LOOPS(gelu, gelu, gelu_slope)
LOOPS(gelu_tanh, gelu_tanh, gelu_tanh_slope)
LOOPS(silu, silu, silu_slope)
LOOPS(tanh, qd_tanhf, tanh_slope)
LOOPS(sigmoid, qd_sigmoidf, sigmoid_slope)

static const struct {
    forward_loop *forward;
    backward_loop *backward;
} loops[QD_OP_KINDS] = {
    [QD_OP_RELU] = {relu_forward, relu_backward},
    [QD_OP_GELU] = {gelu_forward, gelu_backward},
    [QD_OP_GELU_TANH] = {gelu_tanh_forward, gelu_tanh_backward},
    [QD_OP_SILU] = {silu_forward, silu_backward},
    [QD_OP_TANH] = {tanh_forward, tanh_backward},
    [QD_OP_SIGMOID] = {sigmoid_forward, sigmoid_backward},
};

static int64_t elements(const qd_graph *graph, const qd_node *node) {
    return qd_shape_elements(&graph->values[node->output].shape);
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    loops[node->op->kind].forward(operands->output, operands->inputs[0], elements(graph, node));
    return 0;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    const float *kept = node->op->keep & QD_KEEP_OUTPUT ? operands->output : operands->inputs[0];
    if (operands->input_grads[0])
        loops[node->op->kind].backward(operands->input_grads[0], operands->output_grad, kept,
                                       elements(graph, node), operands->input_adds[0]);
    return 0;
}

const qd_cpu_op QD_CPU(activation) = {.forward = forward, .backward = backward};
