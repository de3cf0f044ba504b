/*
 * optimizer.h: update rules, each one file and one row. A rule makes one pass over memory; what
 * changes from step to step is read from qd_optimizer_scalars, so that a captured device graph
 * can replay the call.
 */
#ifndef QD_WORKER_OPTIMIZER_H
#define QD_WORKER_OPTIMIZER_H

#include <stdint.h>

#include "models/job.h"

typedef struct qd_optimizer_scalars {
    float learning_rate;
    float bias_correction1; /* 1 - beta1^t (adam) */
    float bias_correction2; /* 1 - beta2^t (adam) */
} qd_optimizer_scalars;

typedef struct qd_optimizer {
    const char *name;
    int state_vectors;              /* vectors of the parameters' length it keeps */
    const char *const *state_names; /* their names in a checkpoint */
    void (*prepare)(const qd_optimizer_spec *spec, int64_t step, qd_optimizer_scalars *scalars);
    /* Updates params from grads, all [count]; state[i] is [count]. */
    void (*update)(const qd_optimizer_spec *spec, const qd_optimizer_scalars *scalars,
                   float *params, const float *grads, float *const *state, int64_t count);
} qd_optimizer;

/* v = momentum v + g; w -= lr v (the first step has v = g; as PyTorch's SGD, dampening 0). */
extern const qd_optimizer qd_optimizer_sgd;
/* Kingma and Ba, arXiv 1412.6980, algorithm 1. */
extern const qd_optimizer qd_optimizer_adam;

const qd_optimizer *qd_optimizer_of(const qd_optimizer_spec *spec);

#endif
