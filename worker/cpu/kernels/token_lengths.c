#include <inttypes.h>

#include "runtime/error.h"
#include "worker/cpu/kernels/kernels.h"

int QD_CPU(check_lengths)(const int32_t *lengths, int64_t n, int64_t t) {
    for (int64_t i = 0; i < n && lengths; i++)
        if (lengths[i] < 1 || lengths[i] > t)
            return qd_error_set(QD_EDATA,
                                "length %" PRId32 " of sample %" PRId64
                                " of the batch; lengths lie in 1 .. %" PRId64,
                                lengths[i], i, t);
    return 0;
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    const int64_t *dim = graph->values[node->inputs[0]].shape.dim;
    const int32_t *tokens = operands->inputs[0];
    int32_t *lengths = operands->output;
    for (int64_t n = 0; n < dim[0]; n++, tokens += dim[1]) {
        int64_t length = dim[1];
        while (length > 1 && tokens[length - 1] == 0)
            length--;
        lengths[n] = (int32_t)length;
    }
    return 0;
}

/* Never called: integers have no gradient. */
static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    (void)graph;
    (void)operands;
    return qd_error_set(QD_EINTERNAL, "%s: lengths have no gradient", node->name);
}

const qd_cpu_op QD_CPU(token_lengths) = {.forward = forward, .backward = backward};
