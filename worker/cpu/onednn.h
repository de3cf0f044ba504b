/*
 * onednn.h: matrix products by oneDNN. The only door to that library, so that its changes of
 * interface between releases stay behind one file. Not for anything our own loops can do.
 */
#ifndef QD_WORKER_CPU_ONEDNN_H
#define QD_WORKER_CPU_ONEDNN_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/isa.h"

/* Holds the library to an instruction set; before its first use in the process, as a later call
 * changes nothing. QD_EINTERNAL. */
int qd_onednn_limit_isa(qd_isa isa);

/* Runs a small product in each form that training has, so that the library makes its kernels now
 * (4 MiB, for all shapes), and not in the first step. QD_ENOMEM, QD_EINTERNAL. */
int qd_onednn_make_sgemm(int threads);

/* A matrix operand, stored row-major. */
typedef struct qd_matrix {
    const float *data;
    bool transposed; /* the product takes the transpose of what is stored */
    int64_t stride;  /* floats from one stored row to the next; 0: rows follow without gaps */
} qd_matrix;

/* Where a product goes, row-major; stride as above. */
typedef struct qd_product {
    float *data;
    int64_t stride;
    float beta; /* what of the old contents is kept: 0, which does not read them, or 1 */
} qd_product;

/*
 * C[m, n] = A[m, k] B[k, n] + beta C. Sizes are those of the product, so a transposed A is stored
 * [k, m]. For one shape and one number of threads (>= 1) the bits of C depend on A, B and C alone.
 * QD_EINTERNAL.
 */
int qd_onednn_sgemm(int threads, int64_t m, int64_t n, int64_t k, qd_matrix a, qd_matrix b,
                    qd_product c);

#endif
