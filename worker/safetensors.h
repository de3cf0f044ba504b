/*
 * safetensors.h: the header of a safetensors file (format: huggingface/safetensors, README:
 * u64 length, JSON header, data), written and read with every claim checked. float32 tensors only.
 * What the data must be, and where in a larger tensor it belongs, is not its business.
 */
#ifndef QD_WORKER_SAFETENSORS_H
#define QD_WORKER_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "models/graph.h"
#include "runtime/text.h"

/* Longest JSON header, bytes: the format's own limit. */
#define QD_SAFETENSORS_MAX_HEADER 100000000

enum { QD_SAFETENSORS_NAME_BYTES = 3 * QD_MAX_NAME };

typedef struct qd_safetensor {
    char name[QD_SAFETENSORS_NAME_BYTES];
    qd_shape shape;
    uint64_t begin, end; /* bytes of the data part: [begin, end) */
} qd_safetensor;

typedef struct qd_safetensors {
    qd_safetensor *tensors; /* ascending by begin, side by side, together the whole data part */
    int count;
    uint64_t data_begin; /* byte of the file at which the data part begins */
    uint64_t data_bytes;
} qd_safetensors;

/*
 * Lays the named and shaped tensors out side by side in the given order (sets begin and end) and
 * adds length and JSON header to out, padded with spaces so that the data begins at a multiple of
 * 64 bytes. Names differ and are UTF-8. QD_ENOMEM, QD_EDATA.
 */
int qd_safetensors_write_header(qd_safetensor *tensors, int count, qd_text *out);

/*
 * Reads the first `length` bytes of a file of file_bytes, which must hold the whole header. path
 * is for messages. Accepted: dtype F32, at most QD_MAX_DIMS dimensions of at least 1, offsets that
 * agree with the shapes and cover the data part without overlap or gap. *out belongs to the caller
 * (qd_safetensors_fini), untouched on error. QD_EDATA, QD_ENOMEM.
 */
int qd_safetensors_parse(const char *path, const void *bytes, size_t length, uint64_t file_bytes,
                         qd_safetensors *out);

/* As parse, from an open file; moves no file position. QD_EIO too. */
int qd_safetensors_read_header(int fd, const char *path, qd_safetensors *out);

/* Reads the tensor's end - begin bytes to data. Moves no file position. QD_EIO, QD_EDATA. */
int qd_safetensors_read_data(int fd, const char *path, const qd_safetensors *file,
                             const qd_safetensor *tensor, void *data);

/* The tensor of that name, or NULL. */
const qd_safetensor *qd_safetensors_find(const qd_safetensors *file, const char *name);

void qd_safetensors_fini(qd_safetensors *file);

#endif
