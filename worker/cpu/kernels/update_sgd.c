#include "worker/cpu/kernels/update.h"

typedef struct rates {
    float learning_rate, momentum;
    bool nesterov;
    qd_slope slope;
} rates;

/* The velocity starts at zero, so that the first step has v = g without being told apart. */
static void descend(float *restrict w, const float *restrict g, float *restrict v, rates r,
                    int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        float slope = qd_slope_at(r.slope, g[i], w[i]);
        v[i] = r.momentum * v[i] + slope;
        float ahead = slope + r.momentum * v[i];
        w[i] -= r.learning_rate * (r.nesterov ? ahead : v[i]);
    }
}

/*
 * As PyTorch's SGD with dampening 0: v = momentum v + g; w -= lr v (the first step has v = g). With
 * nesterov (Sutskever et al., ICML 2013) w -= lr (g + momentum v), v the new one.
 */
int QD_CPU(update_sgd)(qd_backend_context *context, const qd_optimizer_spec *spec,
                       const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *t) {
    (void)context;
    rates r = {
        .learning_rate = scalars->learning_rate,
        .momentum = (float)spec->momentum,
        .nesterov = spec->nesterov,
        .slope = qd_slope_of(spec, scalars, t, true),
    };
    descend(t->params, t->grads, t->state[0], r, t->count);
    return 0;
}
