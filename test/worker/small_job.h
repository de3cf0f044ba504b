/*
 * small_job.h: the shipped jobs with a batch of one slot, which any machine runs at once, and
 * samples for them: numbers between -1 and 1, tokens and classes of those that there are.
 */
#ifndef QD_TEST_WORKER_SMALL_JOB_H
#define QD_TEST_WORKER_SMALL_JOB_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "models/family.h"
#include "runtime/align.h"
#include "runtime/error.h"
#include "runtime/random.h"
#include "worker/data/batch.h"

/* A sample of a residual network is as much work as all others' batches. */
enum { SMALL_BATCH = 8, LEAST_BATCH = 2 };

static inline qd_job small_job(const char *file, qd_precision precision) {
    qd_job job;
    ck_assert_msg(qd_job_load(file, &job) == 0, "%s", qd_error_message());
    job.train.batch = strstr(file, "resnet") ? LEAST_BATCH : SMALL_BATCH;
    job.train.precision = precision;
    job.slots_data = job.ranks_min = job.ranks_max = 1;
    return job;
}

static inline void small_fill(void *data, size_t count, qd_dtype dtype, int64_t end,
                              uint32_t site) {
    qd_random_key key = {3, site};
    for (size_t i = 0; i < count; i++) {
        uint32_t block[4];
        qd_random_block(key, 0, i, block);
        if (dtype == QD_I32)
            ((int32_t *)data)[i] = (int32_t)(block[0] % (uint32_t)end);
        else
            ((float *)data)[i] = 2 * qd_random_uniform(key, 0, i) - 1;
    }
}

/* free_small_batch gives it back. */
static inline qd_batch small_batch(const qd_job *job) {
    qd_sample_spec spec = qd_family_sample_spec(job);
    size_t inputs = (size_t)(job->train.batch * spec.inputs);
    size_t targets = (size_t)(job->train.batch * spec.targets);
    void *samples = aligned_alloc(QD_ALIGN_BYTES, qd_align_bytes(inputs * 4));
    int32_t *labels = calloc(targets, sizeof *labels);
    small_fill(samples, inputs, spec.input_dtype, spec.vocabulary, 20);
    small_fill(labels, targets, spec.target_dtype, spec.classes, 21);
    return (qd_batch){samples, labels};
}

static inline void free_small_batch(qd_batch *batch) {
    free((void *)batch->samples);
    free((void *)batch->targets);
}

#endif
