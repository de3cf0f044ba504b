#include "models/ops/flops.h"
#include "models/ops/window.h"
#include "runtime/error.h"

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *x = &graph->values[node->inputs[0]];
    const qd_pool_attributes *how = &node->attributes.pool;
    char text[64];
    if (x->dtype != QD_F32 || x->shape.dims != 4)
        return qd_error_set(QD_ECONFIG,
                            "%s: input %s; %s takes [n, height, width, channels] of "
                            "float",
                            node->name, qd_shape_text(&x->shape, text, sizeof text),
                            node->op->name);
    int rc =
        qd_window_shape(node, &x->shape, how->window, how->stride, how->padding, &output->shape);
    output->shape.dim[3] = x->shape.dim[3];
    output->dtype = QD_F32;
    return rc;
}

/* An operation for each element of each window. */
static double flops(const qd_graph *graph, const qd_node *node) {
    const int64_t *window = node->attributes.pool.window;
    return qd_output_elements(graph, node) * (double)(window[0] * window[1]);
}

static int64_t saved_places(const qd_graph *graph, const qd_node *node) {
    return qd_shape_elements(&graph->values[node->output].shape);
}

const qd_op qd_op_max_pool = {
    .kind = QD_OP_MAX_POOL,
    .name = "max_pool",
    .inputs = 1,
    .params = 0,
    .infer = infer,
    .forward_flops = flops,
    .backward_flops = qd_output_elements, /* the greatest alone gets a gradient */
    .saved = saved_places,
};

const qd_op qd_op_mean_pool = {
    .kind = QD_OP_MEAN_POOL,
    .name = "mean_pool",
    .inputs = 1,
    .params = 0,
    .infer = infer,
    .forward_flops = flops,
    .backward_flops = flops,
};
