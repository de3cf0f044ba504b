#include "worker/optimizer.h"

#include <math.h>

static const qd_optimizer *const optimizers[] = {
    [QD_OPTIMIZER_SGD] = &qd_optimizer_sgd,     [QD_OPTIMIZER_ADAM] = &qd_optimizer_adam,
    [QD_OPTIMIZER_ADAMW] = &qd_optimizer_adamw, [QD_OPTIMIZER_LAMB] = &qd_optimizer_lamb,
    [QD_OPTIMIZER_MUON] = &qd_optimizer_muon,
};

const qd_optimizer *qd_optimizer_of(const qd_optimizer_spec *spec) {
    return optimizers[spec->kind];
}

double qd_optimizer_clip_factor(const qd_optimizer_spec *spec, double norm) {
    return spec->clip > 0 ? fmin(1, spec->clip / (norm + 1e-6)) : 1;
}

void qd_optimizer_prepare(const qd_job *job, int64_t step, int64_t total_steps,
                          double gradient_norm, qd_optimizer_scalars *scalars) {
    qd_optimizer_spec now = job->optimizer;
    double factor = qd_schedule_factor(&job->schedule, step, total_steps);
    now.learning_rate *= factor;
    now.adamw_learning_rate *= factor;
    qd_optimizer_of(&now)->prepare(&now, step, scalars);
    scalars->gradient_factor = (float)qd_optimizer_clip_factor(&now, gradient_norm);
}
