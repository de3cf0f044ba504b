#include <inttypes.h>
#include <string.h>

#include "runtime/error.h"
#include "worker/cpu/kernels/kernels.h"

typedef struct sizes {
    int64_t count; /* of indices */
    int64_t rows, width;
} sizes;

static sizes sizes_of(const qd_graph *graph, const qd_node *node) {
    const qd_shape *table = &graph->params[node->params[0]].shape;
    return (sizes){qd_shape_elements(&graph->values[node->inputs[0]].shape), table->dim[0],
                   table->dim[1]};
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

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    sizes s = sizes_of(graph, node);
    const int32_t *indices = operands->inputs[0];
    const float *table = operands->params[0];
    float *y = operands->output;
    int rc = check_indices(indices, s);
    for (int64_t i = 0; i < s.count && !rc; i++)
        memcpy(y + i * s.width, table + indices[i] * s.width, (size_t)s.width * sizeof *y);
    return rc;
}

/* Rows are added in the order of their positions, so that repeated indices give the same bits. */
static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    sizes s = sizes_of(graph, node);
    const int32_t *indices = operands->inputs[0];
    const float *dy = operands->output_grad;
    float *dtable = operands->param_grads[0];
    int rc = check_indices(indices, s);
    if (!rc && !operands->param_adds[0])
        memset(dtable, 0, (size_t)(s.rows * s.width) * sizeof *dtable);
    for (int64_t i = 0; i < s.count && !rc; i++)
        QD_CPU(add_floats)(dtable + indices[i] * s.width, dy + i * s.width, s.width);
    return rc;
}

const qd_cpu_op QD_CPU(embedding) = {.forward = forward, .backward = backward};
