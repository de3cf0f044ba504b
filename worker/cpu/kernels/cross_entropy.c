#include <inttypes.h>
#include <math.h>

#include "collectives/tree.h"
#include "runtime/align.h"
#include "runtime/error.h"
#include "worker/cpu/kernels/kernels.h"
#include "worker/cpu/kernels/lanes.h"
#include "worker/cpu/kernels/tensor_slots.h"

/* Each target has a row of logits; its classes are dealt to tensor slots, or to one. */
typedef struct rows {
    int64_t count, classes; /* of all slots */
    qd_slots slots;
    int64_t held; /* classes whose logits are here, from slots.begin on: a row's stride */
    int members;  /* of the tensor group */
    int member;
    const float *weights; /* of the classes; NULL: all 1 */
    float smoothing;
    double mean_weight;
} rows;

static rows rows_of(const qd_graph *graph, const qd_node *node, const qd_operands *operands) {
    const qd_shape *logits = &graph->values[node->inputs[0]].shape;
    int64_t held = logits->dim[logits->dims - 1];
    int64_t classes = node->attributes.cross_entropy.classes;
    classes = classes ? classes : held;
    rows r = {.count = qd_shape_elements(logits) / held,
              .classes = classes,
              .slots = QD_CPU(slots_of)(graph, node, classes, 1, operands->exchange),
              .held = held,
              .members = graph->tensor_members,
              .member = graph->tensor_member,
              .weights = graph->class_weights,
              .smoothing = node->attributes.cross_entropy.label_smoothing,
              .mean_weight = 1};
    if (!r.weights)
        return r;
    double sum = 0;
    for (int64_t c = 0; c < classes; c++)
        sum += (double)r.weights[c];
    r.mean_weight = sum / (double)classes;
    return r;
}

static float weight_of(const rows *r, int32_t target) {
    return r->weights ? r->weights[target] : 1.0f;
}

/* What a row's loss has of logsumexp(x): all of its target's weight, but for smoothed labels. */
static float mass_of(const rows *r, int32_t target) {
    double smoothing = (double)r->smoothing;
    return (float)((1 - smoothing) * (double)weight_of(r, target) + smoothing * r->mean_weight);
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

/* A sum over the classes [first, end) of a row whose greatest logit is max. */
typedef float range_sum(const rows *r, const float *x, int64_t first, int64_t end, float max);

/* Of e^(x - max). */
QD_LANES_INLINE float exp_sum(const rows *r, const float *x, int64_t first, int64_t end,
                              float max) {
    (void)r;
    return qd_lanes_row_exp_sum(x + first, end - first, max);
}

/* Of w (max - x). */
QD_LANES_INLINE float distance_sum(const rows *r, const float *x, int64_t first, int64_t end,
                                   float max) {
    qd_lanes sum = {0}, v, w;
    for (int64_t i = first; i < end; i += QD_LANES) {
        qd_lanes_load_or(&v, x + i, end - i, max);
        v = max - v;
        if (r->weights) {
            qd_lanes_load(&w, r->weights + r->slots.begin + i, end - i);
            v *= w;
        }
        sum += v;
    }
    return qd_lanes_sum(&sum);
}

/* Over the slots [first, end), in their tree. */
static float slots_sum(const float *sums, int first, int end) {
    if (end - first == 1)
        return sums[first];
    int middle = qd_tree_split(first, end);
    return slots_sum(sums, first, middle) + slots_sum(sums, middle, end);
}

QD_LANES_INLINE float row_sum(const rows *r, const float *x, float max, range_sum *sum_of) {
    float sums[QD_MAX_TENSOR_SLOTS];
    if (r->slots.count == 1)
        return sum_of(r, x, 0, r->classes, max);
    for (int slot = 0; slot < r->slots.count; slot++) {
        int64_t first, end;
        qd_slots_range(&r->slots, slot, &first, &end);
        sums[slot] = sum_of(r, x, first, end, max);
    }
    return slots_sum(sums, 0, r->slots.count);
}

static float loss_of(const rows *r, int32_t target, bool ignored, normalizer saved, float logit,
                     float distances) {
    if (ignored)
        return 0.0f;
    if (r->smoothing > 0)
        return mass_of(r, target) * saved.log_sum +
               (1.0f - r->smoothing) * weight_of(r, target) * (saved.max - logit) +
               r->smoothing / (float)r->classes * distances;
    return weight_of(r, target) * (saved.log_sum + (saved.max - logit));
}

/* The greatest logit is taken off first, so that no exponential overflows. */
static void take_losses(float *restrict losses, normalizer *restrict saved,
                        const float *restrict logits, const int32_t *restrict targets,
                        const rows *r, const qd_node *node) {
    for (int64_t i = 0; i < r->count; i++) {
        const float *x = logits + i * r->classes;
        float max = qd_lanes_row_max(x, r->classes);
        float log_sum = logf(row_sum(r, x, max, exp_sum));
        saved[i] = (normalizer){max, log_sum};
        bool ignored = is_ignored(node, targets[i]);
        bool smooth = r->smoothing > 0 && !ignored;
        losses[i] = loss_of(r, targets[i], ignored, saved[i], ignored ? 0 : x[targets[i]],
                            smooth ? row_sum(r, x, max, distance_sum) : 0);
    }
}

/* ---- where other members have some of the classes ---- */

/* Where the target's logit stands in a row that is held; -1: not here. */
static int64_t held_target(const rows *r, int32_t target) {
    int64_t at = target - r->slots.begin;
    return at >= 0 && at < r->held ? at : -1;
}

/* Of each row the greatest logit of all members, to saved. scratch: [members, rows]. */
static int take_greatest(const rows *r, const float *logits, normalizer *saved, float *scratch) {
    const qd_tensor_exchange *x = r->slots.exchange;
    float *own = scratch + r->member * r->count;
    for (int64_t i = 0; i < r->count; i++)
        own[i] = qd_lanes_row_max(logits + i * r->held, r->held);
    int rc = x->gather(x->context, scratch, r->count * (int64_t)sizeof *own);
    for (int64_t i = 0; i < r->count && !rc; i++) {
        float max = scratch[i];
        for (int m = 1; m < r->members; m++)
            max = scratch[m * r->count + i] > max ? scratch[m * r->count + i] : max;
        saved[i].max = max;
    }
    return rc;
}

typedef struct shared_rows {
    const rows *r;
    const float *logits;
    const int32_t *targets;
    const normalizer *saved;
} shared_rows;

/* What a slot's classes [first, end) have of each row: sum of exponentials, the target's logit (of
 * one slot only; -0.0 leaves it unchanged), and the distances of smoothed labels. [3][rows]. */
static int sums_of_slot(const void *context, int64_t first, int64_t end, float *part) {
    const shared_rows *s = context;
    const rows *r = s->r;
    for (int64_t i = 0; i < r->count; i++) {
        const float *x = s->logits + i * r->held;
        int64_t target = held_target(r, s->targets[i]);
        float max = s->saved[i].max;
        part[i] = exp_sum(r, x, first, end, max);
        part[r->count + i] = target >= first && target < end ? x[target] : -0.0f;
        part[2 * r->count + i] = r->smoothing > 0 ? distance_sum(r, x, first, end, max) : 0;
    }
    return 0;
}

/* As take_losses; the scratch is that which the operator asks for. */
static int take_shared_losses(const rows *r, const qd_node *node, const qd_operands *operands) {
    const int32_t *targets = operands->inputs[1];
    normalizer *saved = operands->saved;
    float *losses = operands->output, *scratch = operands->scratch;
    float *parts = scratch + qd_align_floats(r->members * r->count);
    shared_rows s = {r, operands->inputs[0], targets, saved};
    int rc = take_greatest(r, s.logits, saved, scratch);
    if (!rc)
        rc = QD_CPU(sum_slots)(&r->slots, sums_of_slot, &s, parts, 3 * r->count, false, parts);
    for (int64_t i = 0; i < r->count && !rc; i++) {
        saved[i].log_sum = logf(parts[i]);
        losses[i] = loss_of(r, targets[i], is_ignored(node, targets[i]), saved[i],
                            parts[r->count + i], parts[2 * r->count + i]);
    }
    return rc;
}

/* dx = (softmax(x) - onehot(target)) * scale of the classes that are held; adds: to what stands
 * there. */
QD_LANES_INLINE void row_grads(float *restrict dx, const float *restrict x, normalizer saved,
                               int64_t target, float scale, int64_t classes, bool adds) {
    float max = saved.max, log_sum = saved.log_sum;
    if (adds)
        for (int64_t j = 0; j < classes; j++)
            dx[j] += qd_expf(x[j] - max - log_sum) * scale;
    else
        for (int64_t j = 0; j < classes; j++)
            dx[j] = qd_expf(x[j] - max - log_sum) * scale;
    if (target >= 0)
        dx[target] -= scale;
}

/* The same for smoothed labels: dx = (mass softmax(x) - smoothing / classes w - (1 - smoothing)
 * w[target] onehot(target)) * scale. */
QD_LANES_INLINE void smoothed_row_grads(float *restrict dx, const float *restrict x,
                                        normalizer saved, int32_t target, float scale,
                                        const rows *r, bool adds) {
    float max = saved.max, log_sum = saved.log_sum, mass = mass_of(r, target);
    float share = r->smoothing / (float)r->classes;
    const float *restrict weights = r->weights ? r->weights + r->slots.begin : NULL;
    int64_t held = held_target(r, target);
    for (int64_t j = 0; j < r->held; j++) {
        float mixed = weights ? share * weights[j] : share;
        float grad = (mass * qd_expf(x[j] - max - log_sum) - mixed) * scale;
        dx[j] = adds ? dx[j] + grad : grad;
    }
    if (held >= 0)
        dx[held] -= (1.0f - r->smoothing) * weight_of(r, target) * scale;
}

static void take_grads(float *restrict dlogits, const float *restrict logits,
                       const normalizer *restrict saved, const int32_t *restrict targets,
                       const float *restrict scales, const rows *r, bool adds,
                       const qd_node *node) {
    for (int64_t i = 0; i < r->count; i++) {
        const float *x = logits + i * r->held;
        float *dx = dlogits + i * r->held;
        if (!is_ignored(node, targets[i]) && r->smoothing > 0)
            smoothed_row_grads(dx, x, saved[i], targets[i], scales[i], r, adds);
        else if (!is_ignored(node, targets[i]))
            row_grads(dx, x, saved[i], held_target(r, targets[i]),
                      scales[i] * weight_of(r, targets[i]), r->held, adds);
        else if (!adds)
            memset(dx, 0, (size_t)r->held * sizeof *dx);
    }
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    (void)context;
    rows r = rows_of(graph, node, operands);
    int rc = check_targets(node, operands->inputs[1], r.count, r.classes);
    if (!rc && r.slots.exchange)
        return take_shared_losses(&r, node, operands);
    if (!rc)
        take_losses(operands->output, operands->saved, operands->inputs[0], operands->inputs[1], &r,
                    node);
    return rc;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    (void)context;
    rows r = rows_of(graph, node, operands);
    int rc = check_targets(node, operands->inputs[1], r.count, r.classes);
    if (!rc && operands->input_grads[0])
        take_grads(operands->input_grads[0], operands->inputs[0], operands->saved,
                   operands->inputs[1], operands->output_grad, &r, operands->input_adds[0], node);
    return rc;
}

const qd_cpu_op QD_CPU(cross_entropy) = {.forward = forward, .backward = backward};
