/* update.h: what the update rules share; for worker/cpu/kernels/update_*.c only. */
#ifndef QD_WORKER_CPU_KERNELS_UPDATE_H
#define QD_WORKER_CPU_KERNELS_UPDATE_H

#include <math.h>

#include "worker/cpu/kernels/kernels.h"

/* How a gradient becomes what a rule sees: factor g + l2 w + l1 sign(w). Adding an l2 or l1 of 0
 * adds exact zeros, and a factor of 1 changes nothing. */
typedef struct qd_slope {
    float factor, l2, l1;
} qd_slope;

/* l2: the rule's own way of decay is by the gradient. */
static inline qd_slope qd_slope_of(const qd_optimizer_spec *spec,
                                   const qd_optimizer_scalars *scalars,
                                   const qd_optimizer_tensor *tensor, bool l2) {
    return (qd_slope){
        .factor = scalars->gradient_factor,
        .l2 = l2 && tensor->decays ? (float)spec->weight_decay : 0,
        .l1 = tensor->decays ? (float)spec->l1 : 0,
    };
}

static inline __attribute__((always_inline)) float qd_slope_at(qd_slope s, float g, float w) {
    float toward_zero = (w > 0 ? s.l1 : 0) - (w < 0 ? s.l1 : 0);
    return s.factor * g + s.l2 * w + toward_zero;
}

/* What Adam's moments need of the job. 1 - beta is taken in double: in float it would lose four
 * digits for a beta of 0.9999. */
typedef struct qd_adam_rates {
    float beta1, rest1, beta2, rest2, epsilon;
} qd_adam_rates;

static inline qd_adam_rates qd_adam_rates_of(const qd_optimizer_spec *spec) {
    return (qd_adam_rates){
        .beta1 = (float)spec->beta1,
        .rest1 = (float)(1.0 - spec->beta1),
        .beta2 = (float)spec->beta2,
        .rest2 = (float)(1.0 - spec->beta2),
        .epsilon = (float)spec->epsilon,
    };
}

/* Takes a slope into the moments; returns Adam's direction, m_hat / (sqrt(v_hat) + epsilon), times
 * `rate`. */
static inline __attribute__((always_inline)) float qd_adam_move(qd_adam_rates r,
                                                                const qd_optimizer_scalars *s,
                                                                float rate, float slope, float *m,
                                                                float *v) {
    *m = r.beta1 * *m + r.rest1 * slope;
    *v = r.beta2 * *v + r.rest2 * (slope * slope);
    float m_hat = *m / s->bias_correction1, v_hat = *v / s->bias_correction2;
    return rate * m_hat / (sqrtf(v_hat) + r.epsilon);
}

#endif
