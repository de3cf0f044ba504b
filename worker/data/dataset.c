#include "worker/data/dataset.h"

#include <stdlib.h>

#include "runtime/error.h"
#include "worker/data/source.h"

const char *const qd_split_names[QD_SPLITS] = {"train", "validation", "test"};

/* A split is a range of samples of a source. */
typedef struct split_range {
    const qd_source *source;
    int64_t first;
    int64_t count;
} split_range;

struct qd_dataset {
    qd_source train, test;
    split_range splits[QD_SPLITS];
};

static int split(const qd_job *job, qd_dataset *d) {
    int64_t samples = d->train.samples, validation = job->data.validation;
    if (validation >= samples)
        return qd_error_set(QD_ECONFIG,
                            "data.validation %lld leaves none of the %lld samples of %s for "
                            "training; use at most %lld",
                            (long long)validation, (long long)samples, job->data.train_images,
                            (long long)samples - 1);
    if (job->train.batch > samples - validation)
        return qd_error_set(QD_ECONFIG,
                            "train.batch %lld is more than the %lld samples of the training split",
                            (long long)job->train.batch, (long long)(samples - validation));
    d->splits[QD_SPLIT_TRAIN] = (split_range){&d->train, 0, samples - validation};
    d->splits[QD_SPLIT_VALIDATION] = (split_range){&d->train, samples - validation, validation};
    d->splits[QD_SPLIT_TEST] = (split_range){&d->test, 0, d->test.samples};
    return 0;
}

int qd_dataset_open(const qd_job *job, qd_dataset **out) {
    qd_dataset *d = calloc(1, sizeof *d);
    if (!d)
        return qd_error_set(QD_ENOMEM, "no memory for the data set");
    int rc = qd_source_format_of(job)->open(job, &d->train, &d->test);
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
    qd_source_close(&d->test);
    free(d);
}

int64_t qd_dataset_size(const qd_dataset *d, qd_split split) {
    return d->splits[split].count;
}

void qd_dataset_get(const qd_dataset *d, qd_split split, int64_t index, float *features,
                    int32_t *target) {
    const split_range *range = &d->splits[split];
    range->source->get(range->source->self, range->first + index, features, target);
}
