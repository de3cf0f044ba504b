#include "models/ops/flops.h"
#include "runtime/error.h"

static int64_t channels_of(const qd_graph *graph, const qd_node *node) {
    const qd_shape *x = &graph->values[node->inputs[0]].shape;
    return x->dim[x->dims - 1];
}

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *x = &graph->values[node->inputs[0]];
    int64_t channels = channels_of(graph, node);
    char shape[64];
    bool fits = x->dtype == QD_F32 && x->shape.dims >= 2;
    for (int p = 0; p < node->param_count; p++) {
        const qd_param *param = &graph->params[node->params[p]];
        fits = fits && param->shape.dims == 1 && param->shape.dim[0] == channels &&
               param->kind == (p < 2 ? QD_PARAM_TRAINED : QD_PARAM_STATISTIC);
    }
    if (!fits)
        return qd_error_set(QD_ECONFIG,
                            "%s: input %s; batch_norm takes [n, .., channels] of float, and gain, "
                            "bias and the statistics mean and variance, each [channels]",
                            node->name, qd_shape_text(&x->shape, shape, sizeof shape));
    if (qd_shape_elements(&x->shape) / channels < 2)
        return qd_error_set(QD_ECONFIG,
                            "%s: input %s has one element a channel; batch_norm needs two or more "
                            "in each data slot",
                            node->name, qd_shape_text(&x->shape, shape, sizeof shape));
    if (!(node->attributes.norm.epsilon > 0))
        return qd_error_set(QD_ECONFIG, "%s: epsilon %g; batch_norm needs one above 0", node->name,
                            (double)node->attributes.norm.epsilon);
    output->dtype = QD_F32;
    output->shape = x->shape;
    return 0;
}

/* Of an element: sum, difference, square, sum of squares; scale, gain, bias. */
static double forward_flops(const qd_graph *graph, const qd_node *node) {
    return 7.0 * qd_input_elements(graph, node);
}

/* Of an element: normalise again (2), two sums (3), and the input's gradient from them (5). */
static double backward_flops(const qd_graph *graph, const qd_node *node) {
    return 10.0 * qd_input_elements(graph, node);
}

static int64_t saved(const qd_graph *graph, const qd_node *node) {
    return 2 * channels_of(graph, node);
}

/* Sums of rows: of a block of them, and of all in double. */
static int64_t scratch(const qd_graph *graph, const qd_node *node) {
    return 6 * channels_of(graph, node);
}

const qd_op qd_op_batch_norm = {
    .kind = QD_OP_BATCH_NORM,
    .name = "batch_norm",
    .inputs = 1,
    .params = 4,
    .keep = QD_KEEP_INPUTS,
    .infer = infer,
    .forward_flops = forward_flops,
    .backward_flops = backward_flops,
    .saved = saved,
    .scratch = scratch,
};
