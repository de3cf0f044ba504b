/*
 * recurrence.h: what lstm and gru share: the products, and the order of time. Values lie sample
 * after sample; inside, everything lies step after step, [t, n, ..], so that a step is one matrix
 * without gaps. Only for worker/cpu/kernels/.
 */
#ifndef QD_WORKER_CPU_KERNELS_RECURRENCE_H
#define QD_WORKER_CPU_KERNELS_RECURRENCE_H

#include "worker/cpu/kernels/product.h"

/* A layer at work. */
typedef struct qd_recurrence {
    qd_backend_context *context;
    const qd_graph *graph;
    int64_t n, t, in, width; /* width: of the hidden state */
    int64_t rows;            /* of the weights: gates x width */
    const float *x, *w_ih, *w_hh, *b_ih, *b_hh;
    const int32_t *lengths;           /* [n]; NULL: all are t */
    qd_tensor w_ih_taken, w_hh_taken; /* as products take them */
    float *taken; /* scratch for what products take of everything else: of the rows of all steps, in
                     forward of the turned weights and the states, and behind them of by_step;
                     then of products over rows */
} qd_recurrence;

/* Raises the node's scratch by what products take. */
int QD_CPU(recurrence_prepare)(qd_backend_context *context, const qd_graph *graph, qd_node *node,
                               void **made);

/* These columns of a row of gradients belong to the weights' rows from `row` on. */
typedef struct qd_gate_range {
    int64_t column, row, count;
} qd_gate_range;

/* Gradients of what the products gave, step after step. */
typedef struct qd_gate_grads {
    float *rows;             /* [t, n, stride] */
    qd_tensor taken;         /* the same as products take them; step by step, as they are made */
    float *sums;             /* [stride]: their sum over steps and samples */
    int64_t stride;          /* columns of a row */
    qd_gate_range inputs[2]; /* those of W_ih x + b_ih; an empty one may stand second */
    qd_gate_range states;    /* those of W_hh h + b_hh */
} qd_gate_grads;

qd_recurrence QD_CPU(recurrence_of)(qd_backend_context *context, const qd_graph *graph,
                                    const qd_node *node, const qd_operands *operands);

/* QD_EDATA for a length outside of 1 .. t. */
int QD_CPU(recurrence_check)(const qd_recurrence *r);

/* Whether the sample has an input at this step; else it keeps its state. */
static inline bool qd_recurrence_is_active(const qd_recurrence *r, int64_t sample, int64_t step) {
    return !r->lengths || step < r->lengths[sample];
}

/* gates[t, n, stride] = bias (NULL: none) + x W_ih^T in the first columns, for all steps in one
 * product; by_step is room for x, [t, n, in]. */
int QD_CPU(recurrence_inputs)(const qd_recurrence *r, const float *bias, float *gates,
                              int64_t stride, float *by_step);

/* turned[width, rows] = W_hh^T, and as products take it. The library would turn it again in every
 * step: of 16 samples of width 512 the products then take twice as long. */
qd_tensor QD_CPU(recurrence_turn)(const qd_recurrence *r, float *turned);

/* gates[n, rows], stride apart, += h[n, width] W_hh^T: one step. */
int QD_CPU(recurrence_states)(const qd_recurrence *r, const float *h, qd_tensor turned,
                              float *gates, int64_t stride);

/* The step's rows of gradients are complete: adds them to their sum, and what they make of the
 * gradient of the state before to dh[n, width]. */
int QD_CPU(recurrence_step_back)(const qd_recurrence *r, qd_gate_grads *g, int64_t step, float *dh);

/* The gradients that the operands ask for, from those of all steps; by_step is room for inputs or
 * states, [t, n, max(in, width)]. */
int QD_CPU(recurrence_grads)(const qd_recurrence *r, const qd_gate_grads *g,
                             const qd_operands *operands, float *by_step);

#endif
