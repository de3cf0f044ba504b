/* Losses against targets of float: they differ in name, in what they cost and in attributes. */
#include "models/ops/flops.h"
#include "runtime/error.h"

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *x = &graph->values[node->inputs[0]], *t = &graph->values[node->inputs[1]];
    char a[64], b[64];
    bool fits = x->dtype == QD_F32 && t->dtype == QD_F32 && x->shape.dims >= 2 &&
                qd_shape_equals(&x->shape, &t->shape);
    if (!fits)
        return qd_error_set(QD_ECONFIG,
                            "%s: input %s and target %s do not fit together; %s takes two float "
                            "tensors of one shape [n, .., width]",
                            node->name, qd_shape_text(&x->shape, a, sizeof a),
                            qd_shape_text(&t->shape, b, sizeof b), node->op->name);
    if (t->needs_grad)
        return qd_error_set(QD_ECONFIG,
                            "%s: the target depends on parameters; %s gives it no "
                            "gradient",
                            node->name, node->op->name);
    output->dtype = QD_F32;
    output->shape = x->shape;
    output->shape.dims--;
    return 0;
}

static int infer_huber(const qd_graph *graph, const qd_node *node, qd_value *output) {
    if (!(node->attributes.huber.delta > 0))
        return qd_error_set(QD_ECONFIG, "%s: delta %g; huber needs one above 0", node->name,
                            (double)node->attributes.huber.delta);
    return infer(graph, node, output);
}

/* Difference, square and sum; difference and product. */
static double mse_forward_flops(const qd_graph *graph, const qd_node *node) {
    return 3.0 * qd_input_elements(graph, node);
}

static double mse_backward_flops(const qd_graph *graph, const qd_node *node) {
    return 2.0 * qd_input_elements(graph, node);
}

/* Difference, comparison, two products, difference and sum; difference, two comparisons, product.
 */
static double huber_forward_flops(const qd_graph *graph, const qd_node *node) {
    return 6.0 * qd_input_elements(graph, node);
}

static double huber_backward_flops(const qd_graph *graph, const qd_node *node) {
    return 4.0 * qd_input_elements(graph, node);
}

/* An exponential and a logarithm count 1 each, as the few operations around them do. */
static double logarithm_flops(const qd_graph *graph, const qd_node *node) {
    return 6.0 * qd_input_elements(graph, node);
}

/* An exponential, a quotient, a sum, a difference, a product. */
static double exponential_flops(const qd_graph *graph, const qd_node *node) {
    return 5.0 * qd_input_elements(graph, node);
}

/* Maximum, logarithm of the sum above it, and sum of the targets. */
static int64_t kl_saved(const qd_graph *graph, const qd_node *node) {
    const qd_shape *x = &graph->values[node->inputs[0]].shape;
    return 3 * qd_shape_elements(x) / x->dim[x->dims - 1];
}

#define LOSS(KIND, NAME, INFER, FORWARD, BACKWARD)                                                 \
    .kind = KIND, .name = NAME, .inputs = 2, .params = 0, .keep = QD_KEEP_INPUTS, .infer = INFER,  \
    .forward_flops = FORWARD, .backward_flops = BACKWARD

const qd_op qd_op_mse = {LOSS(QD_OP_MSE, "mse", infer, mse_forward_flops, mse_backward_flops)};
const qd_op qd_op_huber = {
    LOSS(QD_OP_HUBER, "huber", infer_huber, huber_forward_flops, huber_backward_flops)};
const qd_op qd_op_binary_cross_entropy = {LOSS(QD_OP_BINARY_CROSS_ENTROPY, "binary_cross_entropy",
                                               infer, logarithm_flops, exponential_flops)};
const qd_op qd_op_kl = {LOSS(QD_OP_KL, "kl", infer, logarithm_flops, exponential_flops),
                        .saved = kl_saved};
