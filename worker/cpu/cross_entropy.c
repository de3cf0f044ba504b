#include <inttypes.h>
#include <math.h>

#include "runtime/error.h"
#include "worker/cpu/clones.h"
#include "worker/cpu/cpu.h"
#include "worker/cpu/lanes.h"

/* Each target has a row of logits. */
typedef struct rows {
    int64_t count, classes;
} rows;

static rows rows_of(const qd_graph *graph, const qd_node *node) {
    const qd_shape *logits = &graph->values[node->inputs[0]].shape;
    int64_t classes = logits->dim[logits->dims - 1];
    return (rows){qd_shape_elements(logits) / classes, classes};
}

static int check_targets(const int32_t *targets, int64_t n, int64_t classes) {
    for (int64_t i = 0; i < n; i++)
        if (targets[i] < 0 || targets[i] >= classes)
            return qd_error_set(QD_EDATA,
                                "target %" PRId32 " at position %" PRId64
                                " of the batch; targets lie in 0 .. %" PRId64,
                                targets[i], i, classes - 1);
    return 0;
}

/* What is saved of a row: logsumexp(x) = max + log_sum. Kept apart, they lose no digits to each
 * other when logits are large. */
typedef struct normalizer {
    float max, log_sum;
} normalizer;

/* The greatest logit is taken off first, so that no exponential overflows. */
QD_CLONES
static void take_losses(float *restrict losses, normalizer *restrict saved,
                        const float *restrict logits, const int32_t *restrict targets, rows r) {
    for (int64_t i = 0; i < r.count; i++) {
        const float *x = logits + i * r.classes;
        float max = qd_lanes_row_max(x, r.classes);
        float log_sum = logf(qd_lanes_row_exp_sum(x, r.classes, max));
        saved[i] = (normalizer){max, log_sum};
        losses[i] = log_sum + (max - x[targets[i]]);
    }
}

/* dx = (softmax(x) - onehot(target)) * scale; adds: to what stands there. */
QD_CLONES
static void take_grads(float *restrict dlogits, const float *restrict logits,
                       const normalizer *restrict saved, const int32_t *restrict targets,
                       const float *restrict scales, rows r, bool adds) {
    for (int64_t i = 0; i < r.count; i++) {
        const float *x = logits + i * r.classes;
        float *dx = dlogits + i * r.classes;
        float max = saved[i].max, log_sum = saved[i].log_sum, scale = scales[i];
        if (adds)
            for (int64_t j = 0; j < r.classes; j++)
                dx[j] += qd_expf(x[j] - max - log_sum) * scale;
        else
            for (int64_t j = 0; j < r.classes; j++)
                dx[j] = qd_expf(x[j] - max - log_sum) * scale;
        dx[targets[i]] -= scale;
    }
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    rows r = rows_of(graph, node);
    int rc = check_targets(operands->inputs[1], r.count, r.classes);
    if (!rc)
        take_losses(operands->output, operands->saved, operands->inputs[0], operands->inputs[1], r);
    return rc;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    rows r = rows_of(graph, node);
    int rc = check_targets(operands->inputs[1], r.count, r.classes);
    if (!rc && operands->input_grads[0])
        take_grads(operands->input_grads[0], operands->inputs[0], operands->saved,
                   operands->inputs[1], operands->output_grad, r, operands->input_adds[0]);
    return rc;
}

const qd_cpu_op qd_cpu_cross_entropy = {.forward = forward, .backward = backward};
