#include "worker/cpu/kernels/recurrence.h"

#include <inttypes.h>
#include <string.h>

#include "runtime/align.h"
#include "runtime/error.h"

/* MOST_GRADS: columns of gradients of a step, in widths: gru keeps its candidate's apart. */
enum { TILE = 16, MOST_GRADS = 4 };

qd_recurrence QD_CPU(recurrence_of)(qd_backend_context *context, const qd_graph *graph,
                                    const qd_node *node, const qd_operands *operands) {
    const qd_shape *x = &graph->values[node->inputs[0]].shape;
    const qd_shape *w_hh = &graph->params[node->params[1]].shape;
    qd_recurrence r = {
        .context = context,
        .graph = graph,
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
    if (!operands->scratch) /* nothing to be run yet */
        return r;
    r.taken = (float *)operands->scratch + qd_align_floats(node->op->scratch(graph, node));
    r.w_ih_taken = QD_CPU(take_param)(context, graph, r.w_ih, operands->narrow_params[0],
                                      r.rows * r.in, &r.taken);
    r.w_hh_taken = QD_CPU(take_param)(context, graph, r.w_hh, operands->narrow_params[1],
                                      r.rows * r.width, &r.taken);
    return r;
}

static int64_t widest(const qd_recurrence *r) {
    return r->in > r->width ? r->in : r->width;
}

/* Floats that are taken of all steps' rows of gradients; of the turned weights and the states. */
static int64_t rows_scratch(const qd_recurrence *r) {
    int64_t rows = QD_CPU(take_scratch)(r->context, r->graph, r->t * r->n * MOST_GRADS * r->width);
    int64_t turned = QD_CPU(take_scratch)(r->context, r->graph, r->width * r->rows) +
                     QD_CPU(take_scratch)(r->context, r->graph, r->n * r->width);
    return rows > turned ? rows : turned;
}

static int64_t by_step_scratch(const qd_recurrence *r) {
    return QD_CPU(take_scratch)(r->context, r->graph, r->t * r->n * widest(r));
}

int QD_CPU(recurrence_prepare)(qd_backend_context *context, const qd_graph *graph, qd_node *node,
                               void **made) {
    qd_recurrence r = QD_CPU(recurrence_of)(context, graph, node, &(qd_operands){0});
    *made = NULL;
    node->scratch = qd_align_floats(node->scratch) +
                    QD_CPU(take_param_scratch)(context, graph, r.rows * r.in) +
                    QD_CPU(take_param_scratch)(context, graph, r.rows * r.width) +
                    rows_scratch(&r) + by_step_scratch(&r) +
                    QD_CPU(product_over_rows_scratch)(MOST_GRADS * r.width, widest(&r), r.t * r.n);
    return 0;
}

/* What stands in by_step, count floats of it, as products take it. */
static qd_tensor take_by_step(const qd_recurrence *r, const float *by_step, int64_t count) {
    float *scratch = r->taken + rows_scratch(r);
    return QD_CPU(take)(r->context, r->graph, by_step, count, &scratch);
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
    for (int64_t i = 0; i < r->n * r->t && bias; i++)
        memcpy(gates + i * stride, bias, (size_t)r->rows * sizeof *gates);
    return QD_CPU(product)(r->context, r->n * r->t, r->rows, r->in,
                           (qd_operand){.tensor = take_by_step(r, by_step, r->n * r->t * r->in)},
                           (qd_operand){.tensor = r->w_ih_taken, .transposed = true},
                           (qd_product){gates, stride, bias ? 1.0f : 0.0f});
}

/* In tiles whose rows and columns both stay in the cache. */
qd_tensor QD_CPU(recurrence_turn)(const qd_recurrence *r, float *restrict turned) {
    for (int64_t i = 0; i < r->rows; i += TILE)
        for (int64_t j = 0; j < r->width; j += TILE)
            for (int64_t b = j; b < j + TILE && b < r->width; b++)
                for (int64_t a = i; a < i + TILE && a < r->rows; a++)
                    turned[b * r->rows + a] = r->w_hh[a * r->width + b];
    float *scratch = r->taken;
    return QD_CPU(take)(r->context, r->graph, turned, r->width * r->rows, &scratch);
}

int QD_CPU(recurrence_states)(const qd_recurrence *r, const float *h, qd_tensor turned,
                              float *gates, int64_t stride) {
    float *scratch = r->taken + QD_CPU(take_scratch)(r->context, r->graph, r->width * r->rows);
    qd_tensor states = QD_CPU(take)(r->context, r->graph, h, r->n * r->width, &scratch);
    return QD_CPU(product)(r->context, r->n, r->rows, r->width, (qd_operand){.tensor = states},
                           (qd_operand){.tensor = turned}, (qd_product){gates, stride, 1.0f});
}

/* ---- backward ---- */

static void add_rows(float *restrict sums, const float *restrict rows, int64_t count,
                     int64_t width) {
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j < width; j++)
            sums[j] += rows[i * width + j];
}

/* Takes the rows of a step to where they lie among those of all steps. */
static void take_step(const qd_recurrence *r, qd_gate_grads *g, int64_t step) {
    int64_t of_step = r->n * g->stride;
    qd_tensor whole = QD_CPU(place)(r->context, r->graph, g->rows, r->taken);
    QD_CPU(take_at)(r->context, r->graph, g->rows, step * of_step, of_step, r->taken);
    g->taken = whole;
}

int QD_CPU(recurrence_step_back)(const qd_recurrence *r, qd_gate_grads *g, int64_t step,
                                 float *dh) {
    int64_t first = step * r->n * g->stride;
    add_rows(g->sums, g->rows + first, r->n, g->stride);
    take_step(r, g, step);
    if (step == 0) /* the state before is a constant */
        return 0;
    return QD_CPU(product)(r->context, r->n, r->width, g->states.count,
                           (qd_operand){g->taken, first + g->states.column, .stride = g->stride},
                           (qd_operand){.tensor = r->w_hh_taken, .first = g->states.row * r->width},
                           (qd_product){dh, 0, 1.0f});
}

/* Rows of a weight's gradient: the columns of the range of the gradients from element `first` on,
 * transposed, times count rows of what the weight was multiplied with. */
static int weight_grad(const qd_recurrence *r, const qd_gate_grads *g, qd_gate_range range,
                       int64_t first, qd_tensor rows, int64_t count, int64_t width, float *dw,
                       bool adds) {
    if (range.count == 0)
        return 0;
    return QD_CPU(product_over_rows)(
        r->context, range.count, width, count,
        (qd_operand){g->taken, first + range.column, .stride = g->stride},
        (qd_operand){.tensor = rows}, (qd_product){dw + range.row * width, 0, adds ? 1.0f : 0.0f},
        r->taken + rows_scratch(r) + by_step_scratch(r));
}

/* dW_hh: gradients of the steps from the second on, by the states of those before. */
static int state_weight_grad(const qd_recurrence *r, const qd_gate_grads *g, const float *y,
                             float *by_step, float *dw, bool adds) {
    if (r->t == 1 && !adds)
        memset(dw, 0, (size_t)(r->rows * r->width) * sizeof *dw);
    if (r->t == 1)
        return 0;
    order_by_step(by_step, y, r->n, r->t, r->width);
    qd_tensor states = take_by_step(r, by_step, r->t * r->n * r->width);
    return weight_grad(r, g, g->states, r->n * g->stride, states, (r->t - 1) * r->n, r->width, dw,
                       adds);
}

static int input_weight_grad(const qd_recurrence *r, const qd_gate_grads *g, float *by_step,
                             float *dw, bool adds) {
    int rc = 0;
    order_by_step(by_step, r->x, r->n, r->t, r->in);
    qd_tensor inputs = take_by_step(r, by_step, r->t * r->n * r->in);
    for (int part = 0; part < 2 && !rc; part++)
        rc = weight_grad(r, g, g->inputs[part], 0, inputs, r->t * r->n, r->in, dw, adds);
    return rc;
}

static int input_grad(const qd_recurrence *r, const qd_gate_grads *g, float *by_step, float *dx,
                      bool adds) {
    int rc = 0;
    for (int part = 0; part < 2 && !rc; part++) {
        qd_gate_range range = g->inputs[part];
        if (range.count > 0)
            rc = QD_CPU(product)(r->context, r->t * r->n, r->in, range.count,
                                 (qd_operand){g->taken, range.column, .stride = g->stride},
                                 (qd_operand){.tensor = r->w_ih_taken, .first = range.row * r->in},
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
