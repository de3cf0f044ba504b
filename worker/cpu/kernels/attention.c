#include <math.h>
#include <string.h>

#include "worker/cpu/kernels/kernels.h"
#include "worker/cpu/kernels/lanes.h"
#include "worker/cpu/onednn.h"

typedef struct sizes {
    int64_t samples, length;
    int64_t heads, kv_heads, width; /* width of one head */
    int64_t stride;                 /* of a position of the input, which holds all heads */
    bool causal;
    float scale;            /* 1 / sqrt(width) */
    const int32_t *lengths; /* keys of each sample; NULL: all */
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
    return (head){
        .q = base + h % queries * s.width,
        .k = base + queries * s.width,
        .v = base + (queries + 1) * s.width,
        .y = (sample * s.length * s.heads + h) * s.width,
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

static int take_scores(int threads, sizes s, block b, head h, const float *x, float *scores) {
    return qd_onednn_sgemm(threads, b.rows, b.keys, s.width,
                           (qd_matrix){.data = x + h.q + b.first * s.stride, .stride = s.stride},
                           (qd_matrix){.data = x + h.k, .stride = s.stride, .transposed = true},
                           (qd_product){.data = scores});
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

static int run_head(int threads, sizes s, head h, const qd_operands *operands) {
    const float *x = operands->inputs[0];
    float *y = operands->output, *saved = operands->saved, *weights = operands->scratch;
    int64_t y_stride = s.heads * s.width;
    int rc = 0;
    for (int64_t first = 0; first < s.length && !rc; first += QD_ATTENTION_BLOCK) {
        block b = block_at(s, h, first);
        rc = take_scores(threads, s, b, h, x, weights);
        if (rc)
            return rc;
        take_weights(weights, saved + h.row, s, b);
        rc = qd_onednn_sgemm(threads, b.rows, s.width, b.keys, (qd_matrix){.data = weights},
                             (qd_matrix){.data = x + h.v, .stride = s.stride},
                             (qd_product){.data = y + h.y + first * y_stride, .stride = y_stride});
    }
    return rc;
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    sizes s = sizes_of(graph, node, operands);
    int rc = QD_CPU(check_lengths)(s.lengths, s.samples, s.length);
    for (int64_t n = 0; n < s.samples && !rc; n++)
        for (int64_t h = 0; h < s.heads && !rc; h++)
            rc = run_head(context->threads, s, head_of(s, n, h), operands);
    return rc;
}

/* The three gradients of a block, added to dx: dv = weights^T dy, dq = grads k, dk = grads^T q. */
static int add_block_grads(int threads, sizes s, block b, head h, const qd_operands *operands,
                           const float *weights, const float *grads) {
    const float *x = operands->inputs[0], *dy = operands->output_grad;
    float *dx = operands->input_grads[0];
    int64_t y_stride = s.heads * s.width, from = b.first * s.stride;
    int rc = qd_onednn_sgemm(threads, b.keys, s.width, b.rows,
                             (qd_matrix){.data = weights, .transposed = true, .stride = b.keys},
                             (qd_matrix){.data = dy + h.y + b.first * y_stride, .stride = y_stride},
                             (qd_product){.data = dx + h.v, .stride = s.stride, .beta = 1.0f});
    if (!rc)
        rc = qd_onednn_sgemm(
            threads, b.rows, s.width, b.keys, (qd_matrix){.data = grads},
            (qd_matrix){.data = x + h.k, .stride = s.stride},
            (qd_product){.data = dx + h.q + from, .stride = s.stride, .beta = 1.0f});
    if (!rc)
        rc = qd_onednn_sgemm(threads, b.keys, s.width, b.rows,
                             (qd_matrix){.data = grads, .transposed = true, .stride = b.keys},
                             (qd_matrix){.data = x + h.q + from, .stride = s.stride},
                             (qd_product){.data = dx + h.k, .stride = s.stride, .beta = 1.0f});
    return rc;
}

static int run_head_back(int threads, sizes s, head h, const qd_operands *operands) {
    const float *x = operands->inputs[0], *dy = operands->output_grad, *saved = operands->saved;
    float *weights = operands->scratch;
    int64_t y_stride = s.heads * s.width;
    int rc = 0;
    for (int64_t first = 0; first < s.length && !rc; first += QD_ATTENTION_BLOCK) {
        block b = block_at(s, h, first);
        float *grads = weights + b.rows * b.keys;
        rc = take_scores(threads, s, b, h, x, weights);
        if (rc)
            return rc;
        retake_weights(weights, saved + h.row, s, b);
        rc = qd_onednn_sgemm(threads, b.rows, b.keys, s.width,
                             (qd_matrix){.data = dy + h.y + first * y_stride, .stride = y_stride},
                             (qd_matrix){.data = x + h.v, .stride = s.stride, .transposed = true},
                             (qd_product){.data = grads});
        if (rc)
            return rc;
        take_score_grads(grads, weights, s, b);
        rc = add_block_grads(threads, s, b, h, operands, weights, grads);
    }
    return rc;
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    sizes s = sizes_of(graph, node, operands);
    float *dx = operands->input_grads[0];
    int rc = 0;
    if (!dx)
        return 0;
    if (!operands->input_adds[0])
        memset(dx, 0, (size_t)(s.samples * s.length * s.stride) * sizeof *dx);
    for (int64_t n = 0; n < s.samples; n++)
        for (int64_t h = 0; h < s.heads && !rc; h++)
            rc = run_head_back(context->threads, s, head_of(s, n, h), operands);
    return rc;
}

const qd_cpu_op QD_CPU(attention) = {.forward = forward, .backward = backward};
