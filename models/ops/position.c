#include "models/ops/flops.h"
#include "runtime/align.h"
#include "runtime/error.h"

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *x = &graph->values[node->inputs[0]];
    const qd_shape *table = &graph->params[node->params[0]].shape;
    char a[64], b[64];
    const qd_shape *shape = qd_value_whole(x);
    bool fits = x->dtype == QD_F32 && shape->dims == 3 && table->dims == 2 &&
                shape->dim[1] <= table->dim[0] && shape->dim[2] == table->dim[1];
    if (!fits)
        return qd_error_set(QD_ECONFIG,
                            "%s: input %s and table %s do not fit together; position takes [n, "
                            "length, width] of float and [at least length, width]",
                            node->name, qd_shape_text(shape, a, sizeof a),
                            qd_shape_text(table, b, sizeof b));
    output->dtype = QD_F32;
    output->shape = x->shape;
    return 0;
}

/* Sums of tensor slots over their rows. */
static int64_t scratch(const qd_graph *graph, const qd_node *node) {
    const qd_value *x = &graph->values[node->inputs[0]];
    int slots = qd_rows_slots(graph, x);
    if (slots == 1)
        return 0;
    return qd_cut_scratch_parts(slots) * qd_align_floats(x->whole.dim[1] * x->whole.dim[2]);
}

const qd_op qd_op_position = {
    .kind = QD_OP_POSITION,
    .name = "position",
    .inputs = 1,
    .params = 1,
    .rows = QD_ROWS_KEPT,
    .scratch = scratch,
    .separable = true,
    .infer = infer,
    /* One addition for each element, both ways. */
    .forward_flops = qd_output_elements,
    .backward_flops = qd_output_elements,
};
