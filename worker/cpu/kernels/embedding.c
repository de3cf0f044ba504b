#include <inttypes.h>
#include <string.h>

#include "runtime/error.h"
#include "worker/cpu/kernels/kernels.h"
#include "worker/cpu/kernels/rows.h"

typedef struct sizes {
    int64_t count;           /* of indices */
    int64_t rows, width;     /* of the table on any grid */
    int64_t first_row, held; /* the rows that are here */
    qd_rows y;
    const qd_tensor_exchange *exchange; /* NULL: all rows are here */
} sizes;

static sizes sizes_of(const qd_graph *graph, const qd_node *node, const qd_operands *operands) {
    const qd_param *table = &graph->params[node->params[0]];
    return (sizes){
        .count = qd_shape_elements(&graph->values[node->inputs[0]].shape),
        .rows = table->whole.dim[0],
        .width = table->whole.dim[1],
        .first_row = table->cut_first,
        .held = table->shape.dim[0],
        .y = qd_rows_of_value(graph, node->output),
        .exchange = qd_op_is_shared(graph, node) ? operands->exchange : NULL,
    };
}

static int check_indices(const int32_t *indices, sizes s) {
    for (int64_t i = 0; i < s.count; i++)
        if (indices[i] < 0 || indices[i] >= s.rows)
            return qd_error_set(QD_EDATA,
                                "index %" PRId32 " at position %" PRId64
                                " of the batch; indices lie in 0 .. %" PRId64,
                                indices[i], i, s.rows - 1);
    return 0;
}

/* Of an index in what is held; -1: another member has that row. */
static int64_t row_of(sizes s, int32_t index) {
    int64_t row = index - s.first_row;
    return row >= 0 && row < s.held ? row : -1;
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    sizes s = sizes_of(graph, node, operands);
    const int32_t *indices = operands->inputs[0];
    const float *table = operands->params[0];
    float *y = s.y.shared ? operands->scratch : operands->output;
    int rc = check_indices(indices, s);
    if (rc)
        return rc;
    for (int64_t i = 0; i < s.count; i++) {
        int64_t row = row_of(s, indices[i]);
        if (row >= 0)
            memcpy(y + i * s.width, table + row * s.width, (size_t)s.width * sizeof *y);
        for (int64_t j = 0; j < s.width && row < 0; j++)
            y[i * s.width + j] = -0.0f;
    }
    if (s.y.shared)
        return s.exchange->unite_rows(s.exchange->context, y, s.count, s.width, operands->output);
    return s.exchange ? s.exchange->unite(s.exchange->context, y, s.count * s.width) : 0;
}

/* The gradients of all rows of the output. */
static int gather(sizes s, const qd_operands *operands, const float **dy) {
    float *all = operands->scratch;
    *dy = operands->output_grad;
    if (!s.y.shared)
        return 0;
    memcpy(all + s.y.first * s.width, *dy, (size_t)(s.y.count * s.width) * sizeof *all);
    *dy = all;
    return s.exchange->gather_rows(s.exchange->context, all, s.count,
                                   s.width * (int64_t)sizeof *all);
}

/* Rows are added in the order of their positions, so that repeated indices give the same bits. */
static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    sizes s = sizes_of(graph, node, operands);
    const int32_t *indices = operands->inputs[0];
    const float *dy;
    float *dtable = operands->param_grads[0];
    int rc = check_indices(indices, s);
    if (!rc)
        rc = gather(s, operands, &dy);
    if (!rc && !operands->param_adds[0])
        memset(dtable, 0, (size_t)(s.held * s.width) * sizeof *dtable);
    for (int64_t i = 0; i < s.count && !rc; i++) {
        int64_t row = row_of(s, indices[i]);
        if (row >= 0)
            QD_CPU(add_floats)(dtable + row * s.width, dy + i * s.width, s.width);
    }
    return rc;
}

const qd_cpu_op QD_CPU(embedding) = {.forward = forward, .backward = backward};
