/*
 * source.h: what a file format offers to the data set: samples by index, ready to train on. A new
 * format is one file with an open function, one row in source.c and one word in models/job.c.
 * Splits, shuffling and batches are not its business.
 */
#ifndef QD_WORKER_DATA_SOURCE_H
#define QD_WORKER_DATA_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "models/family.h"

/* Bytes of memory that an open source takes. */
typedef struct qd_source_memory {
    size_t heap;    /* as long as it is open */
    size_t opening; /* the most at once while it was opened, heap included */
    size_t mapped;  /* of mapped files, which were read whole when they were checked */
} qd_source_memory;

/* The samples of one file or pair of files, checked completely. All zero: not open. */
typedef struct qd_source {
    int64_t samples;
    qd_source_memory memory; /* 0 where another source of the same file counts it */
    void *self;
    /* Sample index (0 .. samples-1), normalised, to input and targets, as the sample spec says;
     * targets of another dtype than int32 take the same slots of four bytes. Any thread. */
    void (*get)(const void *self, int64_t index, void *input, int32_t *targets);
    void (*close)(void *self);
} qd_source;

typedef struct qd_source_format {
    const char *name;
    /* Opens the job's files. A validation source that stays unopened leaves it to the data set to
     * set data.validation samples of the training files apart; an unopened test source is an empty
     * split. On error none is open. QD_EDATA, QD_EIO, QD_ENOMEM; QD_ECONFIG when samples or labels
     * do not fit the job's model. */
    int (*open)(const qd_job *job, const qd_sample_spec *spec, qd_source *train,
                qd_source *validation, qd_source *test);
} qd_source_format;

extern const qd_source_format qd_source_idx;
extern const qd_source_format qd_source_text;
extern const qd_source_format qd_source_tokens;
extern const qd_source_format qd_source_npy;
extern const qd_source_format qd_source_csv;
extern const qd_source_format qd_source_lines;

const qd_source_format *qd_source_format_of(const qd_job *job);

/* Closes an open source; does nothing to one that is not. */
void qd_source_close(qd_source *source);

#endif
