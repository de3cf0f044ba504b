/*
 * recurrence.h: what lstm and gru share: the products over all steps, and the order of time. Values
 * come sample after sample; inside, everything lies step after step, [t, n, ..], so that a step is
 * one matrix without gaps. Only for worker/cpu/kernels/.
 */
#ifndef QD_WORKER_CPU_KERNELS_RECURRENCE_H
#define QD_WORKER_CPU_KERNELS_RECURRENCE_H

#include "worker/cpu/kernels/kernels.h"
#include "worker/cpu/onednn.h"

/* A layer at work. */
typedef struct qd_recurrence {
    int threads;
    int64_t n, t, in, width; /* width: of the hidden state */
    int64_t gates;           /* blocks of rows in the weights */
    const float *x, *w_ih, *w_hh, *b_ih, *b_hh;
    const int32_t *lengths; /* [n]; NULL: all are t */
} qd_recurrence;

void QD_CPU(recurrence_of)(const qd_backend_context *context, const qd_graph *graph,
                           const qd_node *node, const qd_operands *operands, qd_recurrence *r);

/* QD_EDATA for a length outside of 1 .. t. */
int QD_CPU(recurrence_check)(const qd_recurrence *r);

/* Whether the sample has an input at this step; else it keeps its state. */
static inline bool qd_recurrence_is_active(const qd_recurrence *r, int64_t sample, int64_t step) {
    return !r->lengths || step < r->lengths[sample];
}

/* Rows of width floats, step after step, from rows sample after sample, and back. */
void QD_CPU(recurrence_by_step)(float *restrict to, const float *restrict from, int64_t n,
                                int64_t t, int64_t width);
void QD_CPU(recurrence_by_sample)(float *restrict to, const float *restrict from, int64_t n,
                                  int64_t t, int64_t width, bool adds);

/* Each of count rows, stride floats apart, becomes the bias. */
void QD_CPU(recurrence_fill)(float *restrict rows, int64_t stride, int64_t count,
                             const float *restrict bias, int64_t width);

/* sums[width] += each row of rows[count, width] */
void QD_CPU(recurrence_add_rows)(float *restrict sums, const float *restrict rows, int64_t count,
                                 int64_t width);

/* gates = x W_ih^T + what stands there, for all steps; stride is that of a row of gates. by_step:
 * scratch of [t, n, in]. */
int QD_CPU(recurrence_inputs)(const qd_recurrence *r, float *gates, int64_t stride, float *by_step);

/* rows [first, end) of a weight's gradient, from the columns of grads [rows, ..] that begin at
 * grads.data, and from rows [rows, columns]: grads^T rows. */
int QD_CPU(recurrence_weights)(const qd_recurrence *r, qd_matrix grads, int64_t outputs,
                               const float *rows, int64_t count, int64_t columns, float *dw,
                               bool adds);

#endif
