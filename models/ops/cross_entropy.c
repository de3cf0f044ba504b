#include "models/ops/flops.h"
#include "runtime/align.h"
#include "runtime/error.h"

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *logits = &graph->values[node->inputs[0]];
    const qd_value *target = &graph->values[node->inputs[1]];
    char a[64], b[64];
    bool fits = logits->dtype == QD_F32 && target->dtype == QD_I32 &&
                logits->shape.dims == target->shape.dims + 1;
    for (int i = 0; fits && i < target->shape.dims; i++)
        fits = logits->shape.dim[i] == target->shape.dim[i];
    if (!fits)
        return qd_error_set(QD_ECONFIG,
                            "%s: logits %s and target %s do not fit together; cross_entropy takes "
                            "[n, .., classes] of float and [n, ..] of integers",
                            node->name, qd_shape_text(&logits->shape, a, sizeof a),
                            qd_shape_text(&target->shape, b, sizeof b));
    int64_t held = logits->shape.dim[logits->shape.dims - 1];
    int64_t classes = node->attributes.cross_entropy.classes;
    classes = classes ? classes : held;
    if (graph->class_weights && graph->class_weight_count != classes)
        return qd_error_set(QD_ECONFIG,
                            "%s: %lld class weights for %lld classes; there is one for each",
                            node->name, (long long)graph->class_weight_count, (long long)classes);
    int64_t first = 0, end = classes;
    if (qd_op_is_shared(graph, node))
        qd_cut_held(graph, classes, 1, &first, &end);
    if (held != end - first)
        return qd_error_set(QD_ECONFIG,
                            "%s: logits %s for the classes %lld .. %lld of %lld that are held here",
                            node->name, qd_shape_text(&logits->shape, a, sizeof a),
                            (long long)first, (long long)end - 1, (long long)classes);
    float smoothing = node->attributes.cross_entropy.label_smoothing;
    if (!(smoothing >= 0 && smoothing <= 1))
        return qd_error_set(QD_ECONFIG, "%s: label smoothing %g; it lies in 0 .. 1", node->name,
                            (double)smoothing);
    output->dtype = QD_F32;
    output->shape = target->shape;
    return 0;
}

/* Difference, exponential and sum for each logit; an exponential counts 1. */
static double forward_flops(const qd_graph *graph, const qd_node *node) {
    return 3.0 * qd_input_elements(graph, node);
}

/* The same again, since the exponentials are not kept, and two products. */
static double backward_flops(const qd_graph *graph, const qd_node *node) {
    return 5.0 * qd_input_elements(graph, node);
}

/* Of each row its greatest logit, and the logarithm of the sum of the exponentials above it. */
static int64_t saved(const qd_graph *graph, const qd_node *node) {
    return 2 * qd_shape_elements(&graph->values[node->inputs[1]].shape);
}

/* Where the classes are shared, the greatest logits of all members' rows, and the sums over slots
 * that are being added up: three vectors of a number for each row (worker/cpu/kernels/). */
static int64_t scratch(const qd_graph *graph, const qd_node *node) {
    if (!qd_op_is_shared(graph, node))
        return 0;
    int64_t rows = qd_shape_elements(&graph->values[node->inputs[1]].shape);
    return qd_align_floats(graph->tensor_members * rows) +
           qd_cut_scratch_parts(graph->tensor_slots) * qd_align_floats(3 * rows);
}

const qd_op qd_op_cross_entropy = {
    .kind = QD_OP_CROSS_ENTROPY,
    .name = "cross_entropy",
    .inputs = 2,
    .params = 0,
    .keep = QD_KEEP_INPUTS,
    .infer = infer,
    .forward_flops = forward_flops,
    .backward_flops = backward_flops,
    .saved = saved,
    .scratch = scratch,
};
