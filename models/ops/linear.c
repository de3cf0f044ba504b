#include "models/op.h"
#include "runtime/align.h"
#include "runtime/error.h"

/* The width that the weight must have: of the last dimension, or of all but the first. */
static int64_t input_width(const qd_node *node, const qd_shape *x) {
    if (node->attributes.linear.flatten)
        return qd_shape_elements(x) / x->dim[0];
    return x->dim[x->dims - 1];
}

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *x = &graph->values[node->inputs[0]];
    const qd_shape *weight = &graph->params[node->params[0]].shape;
    const qd_shape none = {0};
    const qd_shape *bias = node->param_count == 2 ? &graph->params[node->params[1]].shape : &none;
    char a[64], b[64], c[64];
    const qd_shape *shape = qd_value_whole(x);
    bool fits = x->dtype == QD_F32 && shape->dims >= 2 && weight->dims == 2 &&
                weight->dim[1] == input_width(node, shape) &&
                (bias == &none || (bias->dims == 1 && bias->dim[0] == weight->dim[0]));
    if (!fits)
        return qd_error_set(QD_ECONFIG,
                            "%s: input %s, weight %s and bias %s do not fit together; linear takes "
                            "[n, .., in] of float, [out, in] and [out]",
                            node->name, qd_shape_text(shape, a, sizeof a),
                            qd_shape_text(weight, b, sizeof b), qd_shape_text(bias, c, sizeof c));
    int64_t unit = node->attributes.linear.unit, cut = node->attributes.linear.cut;
    if (unit > 0 && cut != QD_CUT_NONE && weight->dim[cut == QD_CUT_OUT ? 0 : 1] % unit != 0)
        return qd_error_set(QD_ECONFIG,
                            "%s: weight %s is no multiple of the %lld that belong together",
                            node->name, qd_shape_text(weight, a, sizeof a), (long long)unit);
    if (qd_rows_are_shared(graph, x) && cut != QD_CUT_OUT)
        return qd_error_set(QD_ECONFIG,
                            "%s: rows of %s are shared out by tensor parallelism, and only a layer "
                            "whose outputs are cut brings them together",
                            node->name, x->name);
    output->dtype = QD_F32;
    output->shape = *shape;
    if (node->attributes.linear.flatten)
        output->shape.dims = 2;
    output->shape.dim[output->shape.dims - 1] = weight->dim[0];
    return cut == QD_CUT_IN ? qd_cut_deal_rows(graph, node, output) : 0;
}

/* Of x W^T alone: a multiply-add for each element of x and each output. */
static double product_flops(const qd_graph *graph, const qd_node *node) {
    const qd_shape *x = qd_value_whole(&graph->values[node->inputs[0]]);
    const qd_shape *weight = &graph->params[node->params[0]].shape;
    return 2.0 * (double)qd_shape_elements(x) * (double)weight->dim[0];
}

static double bias_flops(const qd_graph *graph, const qd_node *node) {
    bool has_bias = node->param_count == 2;
    return has_bias ? (double)qd_shape_elements(&graph->values[node->output].shape) : 0;
}

static double forward_flops(const qd_graph *graph, const qd_node *node) {
    return product_flops(graph, node) + bias_flops(graph, node);
}

/* One product for the weight's gradient, and one for the input's where it is wanted. */
static double backward_flops(const qd_graph *graph, const qd_node *node) {
    double products = graph->values[node->inputs[0]].needs_grad ? 2.0 : 1.0;
    return products * product_flops(graph, node) + bias_flops(graph, node);
}

/* Partial results: of the outputs where the inputs are cut, and of the inputs' gradient where the
 * outputs are. */
static int64_t scratch(const qd_graph *graph, const qd_node *node) {
    int slots = qd_op_tensor_slots(graph, node);
    bool cuts_out = node->attributes.linear.cut == QD_CUT_OUT;
    const qd_value *x = &graph->values[node->inputs[0]];
    if (slots == 1 || (cuts_out && !x->needs_grad))
        return 0;
    const qd_value *summed = cuts_out ? x : &graph->values[node->output];
    return qd_cut_scratch_parts(slots) * qd_align_floats(qd_shape_elements(qd_value_whole(summed)));
}

const qd_op qd_op_linear = {
    .kind = QD_OP_LINEAR,
    .name = "linear",
    .inputs = 1,
    .params = 2,
    .optional = 1,
    .scratch = scratch,
    .separable = true,
    .keep = QD_KEEP_INPUTS,
    .rows = QD_ROWS_JOINED,
    .infer = infer,
    .forward_flops = forward_flops,
    .backward_flops = backward_flops,
};
