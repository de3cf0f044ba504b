#include "worker/data/dataset.h"

#include <stdbool.h>
#include <stdlib.h>

#include "runtime/error.h"

const char *const qd_split_names[QD_SPLITS] = {"train", "validation", "test"};

/* A split is a range of samples of a source. */
typedef struct split_range {
    const qd_source *source;
    int64_t first;
    int64_t count;
} split_range;

struct qd_dataset {
    qd_sample_spec spec;
    qd_source train, validation, test;
    split_range splits[QD_SPLITS];
};

static int split(const qd_job *job, qd_dataset *d) {
    bool own = d->validation.samples > 0;
    int64_t samples = d->train.samples, apart = own ? 0 : job->data.validation;
    if (apart >= samples)
        return qd_error_set(QD_ECONFIG,
                            "data.validation %lld leaves none of the %lld samples of the training "
                            "data for training; use at most %lld",
                            (long long)apart, (long long)samples, (long long)samples - 1);
    if (job->train.batch > samples - apart)
        return qd_error_set(QD_ECONFIG,
                            "train.batch %lld is more than the %lld samples of the training split",
                            (long long)job->train.batch, (long long)(samples - apart));
    d->splits[QD_SPLIT_TRAIN] = (split_range){&d->train, 0, samples - apart};
    d->splits[QD_SPLIT_VALIDATION] = own ? (split_range){&d->validation, 0, d->validation.samples}
                                         : (split_range){&d->train, samples - apart, apart};
    d->splits[QD_SPLIT_TEST] = (split_range){&d->test, 0, d->test.samples};
    return 0;
}

int qd_dataset_open(const qd_job *job, qd_dataset **out) {
    qd_dataset *d = calloc(1, sizeof *d);
    if (!d)
        return qd_error_set(QD_ENOMEM, "no memory for the data set");
    d->spec = qd_family_sample_spec(job);
    int rc = qd_source_format_of(job)->open(job, &d->spec, &d->train, &d->validation, &d->test);
    if (!rc)
        rc = split(job, d);
    if (rc) {
        qd_dataset_close(d);
        return rc;
    }
    *out = d;
    return 0;
}

void qd_dataset_close(qd_dataset *d) {
    if (!d)
        return;
    qd_source_close(&d->train);
    qd_source_close(&d->validation);
    qd_source_close(&d->test);
    free(d);
}

int64_t qd_dataset_size(const qd_dataset *d, qd_split split) {
    return d->splits[split].count;
}

const qd_sample_spec *qd_dataset_sample_spec(const qd_dataset *d) {
    return &d->spec;
}

qd_source_memory qd_dataset_memory(const qd_dataset *d) {
    const qd_source *const sources[] = {&d->train, &d->validation, &d->test};
    qd_source_memory sum = {0};
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        const qd_source_memory *one = &sources[i]->memory;
        if (sum.heap + one->opening > sum.opening)
            sum.opening = sum.heap + one->opening;
        sum.heap += one->heap;
        sum.mapped += one->mapped;
    }
    return sum;
}

void qd_dataset_get(const qd_dataset *d, qd_split split, int64_t index, void *input,
                    int32_t *targets) {
    const split_range *range = &d->splits[split];
    range->source->get(range->source->self, range->first + index, input, targets);
}
