#include "worker/cpu/clones.h"
#include "worker/optimizer_internal.h"

void qd_adam_prepare(const qd_optimizer_spec *spec, int64_t step, qd_optimizer_scalars *scalars) {
    *scalars = (qd_optimizer_scalars){
        .gradient_factor = 1,
        .learning_rate = (float)spec->learning_rate,
        .bias_correction1 = (float)(1.0 - pow(spec->beta1, (double)step)),
        .bias_correction2 = (float)(1.0 - pow(spec->beta2, (double)step)),
    };
}

static void prepare_decoupled(const qd_optimizer_spec *spec, int64_t step,
                              qd_optimizer_scalars *scalars) {
    qd_adam_prepare(spec, step, scalars);
    scalars->decay = (float)(spec->learning_rate * spec->weight_decay);
}

/* Both rules in one loop: a decay of 0 adds exact zeros. The decay is subtracted, and not the
 * weight multiplied by 1 - decay, which in float would round a decay of 1e-7 by a fifth. */
QD_CLONES
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

static int update(const qd_optimizer_spec *spec, const qd_optimizer_scalars *scalars,
                  const qd_optimizer_tensor *tensor) {
    return update_by(spec, scalars, tensor, true);
}

static int update_decoupled(const qd_optimizer_spec *spec, const qd_optimizer_scalars *scalars,
                            const qd_optimizer_tensor *tensor) {
    return update_by(spec, scalars, tensor, false);
}

const qd_optimizer qd_optimizer_adam = {.prepare = qd_adam_prepare, .update = update};

const qd_optimizer qd_optimizer_adamw = {.prepare = prepare_decoupled, .update = update_decoupled};
