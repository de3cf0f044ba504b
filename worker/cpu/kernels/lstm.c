#include <string.h>

#include "worker/cpu/kernels/recurrence.h"
#include "worker/cpu/kernels/vector_math.h"

enum { GATES = 4 };

/* ---- forward ---- */

/* One sample at one step: sums to gates in place, and from them the cell and the state. Biases are
 * added here, where it costs no pass of its own. */
static void advance(float *restrict i, float *restrict f, float *restrict g, float *restrict o,
                    const float *restrict bias, const float *restrict cell_before,
                    float *restrict cell, float *restrict h, float *restrict y, int64_t width) {
    for (int64_t j = 0; j < width; j++) {
        i[j] = qd_sigmoidf(i[j] + bias[j]);
        f[j] = qd_sigmoidf(f[j] + bias[width + j]);
        g[j] = qd_tanhf(g[j] + bias[2 * width + j]);
        o[j] = qd_sigmoidf(o[j] + bias[3 * width + j]);
        cell[j] = f[j] * cell_before[j] + i[j] * g[j];
        h[j] = y[j] = o[j] * qd_tanhf(cell[j]);
    }
}

/* h[n, width]: the states before, then behind this step. */
static void step_forward(const qd_recurrence *r, int64_t step, const float *bias, float *gates,
                         float *cells, const float *zeros, float *h, float *y) {
    int64_t width = r->width, of_step = r->n * width;
    for (int64_t n = 0; n < r->n; n++, h += width) {
        float *gate = gates + (step * r->n + n) * GATES * width,
              *row = y + (n * r->t + step) * width;
        float *cell = cells + step * of_step + n * width;
        const float *before = step == 0 ? zeros : cell - of_step;
        if (qd_recurrence_is_active(r, n, step)) {
            advance(gate, gate + width, gate + 2 * width, gate + 3 * width, bias, before, cell, h,
                    row, width);
        } else {
            memcpy(cell, before, (size_t)width * sizeof *cell);
            memcpy(row, h, (size_t)width * sizeof *row);
        }
    }
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    qd_recurrence r = QD_CPU(recurrence_of)(context, graph, node, operands);
    float *gates = operands->saved, *cells = gates + r.t * r.n * r.rows;
    float *by_step = operands->scratch, *h = by_step + r.t * r.n * r.in;
    float *zeros = h + r.n * r.width, *bias = zeros + r.width, *turned = bias + r.rows;
    int rc = QD_CPU(recurrence_check)(&r);
    memset(zeros, 0, (size_t)r.width * sizeof *zeros);
    for (int64_t j = 0; j < r.rows; j++)
        bias[j] = r.b_ih[j] + r.b_hh[j];
    qd_tensor states_weight = QD_CPU(recurrence_turn)(&r, turned);
    if (!rc)
        rc = QD_CPU(recurrence_inputs)(&r, NULL, gates, r.rows, by_step);
    for (int64_t step = 0; step < r.t && !rc; step++) {
        if (step > 0)
            rc = QD_CPU(recurrence_states)(&r, h, states_weight, gates + step * r.n * r.rows,
                                           r.rows);
        if (!rc)
            step_forward(&r, step, bias, gates, cells, zeros, h, operands->output);
    }
    return rc;
}

/* ---- backward ---- */

/* Gradients of one sample's sums at one step; dc becomes that of the cell before, and dh, which is
 * used up, zero: the product adds to it. */
static void retreat(float *restrict di, float *restrict df, float *restrict dg, float *restrict d_o,
                    const float *restrict gates, const float *restrict cell_before,
                    const float *restrict cell, const float *restrict dy, float *restrict dh,
                    float *restrict dc, int64_t width) {
    const float *i = gates, *f = gates + width, *g = gates + 2 * width, *o = gates + 3 * width;
    for (int64_t j = 0; j < width; j++) {
        float state = dh[j] + dy[j], squashed = qd_tanhf(cell[j]);
        float of_cell = dc[j] + state * o[j] * (1.0f - squashed * squashed);
        di[j] = of_cell * g[j] * (i[j] * (1.0f - i[j]));
        df[j] = of_cell * cell_before[j] * (f[j] * (1.0f - f[j]));
        dg[j] = of_cell * i[j] * (1.0f - g[j] * g[j]);
        d_o[j] = state * squashed * (o[j] * (1.0f - o[j]));
        dc[j] = of_cell * f[j];
        dh[j] = 0.0f;
    }
}

/* Where a sample keeps its state, the gradient goes on to the step before. */
static void step_back(const qd_recurrence *r, int64_t step, const float *gates, const float *cells,
                      const float *zeros, const float *dy, float *grads, float *dh, float *dc) {
    int64_t width = r->width, of_step = r->n * width;
    for (int64_t n = 0; n < r->n; n++, dh += width, dc += width) {
        int64_t row = (step * r->n + n) * GATES * width;
        const float *dy_row = dy + (n * r->t + step) * width;
        const float *cell = cells + step * of_step + n * width;
        float *grad = grads + row;
        if (qd_recurrence_is_active(r, n, step)) {
            retreat(grad, grad + width, grad + 2 * width, grad + 3 * width, gates + row,
                    step == 0 ? zeros : cell - of_step, cell, dy_row, dh, dc, width);
        } else {
            memset(grad, 0, (size_t)(GATES * width) * sizeof *grad);
            QD_CPU(add_floats)(dh, dy_row, width);
        }
    }
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    qd_recurrence r = QD_CPU(recurrence_of)(context, graph, node, operands);
    const float *gates = operands->saved, *cells = gates + r.t * r.n * r.rows;
    int64_t widest = r.in > r.width ? r.in : r.width, states = r.n * r.width;
    qd_gate_grads g = {.rows = operands->scratch,
                       .stride = r.rows,
                       .inputs = {{0, 0, r.rows}},
                       .states = {0, 0, r.rows}};
    float *by_step = g.rows + r.t * r.n * r.rows, *dh = by_step + r.t * r.n * widest;
    float *dc = dh + states, *zeros = dc + states;
    int rc = 0;
    g.sums = zeros + r.width;
    memset(dh, 0, (size_t)(2 * states + r.width + g.stride) * sizeof *dh);
    for (int64_t step = r.t - 1; step >= 0 && !rc; step--) {
        step_back(&r, step, gates, cells, zeros, operands->output_grad, g.rows, dh, dc);
        rc = QD_CPU(recurrence_step_back)(&r, &g, step, dh);
    }
    return rc ? rc : QD_CPU(recurrence_grads)(&r, &g, operands, by_step);
}

const qd_cpu_op QD_CPU(lstm) = {
    .forward = forward, .backward = backward, .prepare = QD_CPU(recurrence_prepare)};
