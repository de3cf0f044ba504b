#include <inttypes.h>

#include "models/op.h"
#include "runtime/error.h"

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *x = &graph->values[node->inputs[0]];
    int64_t heads = node->attributes.rotary.heads, kv = node->attributes.rotary.kv_heads;
    char shape[64];
    if (heads < 1 || kv < 1 || heads % kv != 0 || x->dtype != QD_F32 || x->shape.dims != 3 ||
        x->shape.dim[2] % (heads + 2 * kv) != 0)
        return qd_error_set(QD_ECONFIG,
                            "%s: input %s does not hold %" PRId64 " query heads and %" PRId64
                            " key and value heads, which must divide them; rotary takes what "
                            "attention takes, [n, length, %" PRId64 " x width of a head] of float",
                            node->name, qd_shape_text(&x->shape, shape, sizeof shape), heads, kv,
                            heads + 2 * kv);
    int64_t width = x->shape.dim[2] / (heads + 2 * kv);
    if (width % 2 != 0)
        return qd_error_set(QD_ECONFIG,
                            "%s: a head of width %" PRId64
                            " can't be turned in pairs; rotary takes heads of an even width",
                            node->name, width);
    if (!(node->attributes.rotary.theta > 0))
        return qd_error_set(QD_ECONFIG, "%s: theta %g; it is above 0", node->name,
                            (double)node->attributes.rotary.theta);
    output->dtype = QD_F32;
    output->shape = x->shape;
    return 0;
}

/* Two products and a sum for each element of a query or key, both ways. */
static double flops(const qd_graph *graph, const qd_node *node) {
    double heads = (double)node->attributes.rotary.heads;
    double kv = (double)node->attributes.rotary.kv_heads;
    double elements = (double)qd_shape_elements(&graph->values[node->inputs[0]].shape);
    return 3.0 * elements * (heads + kv) / (heads + 2 * kv);
}

/* Backward turns the other way: nothing is kept. */
const qd_op qd_op_rotary = {
    .kind = QD_OP_ROTARY,
    .name = "rotary",
    .inputs = 1,
    .params = 0,
    .infer = infer,
    .forward_flops = flops,
    .backward_flops = flops,
};
