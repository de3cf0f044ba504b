#include <string.h>

#include "worker/cpu/clones.h"
#include "worker/cpu/cpu.h"
#include "worker/cpu/onednn.h"

/* Leading dimensions are rows like any other. */
typedef struct sizes {
    int64_t n, in, out;
} sizes;

static sizes sizes_of(const qd_graph *graph, const qd_node *node) {
    const qd_shape *weight = &graph->params[node->params[0]].shape;
    int64_t elements = qd_shape_elements(&graph->values[node->inputs[0]].shape);
    return (sizes){elements / weight->dim[1], weight->dim[1], weight->dim[0]};
}

/* Every row starts as the bias, and the product is added to it: one pass less than the other way
 * round. */
static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    sizes s = sizes_of(graph, node);
    float *y = operands->output;
    const float *bias = operands->params[1];
    for (int64_t i = 0; i < s.n && bias; i++)
        memcpy(y + i * s.out, bias, (size_t)s.out * sizeof *y);
    return qd_onednn_sgemm(context->threads, s.n, s.out, s.in,
                           (qd_matrix){.data = operands->inputs[0]},
                           (qd_matrix){.data = operands->params[0], .transposed = true},
                           (qd_product){.data = y, .beta = bias ? 1.0f : 0.0f});
}

/* sum[out] of the rows of dy[n, out], from the first to the last; behind what stands there where
 * adds is set. */
QD_CLONES
static void sum_rows(float *restrict sum, const float *restrict dy, int64_t n, int64_t out,
                     bool adds) {
    if (!adds)
        memset(sum, 0, (size_t)out * sizeof *sum);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < out; j++)
            sum[j] += dy[i * out + j];
}

/* dW = dy^T x, db = sum of dy's rows, dx = dy W. */
static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    sizes s = sizes_of(graph, node);
    const float *dy = operands->output_grad;
    int rc = 0;
    if (operands->param_grads[1])
        sum_rows(operands->param_grads[1], dy, s.n, s.out, operands->param_adds[1]);
    if (operands->param_grads[0])
        rc = qd_onednn_sgemm(
            context->threads, s.out, s.in, s.n, (qd_matrix){.data = dy, .transposed = true},
            (qd_matrix){.data = operands->inputs[0]},
            (qd_product){.data = operands->param_grads[0], .beta = operands->param_adds[0]});
    if (!rc && operands->input_grads[0])
        rc = qd_onednn_sgemm(
            context->threads, s.n, s.in, s.out, (qd_matrix){.data = dy},
            (qd_matrix){.data = operands->params[0]},
            (qd_product){.data = operands->input_grads[0], .beta = operands->input_adds[0]});
    return rc;
}

const qd_cpu_op qd_cpu_linear = {.forward = forward, .backward = backward};
