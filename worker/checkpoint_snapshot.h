/*
 * checkpoint_snapshot.h: a writer's share of the tensors, copied at one step, and how it becomes a
 * safetensors file. Its memory is taken at the first snapshot and used again by all later ones.
 * Threads and folders are not its business: take and write must not run at the same time.
 */
#ifndef QD_WORKER_CHECKPOINT_SNAPSHOT_H
#define QD_WORKER_CHECKPOINT_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/checkpoint_deal.h"
#include "worker/checkpoint_manifest.h"

/* Start with {0}. */
typedef struct qd_checkpoint_snapshot {
    int64_t step;
    qd_checkpoint_piece *pieces;
    qd_stored_slice *slices; /* one for each piece */
    int count, capacity;
    float *data; /* the pieces side by side, as the file has them */
    size_t data_bytes, data_capacity;
} qd_checkpoint_snapshot;

/* Copies what is dealt to writer `index` of `writers`. QD_ENOMEM. */
int qd_checkpoint_snapshot_take(qd_checkpoint_snapshot *snapshot, const qd_state_tensor *tensors,
                                int count, int index, int writers, int64_t step);

/* Bytes of memory that a snapshot takes; only the tensors' shapes are looked at. QD_ENOMEM. */
int qd_checkpoint_snapshot_bytes(const qd_state_tensor *tensors, int count, int index, int writers,
                                 size_t *bytes);

/*
 * Writes it to a new file at path, on disk when this returns. Asks stopped(context) now and then
 * and ends with QD_ECANCELLED when it says so. *file describes what was written; its slices belong
 * to the snapshot. QD_EIO, QD_ENOMEM, QD_EDATA.
 */
int qd_checkpoint_snapshot_write(qd_checkpoint_snapshot *snapshot, const char *path,
                                 bool (*stopped)(void *context), void *context,
                                 qd_stored_file *file);

void qd_checkpoint_snapshot_fini(qd_checkpoint_snapshot *snapshot);

#endif
