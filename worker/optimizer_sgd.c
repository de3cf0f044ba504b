#include "worker/cpu/clones.h"
#include "worker/optimizer.h"

static const char *const state_names[] = {"momentum"};

static void prepare(const qd_optimizer_spec *spec, int64_t step, qd_optimizer_scalars *scalars) {
    (void)step;
    *scalars = (qd_optimizer_scalars){.learning_rate = (float)spec->learning_rate};
}

/* The velocity starts at zero, so that the first step has v = g without being told apart. */
QD_CLONES
static void descend(float *restrict w, const float *restrict g, float *restrict v, float momentum,
                    float learning_rate, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        v[i] = momentum * v[i] + g[i];
        w[i] -= learning_rate * v[i];
    }
}

static void update(const qd_optimizer_spec *spec, const qd_optimizer_scalars *scalars,
                   float *params, const float *grads, float *const *state, int64_t count) {
    descend(params, grads, state[0], (float)spec->momentum, scalars->learning_rate, count);
}

const qd_optimizer qd_optimizer_sgd = {
    .name = "sgd",
    .state_vectors = 1,
    .state_names = state_names,
    .prepare = prepare,
    .update = update,
};
