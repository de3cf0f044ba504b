#include "worker/cpu/clones.h"
#include "worker/optimizer.h"

static const char *const state_names[] = {"momentum"};

static void prepare(const qd_optimizer_spec *spec, int64_t step, qd_optimizer_scalars *scalars) {
    (void)step;
    *scalars = (qd_optimizer_scalars){.learning_rate = (float)spec->learning_rate};
}

typedef struct rates {
    float learning_rate, momentum, weight_decay;
    bool nesterov;
} rates;

/* The velocity starts at zero, so that the first step has v = g without being told apart. */
QD_CLONES
static void descend(float *restrict w, const float *restrict g, float *restrict v, rates r,
                    int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        float slope = g[i] + r.weight_decay * w[i];
        v[i] = r.momentum * v[i] + slope;
        float ahead = slope + r.momentum * v[i];
        w[i] -= r.learning_rate * (r.nesterov ? ahead : v[i]);
    }
}

static void update(const qd_optimizer_spec *spec, const qd_optimizer_scalars *scalars,
                   float *params, const float *grads, float *const *state, int64_t count) {
    rates r = {
        .learning_rate = scalars->learning_rate,
        .momentum = (float)spec->momentum,
        .weight_decay = (float)spec->weight_decay,
        .nesterov = spec->nesterov,
    };
    descend(params, grads, state[0], r, count);
}

const qd_optimizer qd_optimizer_sgd = {
    .name = "sgd",
    .state_vectors = 1,
    .state_names = state_names,
    .prepare = prepare,
    .update = update,
};
