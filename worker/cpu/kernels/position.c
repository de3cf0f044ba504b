#include <string.h>

#include "worker/cpu/kernels/kernels.h"

typedef struct sizes {
    int64_t samples;
    int64_t block; /* elements of a sample: length x width, as many as are read of the table */
    int64_t table; /* elements of the table */
} sizes;

static sizes sizes_of(const qd_graph *graph, const qd_node *node) {
    const qd_shape *x = &graph->values[node->inputs[0]].shape;
    return (sizes){x->dim[0], x->dim[1] * x->dim[2],
                   qd_shape_elements(&graph->params[node->params[0]].shape)};
}

static void add_table(float *restrict y, const float *restrict x, const float *restrict table,
                      sizes s) {
    for (int64_t n = 0; n < s.samples; n++, x += s.block, y += s.block)
        for (int64_t i = 0; i < s.block; i++)
            y[i] = x[i] + table[i];
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    add_table(operands->output, operands->inputs[0], operands->params[0], sizes_of(graph, node));
    return 0;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    sizes s = sizes_of(graph, node);
    const float *dy = operands->output_grad;
    float *dtable = operands->param_grads[0], *dx = operands->input_grads[0];
    if (!operands->param_adds[0])
        memset(dtable, 0, (size_t)s.table * sizeof *dtable);
    for (int64_t n = 0; n < s.samples; n++)
        QD_CPU(add_floats)(dtable, dy + n * s.block, s.block);
    if (dx)
        QD_CPU(hand_on)(dx, dy, s.samples * s.block, operands->input_adds[0]);
    return 0;
}

const qd_cpu_op QD_CPU(position) = {.forward = forward, .backward = backward};
