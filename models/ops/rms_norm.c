#include "models/ops/flops.h"
#include "runtime/align.h"
#include "runtime/error.h"

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *x = &graph->values[node->inputs[0]];
    const qd_shape *gain = &graph->params[node->params[0]].shape;
    char a[64], b[64];
    bool fits = x->dtype == QD_F32 && x->shape.dims >= 2 && gain->dims == 1 &&
                gain->dim[0] == x->shape.dim[x->shape.dims - 1];
    if (!fits)
        return qd_error_set(QD_ECONFIG,
                            "%s: input %s and gain %s do not fit together; rms_norm takes "
                            "[n, .., width] of float and [width]",
                            node->name, qd_shape_text(&x->shape, a, sizeof a),
                            qd_shape_text(gain, b, sizeof b));
    if (!(node->attributes.norm.epsilon > 0))
        return qd_error_set(QD_ECONFIG, "%s: epsilon %g; rms_norm needs one above 0", node->name,
                            (double)node->attributes.norm.epsilon);
    output->dtype = QD_F32;
    output->shape = x->shape;
    return 0;
}

/* Of an element: square and sum; scale and gain. */
static double forward_flops(const qd_graph *graph, const qd_node *node) {
    return 4.0 * qd_input_elements(graph, node);
}

/* Of an element: the gain's gradient (3), a row sum (3), and the input's gradient from it (4). */
static double backward_flops(const qd_graph *graph, const qd_node *node) {
    return 10.0 * qd_input_elements(graph, node);
}

/* The inverse root mean square of each row. */
static int64_t saved(const qd_graph *graph, const qd_node *node) {
    const qd_shape *x = &graph->values[node->inputs[0]].shape;
    return qd_shape_elements(x) / x->dim[x->dims - 1];
}

/* Sums of tensor slots over their rows, of gains. */
static int64_t scratch(const qd_graph *graph, const qd_node *node) {
    const qd_value *x = &graph->values[node->inputs[0]];
    int slots = qd_rows_slots(graph, x);
    if (slots == 1)
        return 0;
    return qd_cut_scratch_parts(slots) * qd_align_floats(x->shape.dim[x->shape.dims - 1]);
}

const qd_op qd_op_rms_norm = {
    .kind = QD_OP_RMS_NORM,
    .name = "rms_norm",
    .inputs = 1,
    .params = 1,
    .keep = QD_KEEP_INPUTS,
    .rows = QD_ROWS_KEPT,
    .infer = infer,
    .forward_flops = forward_flops,
    .backward_flops = backward_flops,
    .saved = saved,
    .scratch = scratch,
    .separable = true,
};
