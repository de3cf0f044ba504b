#include "worker/cpu/kernels/update.h"

/* Elements whose moves are held at a time, on the stack. */
enum { BLOCK = 1024 };

typedef struct lamb {
    qd_adam_rates rates;
    qd_slope slope;
    qd_optimizer_scalars scalars;
    float decay; /* weight_decay, or 0 */
} lamb;

/* Takes the gradients of a block into the moments. */
static void take_in(float *restrict m, float *restrict v, const float *restrict g,
                    const float *restrict w, const lamb *l, int64_t count) {
    qd_adam_rates r = l->rates;
    qd_slope s = l->slope;
    for (int64_t i = 0; i < count; i++) {
        float slope = qd_slope_at(s, g[i], w[i]);
        m[i] = r.beta1 * m[i] + r.rest1 * slope;
        v[i] = r.beta2 * v[i] + r.rest2 * (slope * slope);
    }
}

/* Moves before their length is adapted. */
static void find_moves(float *restrict moves, const float *restrict m, const float *restrict v,
                       const float *restrict w, const lamb *l, int64_t count) {
    float correction1 = l->scalars.bias_correction1, correction2 = l->scalars.bias_correction2;
    float epsilon = l->rates.epsilon, decay = l->decay;
    for (int64_t i = 0; i < count; i++)
        moves[i] = m[i] / correction1 / (sqrtf(v[i] / correction2) + epsilon) + decay * w[i];
}

static void apply(float *restrict w, const float *restrict moves, float rate, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        w[i] -= rate * moves[i];
}

static int64_t block_at(int64_t i, int64_t count) {
    return count - i < BLOCK ? count - i : BLOCK;
}

static lamb lamb_of(const qd_optimizer_spec *spec, const qd_optimizer_scalars *scalars,
                    const qd_optimizer_tensor *t) {
    return (lamb){
        .rates = qd_adam_rates_of(spec),
        .slope = qd_slope_of(spec, scalars, t, false),
        .scalars = *scalars,
        .decay = t->decays ? (float)spec->weight_decay : 0,
    };
}

int QD_CPU(measure_lamb)(const qd_optimizer_spec *spec, const qd_optimizer_scalars *scalars,
                         const qd_optimizer_tensor *t, double *weights, double *moves) {
    lamb l = lamb_of(spec, scalars, t);
    float block[BLOCK], *w = t->params, *m = t->state[0], *v = t->state[1];
    double squares = 0;
    for (int64_t i = 0; i < t->count; i += BLOCK) {
        int64_t n = block_at(i, t->count);
        take_in(m + i, v + i, t->grads + i, w + i, &l, n);
        find_moves(block, m + i, v + i, w + i, &l, n);
        squares += QD_CPU(norm_squared)(block, n);
    }
    *weights = QD_CPU(norm_squared)(w, t->count);
    *moves = squares;
    return 0;
}

/*
 * You et al., arXiv 1904.00962, algorithm 2: with r adam's move plus weight_decay w,
 * w -= lr (|w| / |r|) r, lengths taken over the tensor (phi is the identity). The moves are found
 * twice, to measure and to apply them, which costs less than a vector to keep them in.
 */
int QD_CPU(update_lamb)(qd_backend_context *context, const qd_optimizer_spec *spec,
                        const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *t) {
    (void)context;
    lamb l = lamb_of(spec, scalars, t);
    float moves[BLOCK], *w = t->params, *m = t->state[0], *v = t->state[1];
    float rate = (float)((double)scalars->learning_rate * t->ratio);
    for (int64_t i = 0; i < t->count; i += BLOCK) {
        int64_t n = block_at(i, t->count);
        find_moves(moves, m + i, v + i, w + i, &l, n);
        apply(w + i, moves, rate, n);
    }
    return 0;
}
