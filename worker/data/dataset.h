/*
 * dataset.h: samples on the host, read by global sample index. A source checks its files
 * completely when it is opened; errors name file and position, before a step runs.
 */
#ifndef QD_WORKER_DATA_DATASET_H
#define QD_WORKER_DATA_DATASET_H

#include <stdint.h>

#include "models/family.h"
#include "worker/data/source.h"

typedef enum { QD_SPLIT_TRAIN, QD_SPLIT_VALIDATION, QD_SPLIT_TEST, QD_SPLITS } qd_split;

/* "train", "validation", "test" */
extern const char *const qd_split_names[QD_SPLITS];

typedef struct qd_dataset qd_dataset;

/*
 * Opens the job's data and splits it: where the format has no validation files of its own, the last
 * data.validation samples of the training file are the validation split. QD_EDATA (file, position,
 * what is wrong), QD_EIO, QD_ENOMEM, QD_ECONFIG (the job asks for something the data does not have:
 * other width, more classes, too many validation samples, a batch larger than the training split).
 */
int qd_dataset_open(const qd_job *job, qd_dataset **dataset);
void qd_dataset_close(qd_dataset *dataset);

int64_t qd_dataset_size(const qd_dataset *dataset, qd_split split);

/* What its samples are; the same as qd_family_sample_spec of the job. */
const qd_sample_spec *qd_dataset_sample_spec(const qd_dataset *dataset);

/* Bytes of memory that it takes: as those of its sources (source.h), opened one after the other. */
qd_source_memory qd_dataset_memory(const qd_dataset *dataset);

/* Copies sample `index` of the split, normalised, to input and targets. Any thread. */
void qd_dataset_get(const qd_dataset *dataset, qd_split split, int64_t index, void *input,
                    int32_t *targets);

#endif
