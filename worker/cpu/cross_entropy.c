#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "runtime/error.h"
#include "worker/cpu/cpu.h"

static int check_targets(const int32_t *targets, int64_t n, int64_t classes) {
    for (int64_t i = 0; i < n; i++)
        if (targets[i] < 0 || targets[i] >= classes)
            return qd_error_set(QD_EDATA,
                                "target %" PRId32 " of sample %" PRId64
                                " of the batch; targets lie in 0 .. %" PRId64,
                                targets[i], i, classes - 1);
    return 0;
}

static float greatest(const float *x, int64_t classes) {
    float max = x[0];
    for (int64_t j = 1; j < classes; j++)
        if (x[j] > max)
            max = x[j];
    return max;
}

/* What is saved of a sample: logsumexp(x) = max + log_sum. Kept apart, they lose no digits to each
 * other when logits are large. */
typedef struct normalizer {
    float max, log_sum;
} normalizer;

/* The greatest logit is taken off first, so that no exponential overflows. */
static normalizer normalizer_of(const float *x, int64_t classes) {
    float max = greatest(x, classes), sum = 0.0f;
    for (int64_t j = 0; j < classes; j++)
        sum += expf(x[j] - max);
    return (normalizer){max, logf(sum)};
}

/* dx = (softmax(x) - onehot(target)) * scale; adds: to what stands there. */
static void sample_grad(float *dx, const float *x, int32_t target, float scale, int64_t classes,
                        normalizer n, bool adds) {
    if (!adds)
        memset(dx, 0, (size_t)classes * sizeof *dx);
    for (int64_t j = 0; j < classes; j++)
        dx[j] += expf(x[j] - n.max - n.log_sum) * scale;
    dx[target] -= scale;
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    const qd_shape *shape = &graph->values[node->inputs[0]].shape;
    const float *logits = operands->inputs[0];
    const int32_t *targets = operands->inputs[1];
    float *losses = operands->output;
    normalizer *saved = operands->saved;
    int64_t n = shape->dim[0], classes = shape->dim[1];
    int rc = check_targets(targets, n, classes);
    for (int64_t i = 0; i < n && !rc; i++) {
        const float *x = logits + i * classes;
        saved[i] = normalizer_of(x, classes);
        losses[i] = saved[i].log_sum + (saved[i].max - x[targets[i]]);
    }
    return rc;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    const qd_shape *shape = &graph->values[node->inputs[0]].shape;
    const float *logits = operands->inputs[0], *scales = operands->output_grad;
    const int32_t *targets = operands->inputs[1];
    const normalizer *saved = operands->saved;
    float *dlogits = operands->input_grads[0];
    int64_t n = shape->dim[0], classes = shape->dim[1];
    int rc = check_targets(targets, n, classes);
    for (int64_t i = 0; i < n && dlogits && !rc; i++)
        sample_grad(dlogits + i * classes, logits + i * classes, targets[i], scales[i], classes,
                    saved[i], operands->input_adds[0]);
    return rc;
}

const qd_cpu_op qd_cpu_cross_entropy = {forward, backward};
