#include <string.h>

#include "worker/cpu/kernels/kernels.h"
#include "worker/cpu/kernels/tensor_slots.h"

typedef struct sizes {
    qd_rows rows;   /* of x */
    int64_t length; /* of a sample */
    int64_t table;  /* elements of the table */
    const float *dy;
} sizes;

static sizes sizes_of(const qd_graph *graph, const qd_node *node) {
    return (sizes){.rows = qd_rows_of(graph, node),
                   .length = qd_value_whole(&graph->values[node->inputs[0]])->dim[1],
                   .table = qd_shape_elements(&graph->params[node->params[0]].shape)};
}

static void add_table(float *restrict y, const float *restrict x, const float *restrict table,
                      sizes s) {
    int64_t width = s.rows.width;
    for (int64_t n = 0; n < s.rows.count; n++) {
        const float *row = table + (s.rows.first + n) % s.length * width;
        for (int64_t i = 0; i < width; i++)
            y[n * width + i] = x[n * width + i] + row[i];
    }
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    add_table(operands->output, operands->inputs[0], operands->params[0], sizes_of(graph, node));
    return 0;
}

/* Held rows [first, end), each to its position. */
static void add_rows(const sizes *s, int64_t first, int64_t end, float *dtable) {
    int64_t width = s->rows.width;
    for (int64_t n = first; n < end; n++)
        QD_CPU(add_floats)
    (dtable + (s->rows.first + n) % s->length * width, s->dy + n * width, width);
}

static int sum_slot(const void *context, int64_t first, int64_t end, float *part) {
    const sizes *s = context;
    memset(part, 0, (size_t)(s->length * s->rows.width) * sizeof *part);
    add_rows(s, first, end, part);
    return 0;
}

static int table_grad(const qd_graph *graph, const qd_node *node, const sizes *s,
                      const qd_operands *operands) {
    float *dtable = operands->param_grads[0];
    qd_slots slots = QD_CPU(slots_of_rows)(graph, node->inputs[0], operands->exchange);
    if (!operands->param_adds[0])
        memset(dtable, 0, (size_t)s->table * sizeof *dtable);
    if (slots.count > 1)
        return QD_CPU(sum_slots)(&slots, sum_slot, s, dtable, s->length * s->rows.width, true,
                                 operands->scratch);
    add_rows(s, 0, s->rows.count, dtable);
    return 0;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    sizes s = sizes_of(graph, node);
    s.dy = operands->output_grad;
    int rc = operands->param_grads[0] ? table_grad(graph, node, &s, operands) : 0;
    if (!rc && operands->input_grads[0])
        QD_CPU(hand_on)
    (operands->input_grads[0], s.dy, s.rows.count * s.rows.width, operands->input_adds[0]);
    return rc;
}

const qd_cpu_op QD_CPU(position) = {.forward = forward, .backward = backward};
