#include <inttypes.h>

#include "models/op.h"
#include "models/ops/lengths.h"
#include "runtime/error.h"

static int64_t heads_of_all(const qd_node *node) {
    return node->attributes.attention.heads + 2 * node->attributes.attention.kv_heads;
}

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    const qd_value *x = &graph->values[node->inputs[0]];
    int64_t heads = node->attributes.attention.heads, kv = node->attributes.attention.kv_heads;
    char shape[64];
    if (heads < 1 || kv < 1 || heads % kv != 0)
        return qd_error_set(QD_ECONFIG,
                            "%s: %" PRId64 " key and value heads for %" PRId64
                            " query heads; their number must divide that of the queries",
                            node->name, kv, heads);
    if (x->dtype != QD_F32 || x->shape.dims != 3 || x->shape.dim[2] % heads_of_all(node) != 0)
        return qd_error_set(QD_ECONFIG,
                            "%s: input %s can't be cut into %" PRId64
                            " heads of queries and %" PRId64
                            " each of keys and values; attention takes [n, length, %" PRId64
                            " x width of a head] of float",
                            node->name, qd_shape_text(&x->shape, shape, sizeof shape), heads, kv,
                            heads_of_all(node));
    output->dtype = QD_F32;
    output->shape = x->shape;
    output->shape.dim[2] = x->shape.dim[2] / heads_of_all(node) * heads;
    return node->input_count == 2 ? qd_lengths_check(graph, node) : 0;
}

/* Multiply-adds of one product of all queries with the keys they see, times 2. What lengths spare
 * is not known here. */
static double product_flops(const qd_graph *graph, const qd_node *node) {
    const qd_shape *y = &graph->values[node->output].shape;
    double length = (double)y->dim[1];
    double seen = node->attributes.attention.causal ? (length + 1) / 2 : length;
    return 2.0 * (double)y->dim[0] * length * seen * (double)y->dim[2];
}

/* Scores and their weighted sum. */
static double forward_flops(const qd_graph *graph, const qd_node *node) {
    return 2.0 * product_flops(graph, node);
}

/* Gradients of queries, keys, values and weights; the scores a second time are not counted. */
static double backward_flops(const qd_graph *graph, const qd_node *node) {
    return 4.0 * product_flops(graph, node);
}

static int64_t saved(const qd_graph *graph, const qd_node *node) {
    const qd_shape *x = &graph->values[node->inputs[0]].shape;
    return x->dim[0] * x->dim[1] * node->attributes.attention.heads;
}

/* Weights of a block of queries, and their gradient. */
static int64_t scratch(const qd_graph *graph, const qd_node *node) {
    return 2 * QD_ATTENTION_BLOCK * graph->values[node->inputs[0]].shape.dim[1];
}

#define ATTENTION(NAME, INPUTS)                                                                    \
    {                                                                                              \
        .kind = QD_OP_ATTENTION, .name = NAME, .inputs = INPUTS, .params = 0,                      \
        .keep = QD_KEEP_INPUTS, .infer = infer, .forward_flops = forward_flops,                    \
        .backward_flops = backward_flops, .saved = saved, .scratch = scratch,                      \
    }

const qd_op qd_op_attention = ATTENTION("attention", 1);
const qd_op qd_op_attention_lengths = ATTENTION("attention_lengths", 2);
