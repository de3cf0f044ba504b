#include <math.h>

#include "worker/cpu/clones.h"
#include "worker/optimizer.h"

static const char *const state_names[] = {"m", "v"};

static void prepare(const qd_optimizer_spec *spec, int64_t step, qd_optimizer_scalars *scalars) {
    *scalars = (qd_optimizer_scalars){
        .learning_rate = (float)spec->learning_rate,
        .bias_correction1 = (float)(1.0 - pow(spec->beta1, (double)step)),
        .bias_correction2 = (float)(1.0 - pow(spec->beta2, (double)step)),
    };
}

static void prepare_decoupled(const qd_optimizer_spec *spec, int64_t step,
                              qd_optimizer_scalars *scalars) {
    prepare(spec, step, scalars);
    scalars->decay = (float)(spec->learning_rate * spec->weight_decay);
}

/* What the loop needs of the job. 1 - beta is taken in double: in float it would lose four digits
 * for a beta of 0.9999. */
typedef struct rates {
    float beta1, rest1, beta2, rest2, epsilon;
    float l2; /* weight decay by way of the gradient (adam; adamw: 0) */
} rates;

/* Both rules in one loop: a decay of 0 adds exact zeros. The decay is subtracted, and not the
 * weight multiplied by 1 - decay, which in float would round a decay of 1e-7 by a fifth. */

QD_CLONES
static void descend(float *restrict w, const float *restrict g, float *restrict m,
                    float *restrict v, rates r, qd_optimizer_scalars s, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        float slope = g[i] + r.l2 * w[i];
        m[i] = r.beta1 * m[i] + r.rest1 * slope;
        v[i] = r.beta2 * v[i] + r.rest2 * (slope * slope);
        float m_hat = m[i] / s.bias_correction1, v_hat = v[i] / s.bias_correction2;
        float move = s.learning_rate * m_hat / (sqrtf(v_hat) + r.epsilon);
        w[i] -= s.decay * w[i] + move;
    }
}

static void update(const qd_optimizer_spec *spec, const qd_optimizer_scalars *scalars,
                   float *params, const float *grads, float *const *state, int64_t count) {
    bool decoupled = spec->kind == QD_OPTIMIZER_ADAMW;
    rates r = {
        .beta1 = (float)spec->beta1,
        .rest1 = (float)(1.0 - spec->beta1),
        .beta2 = (float)spec->beta2,
        .rest2 = (float)(1.0 - spec->beta2),
        .epsilon = (float)spec->epsilon,
        .l2 = decoupled ? 0 : (float)spec->weight_decay,
    };
    descend(params, grads, state[0], state[1], r, *scalars, count);
}

const qd_optimizer qd_optimizer_adam = {
    .name = "adam",
    .state_vectors = 2,
    .state_names = state_names,
    .prepare = prepare,
    .update = update,
};

const qd_optimizer qd_optimizer_adamw = {
    .name = "adamw",
    .state_vectors = 2,
    .state_names = state_names,
    .prepare = prepare_decoupled,
    .update = update,
};
