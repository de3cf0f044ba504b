/* mlp_job.h: jobs of the family mlp for tests, filled by hand: no data, no file. */
#ifndef QD_TEST_MODELS_MLP_JOB_H
#define QD_TEST_MODELS_MLP_JOB_H

#include "models/job.h"

/* widths: inputs, the hidden layers, classes; count >= 2 of them. */
static inline qd_job mlp_job(const int64_t *widths, int count, int64_t batch, int64_t slots,
                             qd_optimizer_kind optimizer) {
    qd_job job = {
        .name = "mlp",
        .seed = 7,
        .model = {.family = QD_FAMILY_MLP,
                  .inputs = widths[0],
                  .classes = widths[count - 1],
                  .hidden_count = count - 2},
        .train = {.batch = batch, .steps = 1},
        .optimizer = {.kind = optimizer,
                      .learning_rate = optimizer == QD_OPTIMIZER_SGD ? 0.05 : 0.001,
                      .momentum = 0.9,
                      .beta1 = 0.9,
                      .beta2 = 0.999,
                      .epsilon = 1e-8},
        .slots_data = slots,
        .ranks_min = 1,
        .ranks_max = slots,
    };
    for (int i = 1; i < count - 1; i++)
        job.model.hidden[i - 1] = widths[i];
    return job;
}

#define MLP_JOB(batch, slots, optimizer, ...)                                                      \
    mlp_job((const int64_t[]){__VA_ARGS__},                                                        \
            (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), batch, slots,         \
            optimizer)

#endif
