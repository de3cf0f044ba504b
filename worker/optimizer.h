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
    float bias_correction1; /* 1 - beta1^t (adam, adamw) */
    float bias_correction2; /* 1 - beta2^t (adam, adamw) */
    float decay;            /* lr weight_decay, of the parameter itself (adamw; adam: 0) */
} qd_optimizer_scalars;

typedef struct qd_optimizer {
    const char *name;
    int state_vectors;              /* vectors of the parameters' length it keeps */
    const char *const *state_names; /* their names in a checkpoint */
    /* At the learning rate of spec: callers go through qd_optimizer_prepare for the schedule's. */
    void (*prepare)(const qd_optimizer_spec *spec, int64_t step, qd_optimizer_scalars *scalars);
    /* Updates params from grads, all [count]; state[i] is [count]. */
    void (*update)(const qd_optimizer_spec *spec, const qd_optimizer_scalars *scalars,
                   float *params, const float *grads, float *const *state, int64_t count);
} qd_optimizer;

/*
 * With g the gradient plus weight_decay w (L2), as PyTorch's SGD with dampening 0:
 * v = momentum v + g; w -= lr v (the first step has v = g). With nesterov (Sutskever et al., ICML
 * 2013) w -= lr (g + momentum v), v the new one.
 */
extern const qd_optimizer qd_optimizer_sgd;
/* Kingma and Ba, arXiv 1412.6980, algorithm 1, on the gradient plus weight_decay w (L2). */
extern const qd_optimizer qd_optimizer_adam;
/* Loshchilov and Hutter, arXiv 1711.05101, algorithm 2, as torch.optim.AdamW: adam on the gradient
 * alone, and w -= lr weight_decay w beside it. */
extern const qd_optimizer qd_optimizer_adamw;

const qd_optimizer *qd_optimizer_of(const qd_optimizer_spec *spec);

/* What step `step` (1 for the first) of a run of total_steps needs: the rule's prepare, with the
 * learning rate as the job's schedule has it then (models/schedule.h). */
void qd_optimizer_prepare(const qd_job *job, int64_t step, int64_t total_steps,
                          qd_optimizer_scalars *scalars);

#endif
