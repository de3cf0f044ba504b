#include "models/ops/recurrence.h"

enum { GATES = 4 };

static int infer(const qd_graph *graph, const qd_node *node, qd_value *output) {
    return qd_recurrence_infer(graph, node, GATES, output);
}

/* Of an element of the state, beside the products: the biases (8), three sigmoids and two tanh
 * (8 each, as the activations count them), cell and state (4). */
static double forward_flops(const qd_graph *graph, const qd_node *node) {
    return qd_recurrence_forward_flops(graph, node, GATES) +
           52.0 * (double)qd_recurrence_states(graph, node);
}

/* Likewise: the tanh of the cell (8), gradients of state, cell and gates (11), the slopes (12) and
 * the sums that are the biases' gradients (4). */
static double backward_flops(const qd_graph *graph, const qd_node *node) {
    return qd_recurrence_backward_flops(graph, node, GATES) +
           35.0 * (double)qd_recurrence_states(graph, node);
}

/* The gates and the cell after each step. */
static int64_t saved(const qd_graph *graph, const qd_node *node) {
    return (GATES + 1) * qd_recurrence_states(graph, node);
}

/* Inputs in order of time, the states, a row of zeros, one of biases, the states' weights. */
static int64_t forward_scratch(qd_recurrence_sizes s) {
    return s.samples * (s.length * s.in + s.width) + (1 + GATES) * s.width +
           GATES * s.width * s.width;
}

/* The gates' gradients of all steps, inputs or states of all steps in order of time, two gradients
 * carried from step to step, a row of zeros, one of sums. */
static int64_t backward_scratch(qd_recurrence_sizes s) {
    int64_t widest = s.in > s.width ? s.in : s.width;
    return s.samples * (s.length * (GATES * s.width + widest) + 2 * s.width) +
           (1 + GATES) * s.width;
}

static int64_t scratch(const qd_graph *graph, const qd_node *node) {
    qd_recurrence_sizes s = qd_recurrence_sizes_of(graph, node);
    int64_t forward = forward_scratch(s), backward = backward_scratch(s);
    return forward > backward ? forward : backward;
}

#define LSTM(NAME, INPUTS)                                                                         \
    {                                                                                              \
        .kind = QD_OP_LSTM, .name = NAME, .inputs = INPUTS, .params = 4,                           \
        .keep = QD_KEEP_INPUTS | QD_KEEP_OUTPUT, .infer = infer, .forward_flops = forward_flops,   \
        .backward_flops = backward_flops, .saved = saved, .scratch = scratch,                      \
    }

const qd_op qd_op_lstm = LSTM("lstm", 1);
const qd_op qd_op_lstm_lengths = LSTM("lstm_lengths", 2);
