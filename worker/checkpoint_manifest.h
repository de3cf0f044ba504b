/*
 * checkpoint_manifest.h: what the JSON files of a checkpoint say: the manifest of the whole, and
 * the sidecar of each writer's file. Both carry a checksum of themselves. The tensors' bytes are
 * not its business.
 */
#ifndef QD_WORKER_CHECKPOINT_MANIFEST_H
#define QD_WORKER_CHECKPOINT_MANIFEST_H

#include <stdint.h>

#include "worker/checkpoint.h"
#include "worker/safetensors.h"
#include "worker/slice.h"
#include "worker/state.h"

/* A slice of a tensor as a file stores it, under the tensor's name. */
typedef struct qd_stored_slice {
    char name[QD_STATE_NAME_BYTES];
    qd_slice slice;
    uint64_t checksum; /* of its bytes */
} qd_stored_slice;

/* What slice i of a file is called in it: the tensor's name, and for the second slice of a tensor
 * and those behind it a number, too: "NAME#1". */
void qd_stored_slice_name(const qd_stored_slice *slices, int i,
                          char name[QD_SAFETENSORS_NAME_BYTES]);

/* A writer's safetensors file. */
typedef struct qd_stored_file {
    uint64_t bytes; /* its size */
    qd_stored_slice *slices;
    int count;
} qd_stored_file;

typedef struct qd_manifest {
    int64_t step;
    char *job_text; /* the resolved job */
    qd_checkpoint_origin origin;
    qd_stored_file *files; /* of writer 0, 1, ... */
    int file_count;
} qd_manifest;

/* FOLDER/writer-NNN.json, on disk when this returns. QD_EIO, QD_ENOMEM, QD_EDATA. */
int qd_sidecar_write(const char *folder, int index, int64_t step, const qd_stored_file *file);

/* Reads and checks it; it must be of that step. *file belongs to the caller
 * (qd_stored_file_fini), untouched on error. QD_EIO, QD_EDATA, QD_ENOMEM. */
int qd_sidecar_read(const char *folder, int index, int64_t step, qd_stored_file *file);

void qd_stored_file_fini(qd_stored_file *file);

/* FOLDER/manifest.json, on disk when this returns. QD_EIO, QD_ENOMEM, QD_EDATA. */
int qd_manifest_write(const char *folder, const qd_manifest *manifest);

/* Reads and checks it. *manifest belongs to the caller (qd_manifest_fini), untouched on error.
 * QD_EIO, QD_EDATA, QD_ENOMEM. */
int qd_manifest_read(const char *folder, qd_manifest *manifest);

void qd_manifest_fini(qd_manifest *manifest);

/* Whether writer `index`'s file in folder has the size that file says. QD_EIO, QD_EDATA. */
int qd_stored_file_check_size(const char *folder, int index, const qd_stored_file *file);

#endif
