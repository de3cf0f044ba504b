#include <inttypes.h>

#include "models/ops/flops.h"
#include "models/ops/window.h"
#include "runtime/error.h"

static int check_operands(const qd_graph *graph, const qd_node *node) {
    const qd_value *x = &graph->values[node->inputs[0]];
    const qd_shape *weight = &graph->params[node->params[0]].shape;
    const qd_shape none = {0};
    const qd_shape *bias = node->param_count == 2 ? &graph->params[node->params[1]].shape : &none;
    int64_t groups = node->attributes.convolution.groups;
    char a[64], b[64], c[64];
    bool fits = x->dtype == QD_F32 && x->shape.dims == 4 && weight->dims == 4 && groups >= 1 &&
                weight->dim[0] % groups == 0 && x->shape.dim[3] == weight->dim[1] * groups &&
                (bias == &none || (bias->dims == 1 && bias->dim[0] == weight->dim[0]));
    if (fits)
        return 0;
    return qd_error_set(
        QD_ECONFIG,
        "%s: input %s, weight %s and bias %s do not fit together in %" PRId64
        " groups; convolution takes [n, height, width, in] of float, [out, in / "
        "groups, kernel height, kernel width] and [out], groups dividing in and out",
        node->name, qd_shape_text(&x->shape, a, sizeof a), qd_shape_text(weight, b, sizeof b),
        qd_shape_text(bias, c, sizeof c), groups);
}

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_convolution_attributes *how = &node->attributes.convolution;
    int rc = check_operands(graph, node);
    if (rc)
        return rc;
    const qd_shape *weight = &graph->params[node->params[0]].shape;
    rc = qd_window_shape(node, &graph->values[node->inputs[0]].shape, &weight->dim[2], how->stride,
                         how->padding, &output->shape);
    output->shape.dim[3] = weight->dim[0];
    output->dtype = QD_F32;
    return rc;
}

/* Of the products alone, those with padding counted, too. */
static double product_flops(const qd_graph *graph, const qd_node *node) {
    const qd_shape *weight = &graph->params[node->params[0]].shape;
    return 2.0 * qd_output_elements(graph, node) *
           (double)(weight->dim[1] * weight->dim[2] * weight->dim[3]);
}

static double bias_flops(const qd_graph *graph, const qd_node *node) {
    return node->param_count == 2 ? qd_output_elements(graph, node) : 0;
}

static double forward_flops(const qd_graph *graph, const qd_node *node) {
    return product_flops(graph, node) + bias_flops(graph, node);
}

static double backward_flops(const qd_graph *graph, const qd_node *node) {
    double products = graph->values[node->inputs[0]].needs_grad ? 2.0 : 1.0;
    return products * product_flops(graph, node) + bias_flops(graph, node);
}

/* Room for a gradient that is to be added to one that stands there: the input's or the
 * parameters'. */
static int64_t scratch(const qd_graph *graph, const qd_node *node) {
    int64_t x = qd_shape_elements(&graph->values[node->inputs[0]].shape);
    const qd_shape *weight = &graph->params[node->params[0]].shape;
    int64_t params = qd_shape_elements(weight) + weight->dim[0] + 16;
    return x > params ? x : params;
}

const qd_op qd_op_convolution = {
    .kind = QD_OP_CONVOLUTION,
    .name = "convolution",
    .inputs = 1,
    .params = 2,
    .optional = 1,
    .separable = true,
    .keep = QD_KEEP_INPUTS | QD_KEEP_OUTPUT, /* the output: where it rectifies */
    .infer = infer,
    .forward_flops = forward_flops,
    .backward_flops = backward_flops,
    .scratch = scratch,
};
