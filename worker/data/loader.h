/*
 * loader.h: the stream of training samples, prefetched by a thread. The stream is endless:
 * position p is sample permute(seed, epoch = p / N, p mod N) of the training split of N samples,
 * so every epoch visits each sample exactly once, and a batch may straddle two epochs. Step s
 * (from 0) takes positions s B .. s B + B - 1, slot k of S the positions s B + k B/S .. + B/S - 1.
 * The cursor of a run is therefore one number, the step, whatever the grid.
 */
#ifndef QD_WORKER_DATA_LOADER_H
#define QD_WORKER_DATA_LOADER_H

#include <stddef.h>

#include "worker/data/batch.h"
#include "worker/data/dataset.h"

typedef struct qd_loader qd_loader;

/* The sample of the training split that stands at stream position p. */
int64_t qd_loader_sample_at(const qd_job *job, int64_t train_samples, int64_t position);

/*
 * Prefetches, from step first_step on, the batches of slots [first_slot, end_slot) in the order
 * step, slot. Starts one thread. dataset and job must outlive it. QD_ENOMEM, QD_EINTERNAL.
 */
int qd_loader_create(const qd_job *job, const qd_dataset *dataset, int first_slot, int end_slot,
                     int64_t first_step, qd_loader **loader);

/* Bytes of the batches that it holds. */
size_t qd_loader_bytes(const qd_job *job, const qd_sample_spec *spec);

/* Ends the thread, too. */
void qd_loader_destroy(qd_loader *loader);

/* The next batch; valid until the next call. Waits for the thread at most deadline_s.
 * QD_ETIMEDOUT; a call after that waits on for the same batch. */
int qd_loader_next(qd_loader *loader, double deadline_s, qd_batch *batch);

#endif
