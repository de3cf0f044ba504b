#include <string.h>

#include "worker/cpu/kernels/recurrence.h"
#include "worker/cpu/kernels/vector_math.h"

/* Three gates; a saved row is r, z, n and what r scales, a row of gradients n, r, z and that. */
enum { GATES = 3, SAVED = 4 };

/* ---- forward ---- */

/* One sample at one step: gates holds the sums of the inputs, states those of the state; they
 * become the gates and what the reset scales, and h the new state. */
static void advance(float *restrict r, float *restrict z, float *restrict n, float *restrict scaled,
                    const float *restrict states, float *restrict h, float *restrict y,
                    int64_t width) {
    const float *r_state = states, *z_state = states + width, *n_state = states + 2 * width;
    for (int64_t j = 0; j < width; j++) {
        r[j] = qd_sigmoidf(r[j] + r_state[j]);
        z[j] = qd_sigmoidf(z[j] + z_state[j]);
        scaled[j] = n_state[j];
        n[j] = qd_tanhf(n[j] + r[j] * n_state[j]);
        h[j] = y[j] = n[j] + z[j] * (h[j] - n[j]);
    }
}

static void step_forward(const qd_recurrence *r, int64_t step, float *gates, const float *states,
                         float *h, float *y) {
    int64_t width = r->width;
    for (int64_t n = 0; n < r->n; n++, h += width, states += GATES * width) {
        float *gate = gates + (step * r->n + n) * SAVED * width,
              *row = y + (n * r->t + step) * width;
        if (qd_recurrence_is_active(r, n, step)) {
            advance(gate, gate + width, gate + 2 * width, gate + 3 * width, states, h, row, width);
        } else {
            memset(gate + 3 * width, 0, (size_t)width * sizeof *gate);
            memcpy(row, h, (size_t)width * sizeof *row);
        }
    }
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    qd_recurrence r = QD_CPU(recurrence_of)(context, graph, node, operands);
    float *gates = operands->saved, *by_step = operands->scratch;
    float *states = by_step + r.t * r.n * r.in, *h = states + r.n * r.rows;
    float *turned = h + r.n * r.width;
    int rc = QD_CPU(recurrence_check)(&r);
    memset(h, 0, (size_t)(r.n * r.width) * sizeof *h);
    qd_tensor states_weight = QD_CPU(recurrence_turn)(&r, turned);
    if (!rc)
        rc = QD_CPU(recurrence_inputs)(&r, r.b_ih, gates, SAVED * r.width, by_step);
    for (int64_t step = 0; step < r.t && !rc; step++) {
        for (int64_t n = 0; n < r.n; n++)
            memcpy(states + n * r.rows, r.b_hh, (size_t)r.rows * sizeof *states);
        if (step > 0)
            rc = QD_CPU(recurrence_states)(&r, h, states_weight, states, r.rows);
        if (!rc)
            step_forward(&r, step, gates, states, h, operands->output);
    }
    return rc;
}

/* ---- backward ---- */

/* Gradients of one sample's sums at one step; of dh stays what reaches the state before directly:
 * the product adds the rest. */
static void retreat(float *restrict dn, float *restrict dr, float *restrict dz,
                    float *restrict dscaled, const float *restrict gates,
                    const float *restrict h_before, const float *restrict dy, float *restrict dh,
                    int64_t width) {
    const float *r = gates, *z = gates + width, *n = gates + 2 * width, *scaled = gates + 3 * width;
    for (int64_t j = 0; j < width; j++) {
        float state = dh[j] + dy[j];
        dn[j] = state * (1.0f - z[j]) * (1.0f - n[j] * n[j]);
        dr[j] = dn[j] * scaled[j] * (r[j] * (1.0f - r[j]));
        dz[j] = state * (h_before[j] - n[j]) * (z[j] * (1.0f - z[j]));
        dscaled[j] = dn[j] * r[j];
        dh[j] = state * z[j];
    }
}

/* Where a sample keeps its state, the gradient goes on to the step before. */
static void step_back(const qd_recurrence *r, int64_t step, const float *gates, const float *y,
                      const float *zeros, const float *dy, float *grads, float *dh) {
    int64_t width = r->width;
    for (int64_t n = 0; n < r->n; n++, dh += width) {
        int64_t row = (step * r->n + n) * SAVED * width, of_y = (n * r->t + step) * width;
        float *grad = grads + row;
        if (qd_recurrence_is_active(r, n, step)) {
            retreat(grad, grad + width, grad + 2 * width, grad + 3 * width, gates + row,
                    step == 0 ? zeros : y + of_y - width, dy + of_y, dh, width);
        } else {
            memset(grad, 0, (size_t)(SAVED * width) * sizeof *grad);
            QD_CPU(add_floats)(dh, dy + of_y, width);
        }
    }
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    qd_recurrence r = QD_CPU(recurrence_of)(context, graph, node, operands);
    int64_t width = r.width, widest = r.in > width ? r.in : width, states = r.n * width;
    qd_gate_grads g = {.rows = operands->scratch,
                       .stride = SAVED * width,
                       .inputs = {{width, 0, 2 * width}, {0, 2 * width, width}},
                       .states = {width, 0, GATES * width}};
    float *by_step = g.rows + r.t * r.n * g.stride, *dh = by_step + r.t * r.n * widest;
    float *zeros = dh + states;
    int rc = 0;
    g.sums = zeros + width;
    memset(dh, 0, (size_t)(states + width + g.stride) * sizeof *dh);
    for (int64_t step = r.t - 1; step >= 0 && !rc; step--) {
        step_back(&r, step, operands->saved, operands->output, zeros, operands->output_grad, g.rows,
                  dh);
        rc = QD_CPU(recurrence_step_back)(&r, &g, step, dh);
    }
    return rc ? rc : QD_CPU(recurrence_grads)(&r, &g, operands, by_step);
}

const qd_cpu_op QD_CPU(gru) = {
    .forward = forward, .backward = backward, .prepare = QD_CPU(recurrence_prepare)};
