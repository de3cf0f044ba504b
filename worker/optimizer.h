/*
 * optimizer.h: what an update rule is told in each step. What changes from step to step is read
 * from qd_optimizer_scalars, so that a captured device graph can replay the call. What a rule keeps
 * and needs is in models/optimizer.h; how it moves a parameter is a backend's business.
 */
#ifndef QD_WORKER_OPTIMIZER_H
#define QD_WORKER_OPTIMIZER_H

#include <stdint.h>

#include "models/job.h"
#include "models/optimizer.h"

typedef struct qd_optimizer_scalars {
    float gradient_factor; /* what each element of the gradient is multiplied by: clipping */
    float learning_rate;
    float bias_correction1; /* 1 - beta1^t (all but sgd) */
    float bias_correction2; /* 1 - beta2^t (all but sgd) */
    float decay;            /* lr weight_decay, of the parameter itself (adamw; adam: 0) */
    float matrix_learning_rate, matrix_decay; /* muon: of matrices; those above are AdamW's */
} qd_optimizer_scalars;

/* A parameter to be moved, or a run of it. */
typedef struct qd_optimizer_tensor {
    float *params;                          /* [count] */
    const float *grads;                     /* [count] */
    float *state[QD_OPTIMIZER_MAX_VECTORS]; /* each [count] */
    int64_t count;
    bool decays;           /* weight_decay and l1 are meant for it */
    double ratio;          /* lamb: what its moves are multiplied by */
    int64_t rows, columns; /* muon: of a matrix to make orthogonal, on any grid; 0: not one */
    float *scratch;        /* muon: qd_optimizer_matrix_scratch(rows, columns), 64-byte aligned */
} qd_optimizer_tensor;

/* What makes a gradient of length `norm` no longer than spec->clip: 1, or less. As
 * torch.nn.utils.clip_grad_norm_. */
double qd_optimizer_clip_factor(const qd_optimizer_spec *spec, double norm);

/* Lamb's ratio of a tensor, of the sums of squares of its weights and of its moves: 1 where one of
 * them is 0, so that nothing could move. */
double qd_optimizer_ratio(double weights, double moves);

/* What step `step` (1 for the first) needs, with the learning rates times rate_factor (what the
 * job's schedule has come to), for a gradient of length gradient_norm. */
void qd_optimizer_prepare(const qd_job *job, int64_t step, double rate_factor, double gradient_norm,
                          qd_optimizer_scalars *scalars);

#endif
