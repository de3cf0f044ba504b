#include <math.h>
#include <string.h>

#include "runtime/align.h"
#include "worker/cpu/kernels/lanes.h"
#include "worker/cpu/kernels/product.h"

typedef struct sizes {
    int64_t samples, length;
    int64_t heads, kv_heads, width; /* width of one head */
    int64_t stride;                 /* of a position of the input, which holds all heads */
    bool causal;
    /* Whether products take one group of heads at a time, packed: where tensor slots deal groups
     * out, so that they are the same calls whichever groups are here. */
    bool packs;
    int64_t x_stride, y_stride; /* of a position of the input and of the output in a product */
    float scale;                /* 1 / sqrt(width) */
    const int32_t *lengths;     /* keys of each sample; NULL: all */
} sizes;

static sizes sizes_of(const qd_graph *graph, const qd_node *node, const qd_operands *operands) {
    const qd_shape *x = &graph->values[node->inputs[0]].shape;
    sizes s = {.samples = x->dim[0],
               .length = x->dim[1],
               .heads = node->attributes.attention.heads,
               .kv_heads = node->attributes.attention.kv_heads,
               .stride = x->dim[2],
               .causal = node->attributes.attention.causal,
               .lengths = node->input_count == 2 ? operands->inputs[1] : NULL};
    s.width = s.stride / (s.heads + 2 * s.kv_heads);
    s.packs = graph->tensor_slots > 1;
    s.x_stride = s.packs ? (s.heads / s.kv_heads + 2) * s.width : s.stride;
    s.y_stride = s.packs ? s.heads / s.kv_heads * s.width : s.heads * s.width;
    s.scale = (float)(1.0 / sqrt((double)s.width));
    return s;
}

/* One head of one sample: where its parts begin in the input, or in the input's gradient. */
typedef struct head {
    int64_t q, k, v;
    int64_t y;    /* in the output */
    int64_t row;  /* in what is saved */
    int64_t keys; /* that the sample has */
} head;

static head head_of(sizes s, int64_t sample, int64_t h) {
    int64_t queries = s.heads / s.kv_heads; /* of a group */
    int64_t group = h / queries;
    int64_t base = sample * s.length * s.stride + group * (queries + 2) * s.width;
    if (s.packs)
        base = 0;
    return (head){
        .q = base + h % queries * s.width,
        .k = base + queries * s.width,
        .v = base + (queries + 1) * s.width,
        .y = s.packs ? h % queries * s.width : (sample * s.length * s.heads + h) * s.width,
        .row = (sample * s.heads + h) * s.length,
        .keys = s.lengths ? s.lengths[sample] : s.length,
    };
}

/* A block of queries [first, first + rows) and the keys [0, keys) that any of them sees. */
typedef struct block {
    int64_t first, rows, keys;
} block;

static block block_at(sizes s, head h, int64_t first) {
    block b = {.first = first, .rows = s.length - first, .keys = h.keys};
    if (b.rows > QD_ATTENTION_BLOCK)
        b.rows = QD_ATTENTION_BLOCK;
    if (s.causal && first + b.rows < b.keys)
        b.keys = first + b.rows;
    return b;
}

static int64_t keys_seen(sizes s, block b, int64_t row) {
    return s.causal && b.first + row < b.keys ? b.first + row + 1 : b.keys;
}

/* The operator at work. */
typedef struct work {
    qd_backend_context *context;
    const qd_graph *graph;
    sizes s;
    const qd_operands *operands;
    qd_tensor all_x, all_dy; /* as products take them */
    qd_tensor x, dy;         /* what heads are counted in: all, or a packed group */
    float *y, *dx;           /* likewise */
    float *weights, *grads;  /* of a block, [rows, keys] */
    float *taken;            /* room for what products take of both */
    float *group_x, *group_dy, *group_y, *group_dx; /* room for a packed group */
} work;

static int64_t block_elements(const sizes *s) {
    return QD_ATTENTION_BLOCK * s->length;
}

static int64_t result_elements(const sizes *s) {
    return s->samples * s->length * s->heads * s->width;
}

static int64_t group_elements(const sizes *s, int64_t stride) {
    return s->packs ? qd_align_floats(s->length * stride) : 0;
}

/* Scratch: weights and their gradients of a block, which the operator asks for; what products take
 * of those, of the input and of the result's gradient; a packed group of each and of the results.
 */
static int prepare(qd_backend_context *context, const qd_graph *graph, qd_node *node, void **made) {
    sizes s = sizes_of(graph, node, &(qd_operands){0});
    *made = NULL;
    node->scratch += 2 * group_elements(&s, s.x_stride) + 2 * group_elements(&s, s.y_stride) +
                     2 * QD_CPU(take_scratch)(context, graph, block_elements(&s)) +
                     QD_CPU(take_scratch)(context, graph, s.samples * s.length * s.stride) +
                     QD_CPU(take_scratch)(context, graph, result_elements(&s));
    return 0;
}

static work begin(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                  const qd_operands *operands, bool backward) {
    work w = {.context = context, .graph = graph, .operands = operands};
    w.s = sizes_of(graph, node, operands);
    w.weights = operands->scratch;
    w.grads = w.weights + block_elements(&w.s);
    w.taken = w.grads + block_elements(&w.s);
    float *scratch = w.taken + 2 * QD_CPU(take_scratch)(context, graph, block_elements(&w.s));
    w.x = w.all_x = QD_CPU(take)(context, graph, operands->inputs[0],
                                 w.s.samples * w.s.length * w.s.stride, &scratch);
    if (backward)
        w.dy = w.all_dy =
            QD_CPU(take)(context, graph, operands->output_grad, result_elements(&w.s), &scratch);
    w.y = operands->output;
    w.dx = operands->input_grads[0];
    w.group_x = scratch;
    w.group_dx = w.group_x + group_elements(&w.s, w.s.x_stride);
    w.group_y = w.group_dx + group_elements(&w.s, w.s.x_stride);
    w.group_dy = w.group_y + group_elements(&w.s, w.s.y_stride);
    return w;
}

/* Where a tensor's elements begin, moved on. */
static qd_tensor from_element(qd_tensor tensor, int64_t first) {
    return (qd_tensor){.wide = tensor.wide ? tensor.wide + first : NULL,
                       .narrow = tensor.narrow ? tensor.narrow + first : NULL};
}

/* Brings a group of a sample's heads into its room, where they are packed. */
static void open_group(work *w, int64_t sample, int64_t group, bool backward) {
    const sizes *s = &w->s;
    int64_t y_whole = s->heads * s->width;
    if (!s->packs)
        return;
    w->x = QD_CPU(pack)(from_element(w->all_x, sample * s->length * s->stride), s->length,
                        s->stride, group * s->x_stride, s->x_stride, w->group_x);
    w->y = w->group_y;
    w->dx = w->group_dx;
    if (!backward)
        return;
    w->dy = QD_CPU(pack)(from_element(w->all_dy, sample * s->length * y_whole), s->length, y_whole,
                         group * s->y_stride, s->y_stride, w->group_dy);
    memset(w->dx, 0, (size_t)(s->length * s->x_stride) * sizeof *w->dx);
}

/* And what came of it to its place. */
static void close_group(const work *w, int64_t sample, int64_t group, bool backward) {
    const sizes *s = &w->s;
    int64_t x_whole = s->stride, y_whole = s->heads * s->width;
    if (!s->packs)
        return;
    if (backward) {
        float *dx = (float *)w->operands->input_grads[0] + sample * s->length * x_whole;
        QD_CPU(unpack_floats)
        (dx, w->dx, s->length, x_whole, group * s->x_stride, s->x_stride,
         w->operands->input_adds[0]);
    } else {
        float *y = (float *)w->operands->output + sample * s->length * y_whole;
        QD_CPU(unpack_floats)(y, w->y, s->length, y_whole, group * s->y_stride, s->y_stride, false);
    }
}

static int take_scores(const work *w, block b, head h) {
    int64_t stride = w->s.x_stride;
    return QD_CPU(product)(w->context, b.rows, b.keys, w->s.width,
                           (qd_operand){w->x, h.q + b.first * stride, .stride = stride},
                           (qd_operand){w->x, h.k, .transposed = true, .stride = stride},
                           (qd_product){.data = w->weights});
}

/* Softmax of the scaled scores of each row, in place; what a row does not see becomes zero. */
static void take_weights(float *restrict scores, float *restrict saved, sizes s, block b) {
    for (int64_t i = 0; i < b.rows; i++, scores += b.keys) {
        int64_t seen = keys_seen(s, b, i);
        for (int64_t j = 0; j < seen; j++)
            scores[j] *= s.scale;
        float max = qd_lanes_row_max(scores, seen);
        float sum = qd_lanes_row_exp_sum(scores, seen, max), inverse = 1.0f / sum;
        for (int64_t j = 0; j < seen; j++)
            scores[j] = qd_expf(scores[j] - max) * inverse;
        memset(scores + seen, 0, (size_t)(b.keys - seen) * sizeof *scores);
        saved[b.first + i] = max + logf(sum);
    }
}

/* The same weights from the saved logsumexp. */
static void retake_weights(float *restrict scores, const float *restrict saved, sizes s, block b) {
    for (int64_t i = 0; i < b.rows; i++, scores += b.keys) {
        int64_t seen = keys_seen(s, b, i);
        float normalizer = saved[b.first + i];
        for (int64_t j = 0; j < seen; j++)
            scores[j] = qd_expf(scores[j] * s.scale - normalizer);
        memset(scores + seen, 0, (size_t)(b.keys - seen) * sizeof *scores);
    }
}

/* From the gradient of the weights to that of the unscaled scores, in place:
 * scale weights (grad - sum of weights grad). */
static void take_score_grads(float *restrict grads, const float *restrict weights, sizes s,
                             block b) {
    for (int64_t i = 0; i < b.rows; i++, grads += b.keys, weights += b.keys) {
        qd_lanes sum = {0}, w, g;
        for (int64_t j = 0; j < b.keys; j += QD_LANES) {
            qd_lanes_load(&w, weights + j, b.keys - j);
            qd_lanes_load(&g, grads + j, b.keys - j);
            sum += w * g;
        }
        float mean = qd_lanes_sum(&sum);
        for (int64_t j = 0; j < b.keys; j++)
            grads[j] = s.scale * (weights[j] * (grads[j] - mean));
    }
}

static int run_block(const work *w, head h, block b) {
    int64_t stride = w->s.x_stride, y_stride = w->s.y_stride;
    float *y = w->y, *saved = w->operands->saved, *scratch = w->taken;
    int rc = take_scores(w, b, h);
    if (rc)
        return rc;
    take_weights(w->weights, saved + h.row, w->s, b);
    qd_tensor weights = QD_CPU(take)(w->context, w->graph, w->weights, b.rows * b.keys, &scratch);
    return QD_CPU(product)(w->context, b.rows, w->s.width, b.keys, (qd_operand){.tensor = weights},
                           (qd_operand){w->x, h.v, .stride = stride},
                           (qd_product){y + h.y + b.first * y_stride, y_stride, 0.0f});
}

/* All blocks of a group's heads. */
static int run_group(work *w, int64_t sample, int64_t group,
                     int (*run)(const work *w, head h, block b)) {
    int64_t queries = w->s.heads / w->s.kv_heads;
    int rc = 0;
    for (int64_t h = group * queries; h < (group + 1) * queries && !rc; h++)
        for (int64_t first = 0; first < w->s.length && !rc; first += QD_ATTENTION_BLOCK) {
            head at = head_of(w->s, sample, h);
            rc = run(w, at, block_at(w->s, at, first));
        }
    return rc;
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    work w = begin(context, graph, node, operands, false);
    int rc = QD_CPU(check_lengths)(w.s.lengths, w.s.samples, w.s.length);
    for (int64_t n = 0; n < w.s.samples && !rc; n++)
        for (int64_t group = 0; group < w.s.kv_heads && !rc; group++) {
            open_group(&w, n, group, false);
            rc = run_group(&w, n, group, run_block);
            close_group(&w, n, group, false);
        }
    return rc;
}

/* The three gradients of a block, added to dx: dv = weights^T dy, dq = grads k, dk = grads^T q. */
static int add_block_grads(const work *w, head h, block b, qd_tensor weights, qd_tensor grads) {
    int64_t stride = w->s.x_stride, y_stride = w->s.y_stride, width = w->s.width;
    int64_t q = h.q + b.first * stride;
    float *dx = w->dx;
    int rc = QD_CPU(product)(w->context, b.keys, width, b.rows,
                             (qd_operand){weights, 0, .transposed = true, .stride = b.keys},
                             (qd_operand){w->dy, h.y + b.first * y_stride, .stride = y_stride},
                             (qd_product){dx + h.v, stride, 1.0f});
    if (!rc)
        rc = QD_CPU(product)(w->context, b.rows, width, b.keys, (qd_operand){.tensor = grads},
                             (qd_operand){w->x, h.k, .stride = stride},
                             (qd_product){dx + q, stride, 1.0f});
    if (!rc)
        rc = QD_CPU(product)(w->context, b.keys, width, b.rows,
                             (qd_operand){grads, 0, .transposed = true, .stride = b.keys},
                             (qd_operand){w->x, q, .stride = stride},
                             (qd_product){dx + h.k, stride, 1.0f});
    return rc;
}

static int run_block_back(const work *w, head h, block b) {
    int64_t stride = w->s.x_stride, y_stride = w->s.y_stride;
    const float *saved = w->operands->saved;
    float *scratch = w->taken;
    int rc = take_scores(w, b, h);
    if (rc)
        return rc;
    retake_weights(w->weights, saved + h.row, w->s, b);
    rc = QD_CPU(product)(w->context, b.rows, b.keys, w->s.width,
                         (qd_operand){w->dy, h.y + b.first * y_stride, .stride = y_stride},
                         (qd_operand){w->x, h.v, .transposed = true, .stride = stride},
                         (qd_product){.data = w->grads});
    if (rc)
        return rc;
    take_score_grads(w->grads, w->weights, w->s, b);
    int64_t count = b.rows * b.keys;
    qd_tensor weights = QD_CPU(take)(w->context, w->graph, w->weights, count, &scratch);
    qd_tensor grads = QD_CPU(take)(w->context, w->graph, w->grads, count, &scratch);
    return add_block_grads(w, h, b, weights, grads);
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    float *dx = operands->input_grads[0];
    int rc = 0;
    if (!dx)
        return 0;
    work w = begin(context, graph, node, operands, true);
    if (!operands->input_adds[0] && !w.s.packs)
        memset(dx, 0, (size_t)(w.s.samples * w.s.length * w.s.stride) * sizeof *dx);
    for (int64_t n = 0; n < w.s.samples && !rc; n++)
        for (int64_t group = 0; group < w.s.kv_heads && !rc; group++) {
            open_group(&w, n, group, true);
            rc = run_group(&w, n, group, run_block_back);
            close_group(&w, n, group, true);
        }
    return rc;
}

const qd_cpu_op QD_CPU(attention) = {.forward = forward, .backward = backward, .prepare = prepare};
