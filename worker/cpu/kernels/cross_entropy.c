#include <inttypes.h>
#include <math.h>

#include "collectives/tree.h"
#include "runtime/error.h"
#include "worker/cpu/kernels/kernels.h"
#include "worker/cpu/kernels/lanes.h"

/* Each target has a row of logits; its classes are dealt to tensor slots, or to one. */
typedef struct rows {
    int64_t count, classes;
    int slots;
} rows;

static rows rows_of(const qd_graph *graph, const qd_node *node) {
    const qd_shape *logits = &graph->values[node->inputs[0]].shape;
    int64_t classes = logits->dim[logits->dims - 1];
    return (rows){qd_shape_elements(logits) / classes, classes, qd_op_tensor_slots(graph, node)};
}

static bool is_ignored(const qd_node *node, int32_t target) {
    return node->attributes.cross_entropy.has_ignored_index &&
           target == node->attributes.cross_entropy.ignored_index;
}

static int check_targets(const qd_node *node, const int32_t *targets, int64_t n, int64_t classes) {
    for (int64_t i = 0; i < n; i++)
        if ((targets[i] < 0 || targets[i] >= classes) && !is_ignored(node, targets[i]))
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

/* Sum of max - x over a row. */
QD_LANES_INLINE float distance_sum(const float *x, int64_t classes, float max) {
    qd_lanes sum = {0}, v;
    for (int64_t i = 0; i < classes; i += QD_LANES) {
        qd_lanes_load_or(&v, x + i, classes - i, max);
        sum += max - v;
    }
    return qd_lanes_sum(&sum);
}

/* Sum of e^(x - max) over the classes of the slots [first, end), in the tree over the slots. */
static float slots_exp_sum(const float *sums, int first, int end) {
    if (end - first == 1)
        return sums[first];
    int middle = qd_tree_split(first, end);
    return slots_exp_sum(sums, first, middle) + slots_exp_sum(sums, middle, end);
}

QD_LANES_INLINE float row_exp_sum(const float *x, rows r, float max) {
    float sums[QD_MAX_TENSOR_SLOTS];
    if (r.slots == 1)
        return qd_lanes_row_exp_sum(x, r.classes, max);
    for (int slot = 0; slot < r.slots; slot++) {
        int64_t first, end;
        qd_cut_range(r.slots, r.classes, 1, slot, &first, &end);
        sums[slot] = qd_lanes_row_exp_sum(x + first, end - first, max);
    }
    return slots_exp_sum(sums, 0, r.slots);
}

/* The greatest logit is taken off first, so that no exponential overflows. */
static void take_losses(float *restrict losses, normalizer *restrict saved,
                        const float *restrict logits, const int32_t *restrict targets, rows r,
                        float smoothing, const qd_node *node) {
    for (int64_t i = 0; i < r.count; i++) {
        const float *x = logits + i * r.classes;
        float max = qd_lanes_row_max(x, r.classes);
        float log_sum = logf(row_exp_sum(x, r, max));
        saved[i] = (normalizer){max, log_sum};
        if (is_ignored(node, targets[i]))
            losses[i] = 0.0f;
        else if (smoothing > 0)
            losses[i] = log_sum + (1.0f - smoothing) * (max - x[targets[i]]) +
                        smoothing / (float)r.classes * distance_sum(x, r.classes, max);
        else
            losses[i] = log_sum + (max - x[targets[i]]);
    }
}

/* dx = (softmax(x) - onehot(target)) * scale; adds: to what stands there. */
QD_LANES_INLINE void row_grads(float *restrict dx, const float *restrict x, normalizer saved,
                               int32_t target, float scale, int64_t classes, bool adds) {
    float max = saved.max, log_sum = saved.log_sum;
    if (adds)
        for (int64_t j = 0; j < classes; j++)
            dx[j] += qd_expf(x[j] - max - log_sum) * scale;
    else
        for (int64_t j = 0; j < classes; j++)
            dx[j] = qd_expf(x[j] - max - log_sum) * scale;
    dx[target] -= scale;
}

/* The same for smoothed labels: dx = (softmax(x) - smoothing / classes - (1 - smoothing)
 * onehot(target)) * scale. */
QD_LANES_INLINE void smoothed_row_grads(float *restrict dx, const float *restrict x,
                                        normalizer saved, int32_t target, float scale,
                                        int64_t classes, bool adds, float smoothing) {
    float max = saved.max, log_sum = saved.log_sum, share = smoothing / (float)classes;
    if (adds)
        for (int64_t j = 0; j < classes; j++)
            dx[j] += (qd_expf(x[j] - max - log_sum) - share) * scale;
    else
        for (int64_t j = 0; j < classes; j++)
            dx[j] = (qd_expf(x[j] - max - log_sum) - share) * scale;
    dx[target] -= (1.0f - smoothing) * scale;
}

static void take_grads(float *restrict dlogits, const float *restrict logits,
                       const normalizer *restrict saved, const int32_t *restrict targets,
                       const float *restrict scales, rows r, bool adds, float smoothing,
                       const qd_node *node) {
    for (int64_t i = 0; i < r.count; i++) {
        const float *x = logits + i * r.classes;
        float *dx = dlogits + i * r.classes;
        if (!is_ignored(node, targets[i]) && smoothing > 0)
            smoothed_row_grads(dx, x, saved[i], targets[i], scales[i], r.classes, adds, smoothing);
        else if (!is_ignored(node, targets[i]))
            row_grads(dx, x, saved[i], targets[i], scales[i], r.classes, adds);
        else if (!adds)
            memset(dx, 0, (size_t)r.classes * sizeof *dx);
    }
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    rows r = rows_of(graph, node);
    int rc = check_targets(node, operands->inputs[1], r.count, r.classes);
    if (!rc)
        take_losses(operands->output, operands->saved, operands->inputs[0], operands->inputs[1], r,
                    node->attributes.cross_entropy.label_smoothing, node);
    return rc;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    rows r = rows_of(graph, node);
    int rc = check_targets(node, operands->inputs[1], r.count, r.classes);
    if (!rc && operands->input_grads[0])
        take_grads(operands->input_grads[0], operands->inputs[0], operands->saved,
                   operands->inputs[1], operands->output_grad, r, operands->input_adds[0],
                   node->attributes.cross_entropy.label_smoothing, node);
    return rc;
}

const qd_cpu_op QD_CPU(cross_entropy) = {.forward = forward, .backward = backward};
