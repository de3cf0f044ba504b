#include "worker/cpu/clones.h"
#include "worker/optimizer_internal.h"

static void prepare(const qd_optimizer_spec *spec, int64_t step, qd_optimizer_scalars *scalars) {
    (void)step;
    *scalars =
        (qd_optimizer_scalars){.gradient_factor = 1, .learning_rate = (float)spec->learning_rate};
}

typedef struct rates {
    float learning_rate, momentum;
    bool nesterov;
    qd_slope slope;
} rates;

/* The velocity starts at zero, so that the first step has v = g without being told apart. */
QD_CLONES
static void descend(float *restrict w, const float *restrict g, float *restrict v, rates r,
                    int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        float slope = qd_slope_at(r.slope, g[i], w[i]);
        v[i] = r.momentum * v[i] + slope;
        float ahead = slope + r.momentum * v[i];
        w[i] -= r.learning_rate * (r.nesterov ? ahead : v[i]);
    }
}

static int update(const qd_optimizer_spec *spec, const qd_optimizer_scalars *scalars,
                  const qd_optimizer_tensor *t) {
    rates r = {
        .learning_rate = scalars->learning_rate,
        .momentum = (float)spec->momentum,
        .nesterov = spec->nesterov,
        .slope = qd_slope_of(spec, scalars, t, true),
    };
    descend(t->params, t->grads, t->state[0], r, t->count);
    return 0;
}

const qd_optimizer qd_optimizer_sgd = {.prepare = prepare, .update = update};
