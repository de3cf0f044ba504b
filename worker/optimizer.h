/*
 * optimizer.h: update rules, each one file and one row. Sgd, adam and adamw make one pass over
 * memory; what changes from step to step is read from qd_optimizer_scalars, so that a captured
 * device graph can replay the call. What a rule keeps and needs is in models/optimizer.h.
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

/* A parameter to be moved. */
typedef struct qd_optimizer_tensor {
    float *params;                          /* [count] */
    const float *grads;                     /* [count] */
    float *state[QD_OPTIMIZER_MAX_VECTORS]; /* each [count] */
    int64_t count;
    bool decays;           /* weight_decay and l1 are meant for it */
    int64_t rows, columns; /* muon: of a matrix to make orthogonal; 0: not one */
    float *scratch;        /* muon: qd_optimizer_matrix_scratch(rows, columns), 64-byte aligned */
    int threads;           /* for products of matrices */
} qd_optimizer_tensor;

typedef struct qd_optimizer {
    /* At the learning rate of spec: callers go through qd_optimizer_prepare for the schedule's. */
    void (*prepare)(const qd_optimizer_spec *spec, int64_t step, qd_optimizer_scalars *scalars);
    /* QD_EINTERNAL. */
    int (*update)(const qd_optimizer_spec *spec, const qd_optimizer_scalars *scalars,
                  const qd_optimizer_tensor *tensor);
} qd_optimizer;

/*
 * g is everywhere the gradient times gradient_factor, plus l1 sign(w). sgd, with weight_decay w
 * (L2) added too, as PyTorch's SGD with dampening 0: v = momentum v + g; w -= lr v (the first step
 * has v = g). With nesterov (Sutskever et al., ICML 2013) w -= lr (g + momentum v), v the new one.
 */
extern const qd_optimizer qd_optimizer_sgd;
/* Kingma and Ba, arXiv 1412.6980, algorithm 1, on the gradient plus weight_decay w (L2). */
extern const qd_optimizer qd_optimizer_adam;
/* Loshchilov and Hutter, arXiv 1711.05101, algorithm 2, as torch.optim.AdamW: adam on the gradient
 * alone, and w -= lr weight_decay w beside it. */
extern const qd_optimizer qd_optimizer_adamw;
/*
 * You et al., arXiv 1904.00962, algorithm 2: with r adam's move plus weight_decay w,
 * w -= lr (|w| / |r|) r, lengths taken over the tensor (phi is the identity). Where one of them is
 * 0, so that nothing could move, the ratio is 1.
 */
extern const qd_optimizer qd_optimizer_lamb;
/*
 * K. Jordan et al., 2024 (models/optimizer.h), as torch.optim.Muon, but in float throughout: of
 * matrices m = momentum m + (1 - momentum) g, and (1 - momentum) g + momentum m (Nesterov) is made
 * orthogonal, nearly, by five steps of a Newton-Schulz iteration; w -= lr sqrt(max(1, rows /
 * columns)) of that, and w -= lr weight_decay w. All else is AdamW's, at adamw_learning_rate.
 */
extern const qd_optimizer qd_optimizer_muon;

const qd_optimizer *qd_optimizer_of(const qd_optimizer_spec *spec);

/* What makes a gradient of length `norm` no longer than spec->clip: 1, or less. As
 * torch.nn.utils.clip_grad_norm_. */
double qd_optimizer_clip_factor(const qd_optimizer_spec *spec, double norm);

/* What step `step` (1 for the first) of a run of total_steps needs: the rule's prepare, with the
 * learning rate as the job's schedule has it then (models/schedule.h), for a gradient of length
 * gradient_norm. */
void qd_optimizer_prepare(const qd_job *job, int64_t step, int64_t total_steps,
                          double gradient_norm, qd_optimizer_scalars *scalars);

#endif
