#include "worker/optimizer.h"

static const qd_optimizer *const optimizers[] = {
    [QD_OPTIMIZER_SGD] = &qd_optimizer_sgd,
    [QD_OPTIMIZER_ADAM] = &qd_optimizer_adam,
    [QD_OPTIMIZER_ADAMW] = &qd_optimizer_adamw,
};

const qd_optimizer *qd_optimizer_of(const qd_optimizer_spec *spec) {
    return optimizers[spec->kind];
}

void qd_optimizer_prepare(const qd_job *job, int64_t step, int64_t total_steps,
                          qd_optimizer_scalars *scalars) {
    qd_optimizer_spec now = job->optimizer;
    now.learning_rate *= qd_schedule_factor(&job->schedule, step, total_steps);
    qd_optimizer_of(&now)->prepare(&now, step, scalars);
}
