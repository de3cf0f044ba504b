#include "worker/cpu/kernels/recurrence.h"

#include <inttypes.h>
#include <string.h>

#include "runtime/error.h"
#include "worker/cpu/onednn.h"

enum { TILE = 16 };

qd_recurrence QD_CPU(recurrence_of)(const qd_backend_context *context, const qd_graph *graph,
                                    const qd_node *node, const qd_operands *operands) {
    const qd_shape *x = &graph->values[node->inputs[0]].shape;
    const qd_shape *w_hh = &graph->params[node->params[1]].shape;
    return (qd_recurrence){
        .threads = context->threads,
        .n = x->dim[0],
        .t = x->dim[1],
        .in = x->dim[2],
        .width = w_hh->dim[1],
        .rows = w_hh->dim[0],
        .x = operands->inputs[0],
        .w_ih = operands->params[0],
        .w_hh = operands->params[1],
        .b_ih = operands->params[2],
        .b_hh = operands->params[3],
        .lengths = node->input_count == 2 ? operands->inputs[1] : NULL,
    };
}

int QD_CPU(recurrence_check)(const qd_recurrence *r) {
    for (int64_t i = 0; i < r->n && r->lengths; i++)
        if (r->lengths[i] < 1 || r->lengths[i] > r->t)
            return qd_error_set(QD_EDATA,
                                "length %" PRId32 " of sample %" PRId64
                                " of the batch; lengths lie in 1 .. %" PRId64,
                                r->lengths[i], i, r->t);
    return 0;
}

/* ---- the order of time ---- */

/* [t, n, width] from [n, t, width] */
static void order_by_step(float *restrict to, const float *restrict from, int64_t n, int64_t t,
                          int64_t width) {
    for (int64_t step = 0; step < t; step++)
        for (int64_t i = 0; i < n; i++, to += width)
            memcpy(to, from + (i * t + step) * width, (size_t)width * sizeof *to);
}

/* [n, t, width] from [t, n, width], written or added. */
static void order_by_sample(float *restrict to, const float *restrict from, int64_t n, int64_t t,
                            int64_t width, bool adds) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t step = 0; step < t; step++, to += width)
            QD_CPU(hand_on)(to, from + (step * n + i) * width, width, adds);
}

/* ---- forward ---- */

int QD_CPU(recurrence_inputs)(const qd_recurrence *r, const float *bias, float *gates,
                              int64_t stride, float *by_step) {
    order_by_step(by_step, r->x, r->n, r->t, r->in);
    /* Every row starts as the bias, which takes one pass less than to add it afterwards. */
    for (int64_t i = 0; i < r->n * r->t; i++)
        memcpy(gates + i * stride, bias, (size_t)r->rows * sizeof *gates);
    return qd_onednn_sgemm(r->threads, r->n * r->t, r->rows, r->in, (qd_matrix){.data = by_step},
                           (qd_matrix){.data = r->w_ih, .transposed = true},
                           (qd_product){gates, stride, 1.0f});
}

/* In tiles whose rows and columns both stay in the cache. */
void QD_CPU(recurrence_turn)(const qd_recurrence *r, float *restrict turned) {
    for (int64_t i = 0; i < r->rows; i += TILE)
        for (int64_t j = 0; j < r->width; j += TILE)
            for (int64_t b = j; b < j + TILE && b < r->width; b++)
                for (int64_t a = i; a < i + TILE && a < r->rows; a++)
                    turned[b * r->rows + a] = r->w_hh[a * r->width + b];
}

int QD_CPU(recurrence_states)(const qd_recurrence *r, const float *h, const float *turned,
                              float *gates, int64_t stride) {
    return qd_onednn_sgemm(r->threads, r->n, r->rows, r->width, (qd_matrix){.data = h},
                           (qd_matrix){.data = turned}, (qd_product){gates, stride, 1.0f});
}

/* ---- backward ---- */

static void add_rows(float *restrict sums, const float *restrict rows, int64_t count,
                     int64_t width) {
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < width; j++)
            sums[j] += rows[i * width + j];
}

int QD_CPU(recurrence_step_back)(const qd_recurrence *r, const qd_gate_grads *g, int64_t step,
                                 float *dh) {
    const float *rows = g->rows + step * r->n * g->stride;
    add_rows(g->sums, rows, r->n, g->stride);
    if (step == 0) /* the state before is a constant */
        return 0;
    return qd_onednn_sgemm(r->threads, r->n, r->width, g->states.count,
                           (qd_matrix){.data = rows + g->states.column, .stride = g->stride},
                           (qd_matrix){.data = r->w_hh + g->states.row * r->width},
                           (qd_product){dh, 0, 1.0f});
}

/* Rows of a weight's gradient: the columns of the range, transposed, times count rows of what the
 * weight was multiplied with. */
static int weight_grad(const qd_recurrence *r, const qd_gate_grads *g, qd_gate_range range,
                       const float *grads, const float *rows, int64_t count, int64_t width,
                       float *dw, bool adds) {
    if (range.count == 0)
        return 0;
    return qd_onednn_sgemm(
        r->threads, range.count, width, count,
        (qd_matrix){.data = grads + range.column, .transposed = true, .stride = g->stride},
        (qd_matrix){.data = rows}, (qd_product){dw + range.row * width, 0, adds ? 1.0f : 0.0f});
}

/* dW_hh: gradients of the steps from the second on, by the states of those before. */
static int state_weight_grad(const qd_recurrence *r, const qd_gate_grads *g, const float *y,
                             float *by_step, float *dw, bool adds) {
    if (r->t == 1 && !adds)
        memset(dw, 0, (size_t)(r->rows * r->width) * sizeof *dw);
    if (r->t == 1)
        return 0;
    order_by_step(by_step, y, r->n, r->t, r->width);
    return weight_grad(r, g, g->states, g->rows + r->n * g->stride, by_step, (r->t - 1) * r->n,
                       r->width, dw, adds);
}

static int input_weight_grad(const qd_recurrence *r, const qd_gate_grads *g, float *by_step,
                             float *dw, bool adds) {
    int rc = 0;
    order_by_step(by_step, r->x, r->n, r->t, r->in);
    for (int part = 0; part < 2 && !rc; part++)
        rc = weight_grad(r, g, g->inputs[part], g->rows, by_step, r->t * r->n, r->in, dw, adds);
    return rc;
}

static int input_grad(const qd_recurrence *r, const qd_gate_grads *g, float *by_step, float *dx,
                      bool adds) {
    int rc = 0;
    for (int part = 0; part < 2 && !rc; part++) {
        qd_gate_range range = g->inputs[part];
        if (range.count > 0)
            rc = qd_onednn_sgemm(r->threads, r->t * r->n, r->in, range.count,
                                 (qd_matrix){.data = g->rows + range.column, .stride = g->stride},
                                 (qd_matrix){.data = r->w_ih + range.row * r->in},
                                 (qd_product){by_step, 0, part == 0 ? 0.0f : 1.0f});
    }
    if (!rc)
        order_by_sample(dx, by_step, r->n, r->t, r->in, adds);
    return rc;
}

static void bias_grad(const qd_gate_grads *g, qd_gate_range range, float *db, bool adds) {
    if (db)
        QD_CPU(hand_on)(db + range.row, g->sums + range.column, range.count, adds);
}

int QD_CPU(recurrence_grads)(const qd_recurrence *r, const qd_gate_grads *g,
                             const qd_operands *operands, float *by_step) {
    float *const *dw = (float *const *)operands->param_grads;
    const bool *adds = operands->param_adds;
    int rc = 0;
    for (int part = 0; part < 2; part++)
        bias_grad(g, g->inputs[part], dw[2], adds[2]);
    bias_grad(g, g->states, dw[3], adds[3]);
    if (dw[1])
        rc = state_weight_grad(r, g, operands->output, by_step, dw[1], adds[1]);
    if (dw[0] && !rc)
        rc = input_weight_grad(r, g, by_step, dw[0], adds[0]);
    if (operands->input_grads[0] && !rc)
        rc = input_grad(r, g, by_step, operands->input_grads[0], operands->input_adds[0]);
    return rc;
}
