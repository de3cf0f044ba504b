#include "models/ops/recurrence.h"

enum { GATES = 3 };

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    return qd_recurrence_infer(graph, node, GATES, output);
}

/* Of an element of the state, beside the products: the biases (6), two sigmoids and a tanh (8 each,
 * as the activations count them), the reset (2) and the new state (3). */
static double forward_flops(const qd_graph *graph, const qd_node *node) {
    return qd_recurrence_forward_flops(graph, node, GATES) +
           35.0 * (double)qd_recurrence_states(graph, node);
}

/* Likewise: gradients of the state and the gates (8), the slopes (9) and the sums that are the
 * biases' gradients (4). */
static double backward_flops(const qd_graph *graph, const qd_node *node) {
    return qd_recurrence_backward_flops(graph, node, GATES) +
           21.0 * (double)qd_recurrence_states(graph, node);
}

/* The gates after each step, and what the reset gate scales. */
static int64_t saved(const qd_graph *graph, const qd_node *node) {
    return (GATES + 1) * qd_recurrence_states(graph, node);
}

/* Inputs in order of time, one step's product of the states, the states and their weights. */
static int64_t forward_scratch(qd_recurrence_sizes s) {
    return s.samples * (s.length * s.in + (GATES + 1) * s.width) + GATES * s.width * s.width;
}

/* The gradients of all that is saved, inputs or states of all steps in order of time, the gradient
 * carried from step to step, a row of zeros, one of sums. */
static int64_t backward_scratch(qd_recurrence_sizes s) {
    int64_t widest = s.in > s.width ? s.in : s.width;
    return s.samples * (s.length * ((GATES + 1) * s.width + widest) + s.width) +
           (1 + GATES + 1) * s.width;
}

static int64_t scratch(const qd_graph *graph, const qd_node *node) {
    qd_recurrence_sizes s = qd_recurrence_sizes_of(graph, node);
    int64_t forward = forward_scratch(s), backward = backward_scratch(s);
    return forward > backward ? forward : backward;
}

#define GRU(NAME, INPUTS)                                                                          \
    {                                                                                              \
        .kind = QD_OP_GRU, .name = NAME, .inputs = INPUTS, .params = 4,                            \
        .keep = QD_KEEP_INPUTS | QD_KEEP_OUTPUT, .infer = infer, .forward_flops = forward_flops,   \
        .backward_flops = backward_flops, .saved = saved, .scratch = scratch,                      \
    }

const qd_op qd_op_gru = GRU("gru", 1);
const qd_op qd_op_gru_lengths = GRU("gru_lengths", 2);
