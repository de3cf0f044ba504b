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

/* The rates of decay as the loop needs them. 1 - beta is taken in double: in float it would lose
 * four digits for a beta of 0.9999. */
typedef struct decay {
    float beta1, rest1, beta2, rest2;
} decay;

QD_CLONES
static void descend(float *restrict w, const float *restrict g, float *restrict m,
                    float *restrict v, decay d, float epsilon, qd_optimizer_scalars s,
                    int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        m[i] = d.beta1 * m[i] + d.rest1 * g[i];
        v[i] = d.beta2 * v[i] + d.rest2 * (g[i] * g[i]);
        float m_hat = m[i] / s.bias_correction1, v_hat = v[i] / s.bias_correction2;
        w[i] -= s.learning_rate * m_hat / (sqrtf(v_hat) + epsilon);
    }
}

static void update(const qd_optimizer_spec *spec, const qd_optimizer_scalars *scalars,
                   float *params, const float *grads, float *const *state, int64_t count) {
    decay d = {
        .beta1 = (float)spec->beta1,
        .rest1 = (float)(1.0 - spec->beta1),
        .beta2 = (float)spec->beta2,
        .rest2 = (float)(1.0 - spec->beta2),
    };
    descend(params, grads, state[0], state[1], d, (float)spec->epsilon, *scalars, count);
}

const qd_optimizer qd_optimizer_adam = {
    .name = "adam",
    .state_vectors = 2,
    .state_names = state_names,
    .prepare = prepare,
    .update = update,
};
