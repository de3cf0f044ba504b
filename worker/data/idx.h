/*
 * idx.h: reads IDX files, the format of MNIST and its relatives (Y. LeCun, C. Cortes,
 * C. Burges, "The MNIST database of handwritten digits"), plain or compressed by gzip. Unsigned
 * bytes only. What the numbers mean is not its business.
 */
#ifndef QD_WORKER_DATA_IDX_H
#define QD_WORKER_DATA_IDX_H

#include <stddef.h>
#include <stdint.h>

enum { QD_IDX_MAX_DIMS = 4 };

typedef struct qd_idx {
    int dims;
    int64_t dim[QD_IDX_MAX_DIMS];
    uint8_t *bytes; /* [dim 0, dim 1, ...], row-major */
    size_t length;  /* product of the dimensions */
} qd_idx;

/*
 * Reads the file at path, which must hold an array of unsigned bytes of exactly `dims` dimensions
 * (1 .. QD_IDX_MAX_DIMS), each at least 1, and nothing behind it. what: plural of what dimension 0
 * counts ("images"), for messages. *idx belongs to the caller (qd_idx_fini) and is untouched on
 * error. Memory is taken only after the announced size was found possible for the file's own.
 * Positions in messages count uncompressed bytes unless they say otherwise. QD_EIO, QD_EDATA,
 * QD_ENOMEM.
 */
int qd_idx_read(const char *path, int dims, const char *what, qd_idx *idx);

void qd_idx_fini(qd_idx *idx);

#endif
