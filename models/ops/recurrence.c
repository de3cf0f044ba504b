#include "models/ops/recurrence.h"

#include <inttypes.h>

#include "models/ops/lengths.h"
#include "runtime/error.h"

qd_recurrence_sizes qd_recurrence_sizes_of(const qd_graph *graph, const qd_node *node) {
    const qd_shape *x = &graph->values[node->inputs[0]].shape;
    return (qd_recurrence_sizes){x->dim[0], x->dim[1], x->dim[2],
                                 graph->params[node->params[1]].shape.dim[1]};
}

int64_t qd_recurrence_states(const qd_graph *graph, const qd_node *node) {
    qd_recurrence_sizes s = qd_recurrence_sizes_of(graph, node);
    return s.samples * s.length * s.width;
}

static bool is_matrix_of(const qd_shape *shape, int64_t rows, int64_t columns) {
    return shape->dims == 2 && shape->dim[0] == rows && shape->dim[1] == columns;
}

static bool is_vector_of(const qd_shape *shape, int64_t width) {
    return shape->dims == 1 && shape->dim[0] == width;
}

int qd_recurrence_infer(const qd_graph *graph, const qd_node *node, int64_t gates,
                        qd_value *output) {
    const qd_value *x = &graph->values[node->inputs[0]];
    const qd_shape *params[4];
    for (int i = 0; i < 4; i++)
        params[i] = &graph->params[node->params[i]].shape;
    int64_t width = params[1]->dims == 2 ? params[1]->dim[1] : 0;
    bool fits = x->dtype == QD_F32 && x->shape.dims == 3 &&
                is_matrix_of(params[0], gates * width, x->shape.dim[2]) &&
                is_matrix_of(params[1], gates * width, width) &&
                is_vector_of(params[2], gates * width) && is_vector_of(params[3], gates * width);
    char text[5][64];
    if (!fits)
        return qd_error_set(
            QD_ECONFIG,
            "%s: input %s, weights %s and %s, biases %s and %s do not fit together; %s takes [n, "
            "length, in] of float, [%" PRId64 " width, in], [%" PRId64 " width, width] and twice "
            "[%" PRId64 " width]",
            node->name, qd_shape_text(&x->shape, text[0], sizeof text[0]),
            qd_shape_text(params[0], text[1], sizeof text[1]),
            qd_shape_text(params[1], text[2], sizeof text[2]),
            qd_shape_text(params[2], text[3], sizeof text[3]),
            qd_shape_text(params[3], text[4], sizeof text[4]), node->op->name, gates, gates, gates);
    output->dtype = QD_F32;
    output->shape = x->shape;
    output->shape.dim[2] = width;
    return node->input_count == 2 ? qd_lengths_check(graph, node) : 0;
}

/* One product of the inputs of all steps. */
static double input_flops(qd_recurrence_sizes s, int64_t gates) {
    return 2.0 * (double)(s.samples * s.length) * (double)(gates * s.width) * (double)s.in;
}

/* One product of the states; before the first step there is none. */
static double state_flops(qd_recurrence_sizes s, int64_t gates) {
    return 2.0 * (double)(s.samples * (s.length - 1)) * (double)(gates * s.width) * (double)s.width;
}

double qd_recurrence_forward_flops(const qd_graph *graph, const qd_node *node, int64_t gates) {
    qd_recurrence_sizes s = qd_recurrence_sizes_of(graph, node);
    return input_flops(s, gates) + state_flops(s, gates);
}

double qd_recurrence_backward_flops(const qd_graph *graph, const qd_node *node, int64_t gates) {
    qd_recurrence_sizes s = qd_recurrence_sizes_of(graph, node);
    double inputs = graph->values[node->inputs[0]].needs_grad ? 2.0 : 1.0;
    return inputs * input_flops(s, gates) + 2.0 * state_flops(s, gates);
}
