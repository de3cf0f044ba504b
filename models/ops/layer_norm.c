#include "models/ops/flops.h"
#include "runtime/align.h"
#include "runtime/error.h"

static bool is_vector_of(const qd_shape *shape, int64_t width) {
    return shape->dims == 1 && shape->dim[0] == width;
}

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *x = &graph->values[node->inputs[0]];
    const qd_shape *gain = &graph->params[node->params[0]].shape;
    const qd_shape *bias = &graph->params[node->params[1]].shape;
    int64_t width = x->shape.dim[x->shape.dims - 1];
    char a[64], b[64], c[64];
    bool fits = x->dtype == QD_F32 && x->shape.dims >= 2 && is_vector_of(gain, width) &&
                is_vector_of(bias, width);
    if (!fits)
        return qd_error_set(QD_ECONFIG,
                            "%s: input %s, gain %s and bias %s do not fit together; layer_norm "
                            "takes [n, .., width] of float, [width] and [width]",
                            node->name, qd_shape_text(&x->shape, a, sizeof a),
                            qd_shape_text(gain, b, sizeof b), qd_shape_text(bias, c, sizeof c));
    if (!(node->attributes.norm.epsilon > 0))
        return qd_error_set(QD_ECONFIG, "%s: epsilon %g; layer_norm needs one above 0", node->name,
                            (double)node->attributes.norm.epsilon);
    output->dtype = QD_F32;
    output->shape = x->shape;
    return 0;
}

/* Of an element: sum, difference, square, sum of squares; scale, gain, bias. */
static double forward_flops(const qd_graph *graph, const qd_node *node) {
    return 7.0 * qd_input_elements(graph, node);
}

/* Of an element: normalise again (2), gains' and biases' gradients (3), two row sums (4), and the
 * input's gradient from them (5). */
static double backward_flops(const qd_graph *graph, const qd_node *node) {
    return 14.0 * qd_input_elements(graph, node);
}

/* Mean and inverse deviation of each row. */
static int64_t saved(const qd_graph *graph, const qd_node *node) {
    const qd_shape *x = &graph->values[node->inputs[0]].shape;
    return 2 * qd_shape_elements(x) / x->dim[x->dims - 1];
}

/* Sums of tensor slots over their rows, of gains and biases. */
static int64_t scratch(const qd_graph *graph, const qd_node *node) {
    const qd_value *x = &graph->values[node->inputs[0]];
    int slots = qd_rows_slots(graph, x);
    if (slots == 1)
        return 0;
    return qd_cut_scratch_parts(slots) * qd_align_floats(2 * x->shape.dim[x->shape.dims - 1]);
}

const qd_op qd_op_layer_norm = {
    .kind = QD_OP_LAYER_NORM,
    .name = "layer_norm",
    .inputs = 1,
    .params = 2,
    .keep = QD_KEEP_INPUTS,
    .rows = QD_ROWS_KEPT,
    .infer = infer,
    .forward_flops = forward_flops,
    .backward_flops = backward_flops,
    .saved = saved,
    .scratch = scratch,
    .separable = true,
};
