#include <inttypes.h>

#include "models/ops/flops.h"
#include "runtime/error.h"

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *x = &graph->values[node->inputs[0]];
    int64_t position = node->attributes.position_take.position;
    char text[64];
    const qd_shape *shape = qd_value_whole(x);
    if (x->dtype != QD_F32 || shape->dims != 3 || position < 0 || position >= shape->dim[1])
        return qd_error_set(QD_ECONFIG,
                            "%s: position %" PRId64 " of input %s; position_take takes [n, length, "
                            "width] of float and a position below the length",
                            node->name, position, qd_shape_text(shape, text, sizeof text));
    output->dtype = QD_F32;
    output->shape = (qd_shape){.dims = 2, .dim = {shape->dim[0], shape->dim[2]}};
    return 0;
}

const qd_op qd_op_position_take = {
    .kind = QD_OP_POSITION_TAKE,
    .name = "position_take",
    .inputs = 1,
    .params = 0,
    .rows = QD_ROWS_JOINED,
    .infer = infer,
    .forward_flops = qd_no_flops,
    .backward_flops = qd_no_flops,
};
