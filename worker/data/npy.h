/*
 * npy.h: reads NumPy's .npy files (numpy.lib.format), format versions 1.0, 2.0 and 3.0: arrays in C
 * order of little-endian numbers. What the numbers mean is not its business.
 */
#ifndef QD_WORKER_DATA_NPY_H
#define QD_WORKER_DATA_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { QD_NPY_MAX_DIMS = 32 };

typedef enum { QD_NPY_F4, QD_NPY_F8, QD_NPY_U1, QD_NPY_I4, QD_NPY_I8 } qd_npy_dtype;

typedef struct qd_npy {
    qd_npy_dtype dtype;
    int dims; /* at least 1 */
    int64_t dim[QD_NPY_MAX_DIMS];
    int64_t length;      /* elements: the product of the dimensions, at least 1 */
    const uint8_t *data; /* within the bytes it was parsed from */
} qd_npy;

/* Parses a whole file's bytes. path: for messages, which name the byte. *npy is untouched on error.
 * QD_EDATA. */
int qd_npy_parse(const char *path, const uint8_t *bytes, size_t size, qd_npy *npy);

/* "<f4" */
const char *qd_npy_dtype_name(qd_npy_dtype dtype);

bool qd_npy_is_whole(qd_npy_dtype dtype);

/* Element index (0 .. length-1). Integers beyond 2^53 are rounded. */
double qd_npy_at(const qd_npy *npy, int64_t index);

#endif
