#include "worker/cpu/kernels/kernels.h"
#include "worker/cpu/onednn_convolution.h"

static int prepare(qd_backend_context *context, const qd_graph *graph, qd_node *node, void **made) {
    qd_convolution *c;
    int rc = qd_convolution_create(context->threads, &graph->values[node->inputs[0]].shape,
                                   &graph->params[node->params[0]].shape,
                                   &graph->values[node->output].shape, node->param_count == 2,
                                   node->attributes.convolution, &c);
    if (rc)
        return rc;
    /* Behind what the operator asks for, which stays for gradients that are to be added. */
    node->scratch = (node->scratch + 15) / 16 * 16;
    node->scratch += (int64_t)(qd_convolution_scratch_bytes(c) / sizeof(float));
    *made = c;
    return 0;
}

static void release(void *made) {
    qd_convolution_destroy(made);
}

/* The library's part of the scratch. */
static void *library_scratch(const qd_convolution *c, const qd_node *node,
                             const qd_operands *operands) {
    int64_t own = node->scratch - (int64_t)(qd_convolution_scratch_bytes(c) / sizeof(float));
    return (float *)operands->scratch + own;
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)graph;
    qd_convolution *c = qd_cpu_prepared(context, node);
    return qd_convolution_forward(c, operands->inputs[0], operands->params[0], operands->params[1],
                                  operands->output, library_scratch(c, node, operands));
}

static int backward_params(qd_convolution *c, const qd_graph *graph, const qd_node *node,
                           const qd_operands *operands) {
    int64_t weights = qd_shape_elements(&graph->params[node->params[0]].shape);
    int64_t biases = graph->params[node->params[0]].shape.dim[0];
    float *dw = operands->param_grads[0], *db = operands->param_grads[1], *own = operands->scratch;
    float *new_dw = operands->param_adds[0] ? own : dw;
    float *new_db = operands->param_adds[1] ? own + (weights + 15) / 16 * 16 : db;
    int rc = qd_convolution_backward_weights(c, operands->inputs[0], operands->output_grad, new_dw,
                                             new_db, library_scratch(c, node, operands));
    if (!rc && new_dw != dw)
        QD_CPU(add_floats)(dw, new_dw, weights);
    if (!rc && new_db != db)
        QD_CPU(add_floats)(db, new_db, biases);
    return rc;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    qd_convolution *c = qd_cpu_prepared(context, node);
    float *dx = operands->input_grads[0];
    int rc = backward_params(c, graph, node, operands);
    if (rc || !dx)
        return rc;
    float *new_dx = operands->input_adds[0] ? operands->scratch : dx;
    rc = qd_convolution_backward_data(c, operands->output_grad, operands->params[0], new_dx,
                                      library_scratch(c, node, operands));
    if (!rc && new_dx != dx)
        QD_CPU(add_floats)(dx, new_dx, qd_shape_elements(&graph->values[node->inputs[0]].shape));
    return rc;
}

const qd_cpu_op QD_CPU(convolution) = {
    .forward = forward, .backward = backward, .prepare = prepare, .release = release};
