#include "worker/optimizer.h"

#include <math.h>

double qd_optimizer_clip_factor(const qd_optimizer_spec *spec, double norm) {
    return spec->clip > 0 ? fmin(1, spec->clip / (norm + 1e-6)) : 1;
}

double qd_optimizer_ratio(double weights, double moves) {
    return weights > 0 && moves > 0 ? sqrt(weights) / sqrt(moves) : 1;
}

/* 1 - beta^step, which takes the moments' start at zero out of them. */
static float correction(double beta, int64_t step) {
    return (float)(1.0 - pow(beta, (double)step));
}

void qd_optimizer_prepare(const qd_job *job, int64_t step, double rate_factor, double gradient_norm,
                          qd_optimizer_scalars *scalars) {
    const qd_optimizer_spec *spec = &job->optimizer;
    double rate = spec->learning_rate * rate_factor, decay = rate * spec->weight_decay;
    double adamw_rate = spec->adamw_learning_rate * rate_factor;
    *scalars = (qd_optimizer_scalars){
        .gradient_factor = (float)qd_optimizer_clip_factor(spec, gradient_norm),
        .learning_rate = (float)rate,
        .bias_correction1 = correction(spec->beta1, step),
        .bias_correction2 = correction(spec->beta2, step),
    };
    if (spec->kind == QD_OPTIMIZER_ADAMW)
        scalars->decay = (float)decay;
    if (spec->kind == QD_OPTIMIZER_MUON) {
        scalars->learning_rate = (float)adamw_rate;
        scalars->decay = (float)(adamw_rate * spec->weight_decay);
        scalars->matrix_learning_rate = (float)rate;
        scalars->matrix_decay = (float)decay;
    }
}
