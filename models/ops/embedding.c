#include "models/ops/flops.h"
#include "runtime/error.h"

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *indices = &graph->values[node->inputs[0]];
    const qd_shape *table = &graph->params[node->params[0]].shape;
    char a[64], b[64];
    if (indices->dtype != QD_I32 || indices->shape.dims >= QD_MAX_DIMS || table->dims != 2)
        return qd_error_set(QD_ECONFIG,
                            "%s: indices %s and table %s do not fit together; embedding takes [n, "
                            "..] of integers and [rows, width]",
                            node->name, qd_shape_text(&indices->shape, a, sizeof a),
                            qd_shape_text(table, b, sizeof b));
    output->dtype = QD_F32;
    output->shape = indices->shape;
    output->shape.dim[output->shape.dims++] = table->dim[1];
    bool cut = graph->params[node->params[0]].cut_dim == 0;
    return cut ? qd_cut_deal_rows(graph, node, output) : 0;
}

/* All rows, of which the output has its own, or what comes back has been gathered. */
static int64_t scratch(const qd_graph *graph, const qd_node *node) {
    const qd_value *y = &graph->values[node->output];
    return qd_rows_are_shared(graph, y) ? qd_shape_elements(&y->whole) : 0;
}

const qd_op qd_op_embedding = {
    .kind = QD_OP_EMBEDDING,
    .name = "embedding",
    .inputs = 1,
    .params = 1,
    .keep = QD_KEEP_INPUTS,
    .scratch = scratch,
    .separable = true, /* its input has no gradient */
    .infer = infer,
    .forward_flops = qd_no_flops,
    .backward_flops = qd_output_elements, /* each row's gradient is added to its place */
};
