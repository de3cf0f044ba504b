#include "worker/cpu/kernels/update.h"

/* Both rules in one loop: a decay of 0 adds exact zeros. The decay is subtracted, and not the
 * weight multiplied by 1 - decay, which in float would round a decay of 1e-7 by a fifth. */
static void descend(float *restrict w, const float *restrict g, float *restrict m,
                    float *restrict v, qd_adam_rates r, qd_slope slope, qd_optimizer_scalars s,
                    int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        float move =
            qd_adam_move(r, &s, s.learning_rate, qd_slope_at(slope, g[i], w[i]), &m[i], &v[i]);
        w[i] -= s.decay * w[i] + move;
    }
}

static int update_by(const qd_optimizer_spec *spec, const qd_optimizer_scalars *scalars,
                     const qd_optimizer_tensor *t, bool l2) {
    qd_optimizer_scalars s = *scalars;
    s.decay = t->decays ? s.decay : 0;
    descend(t->params, t->grads, t->state[0], t->state[1], qd_adam_rates_of(spec),
            qd_slope_of(spec, scalars, t, l2), s, t->count);
    return 0;
}

/* Kingma and Ba, arXiv 1412.6980, algorithm 1, on the gradient plus weight_decay w (L2). */
int QD_CPU(update_adam)(qd_backend_context *context, const qd_optimizer_spec *spec,
                        const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *tensor) {
    (void)context;
    return update_by(spec, scalars, tensor, true);
}

/* Loshchilov and Hutter, arXiv 1711.05101, algorithm 2, as torch.optim.AdamW: adam on the gradient
 * alone, and w -= lr weight_decay w beside it. */
int QD_CPU(update_adamw)(qd_backend_context *context, const qd_optimizer_spec *spec,
                         const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *tensor) {
    (void)context;
    return update_by(spec, scalars, tensor, false);
}
