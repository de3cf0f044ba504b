#include <float.h>
#include <inttypes.h>

#include "runtime/error.h"
#include "worker/cpu/kernels/kernels.h"
#include "worker/cpu/kernels/lanes.h"
#include "worker/cpu/kernels/rows.h"

static int check_targets(const float *t, qd_rows r) {
    for (int64_t i = 0; i < r.count * r.width; i++)
        if (!(t[i] >= 0))
            return qd_error_set(QD_EDATA,
                                "target %g at row %" PRId64 " of the batch; a distribution has "
                                "none below 0",
                                (double)t[i], i / r.width);
    return 0;
}

/* What is saved of a row: logsumexp(x) = max + log_sum, apart as in cross_entropy.c, and sum(t). */
typedef struct summary {
    float max, log_sum, targets;
} summary;

/* t (log t - (x - max)); a denormal t counts as the 0 that it nearly is. */
QD_MATH_INLINE float term(float x, float t, float max) {
    return t < FLT_MIN ? 0.0f : t * (qd_logf(t) - (x - max));
}

/* The loss, but for log_sum sum(t), and that sum. Sixteen sums each, as in lanes.h. */
QD_MATH_INLINE void row_sums(const float *x, const float *t, int64_t width, float max, float *terms,
                             float *targets) {
    float of_terms[QD_LANES] = {0}, of_targets[QD_LANES] = {0};
    for (int64_t i = 0; i < width; i += QD_LANES) {
        int count = width - i < QD_LANES ? (int)(width - i) : QD_LANES;
        for (int l = 0; l < count; l++) {
            of_terms[l] += term(x[i + l], t[i + l], max);
            of_targets[l] += t[i + l];
        }
    }
    qd_lanes lanes;
    memcpy(&lanes, of_terms, sizeof lanes);
    *terms = qd_lanes_sum(&lanes);
    memcpy(&lanes, of_targets, sizeof lanes);
    *targets = qd_lanes_sum(&lanes);
}

static void take_losses(float *restrict losses, summary *restrict saved, const float *restrict x,
                        const float *restrict t, qd_rows r) {
    for (int64_t n = 0; n < r.count; n++, x += r.width, t += r.width) {
        float max = qd_lanes_row_max(x, r.width), terms, targets;
        float log_sum = logf(qd_lanes_row_exp_sum(x, r.width, max));
        row_sums(x, t, r.width, max, &terms, &targets);
        saved[n] = (summary){max, log_sum, targets};
        losses[n] = terms + log_sum * targets;
    }
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    qd_rows r = qd_rows_of(graph, node);
    int rc = check_targets(operands->inputs[1], r);
    if (!rc)
        take_losses(operands->output, operands->saved, operands->inputs[0], operands->inputs[1], r);
    return rc;
}

/* dx = (softmax(x) sum(t) - t) * scale; adds: to what stands there. */
static void take_grads(float *restrict dx, const float *restrict x, const float *restrict t,
                       const summary *restrict saved, const float *restrict scales, qd_rows r,
                       bool adds) {
    for (int64_t n = 0; n < r.count; n++, dx += r.width, x += r.width, t += r.width) {
        float max = saved[n].max, log_sum = saved[n].log_sum;
        float targets = saved[n].targets, scale = scales[n];
        if (adds)
            for (int64_t i = 0; i < r.width; i++)
                dx[i] += (qd_expf(x[i] - max - log_sum) * targets - t[i]) * scale;
        else
            for (int64_t i = 0; i < r.width; i++)
                dx[i] = (qd_expf(x[i] - max - log_sum) * targets - t[i]) * scale;
    }
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    if (operands->input_grads[0])
        take_grads(operands->input_grads[0], operands->inputs[0], operands->inputs[1],
                   operands->saved, operands->output_grad, qd_rows_of(graph, node),
                   operands->input_adds[0]);
    return 0;
}

const qd_cpu_op QD_CPU(kl) = {.forward = forward, .backward = backward};
