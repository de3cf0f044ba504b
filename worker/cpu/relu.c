#include "worker/cpu/clones.h"
#include "worker/cpu/cpu.h"

/* Comparisons are put so that a NaN passes through: it must reach the loss, where it is seen. */
QD_CLONES
static void rectify(float *restrict y, const float *restrict x, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        y[i] = x[i] <= 0.0f ? 0.0f : x[i];
}

QD_CLONES
static void rectify_grad(float *restrict dx, const float *restrict dy, const float *restrict y,
                         int64_t count) {
    for (int64_t i = 0; i < count; i++)
        dx[i] = y[i] <= 0.0f ? 0.0f : dy[i];
}

QD_CLONES
static void add_rectify_grad(float *restrict dx, const float *restrict dy, const float *restrict y,
                             int64_t count) {
    for (int64_t i = 0; i < count; i++)
        dx[i] += y[i] <= 0.0f ? 0.0f : dy[i];
}

static int64_t elements(const qd_graph *graph, const qd_node *node) {
    return qd_shape_elements(&graph->values[node->output].shape);
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    rectify(operands->output, operands->inputs[0], elements(graph, node));
    return 0;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    if (operands->input_grads[0])
        (operands->input_adds[0] ? add_rectify_grad
                                 : rectify_grad)(operands->input_grads[0], operands->output_grad,
                                                 operands->output, elements(graph, node));
    return 0;
}

const qd_cpu_op qd_cpu_relu = {forward, backward};
