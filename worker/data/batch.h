/* batch.h: the samples of one data slot, in the order of their position in the stream. */
#ifndef QD_WORKER_DATA_BATCH_H
#define QD_WORKER_DATA_BATCH_H

#include <stdint.h>

typedef struct qd_batch {
    const float *samples;   /* [n, features], 64-byte aligned */
    const int32_t *targets; /* [n] */
} qd_batch;

#endif
