#include "worker/optimizer.h"

static const qd_optimizer *const optimizers[] = {
    [QD_OPTIMIZER_SGD] = &qd_optimizer_sgd,
    [QD_OPTIMIZER_ADAM] = &qd_optimizer_adam,
    [QD_OPTIMIZER_ADAMW] = &qd_optimizer_adamw,
};

const qd_optimizer *qd_optimizer_of(const qd_optimizer_spec *spec) {
    return optimizers[spec->kind];
}
