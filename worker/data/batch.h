/* batch.h: the samples of one data slot, in the order of their position in the stream. */
#ifndef QD_WORKER_DATA_BATCH_H
#define QD_WORKER_DATA_BATCH_H

#include <stdint.h>

/* Shapes as the qd_sample_spec of the job's family says (models/family.h). */
typedef struct qd_batch {
    const void *samples;    /* [n, inputs] of float or int32, 64-byte aligned */
    const int32_t *targets; /* [n, targets]; of float where the spec says so, in the same slots */
} qd_batch;

#endif
