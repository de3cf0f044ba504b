/*
 * onednn_bf16.h: products of bf16 matrices with sums in float, by oneDNN. A primitive is made for
 * each shape when it is first asked for, and kept: after the first step nothing is made.
 */
#ifndef QD_WORKER_CPU_ONEDNN_BF16_H
#define QD_WORKER_CPU_ONEDNN_BF16_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/cpu/onednn.h"

typedef uint16_t qd_bf16; /* the upper half of a float */

/* A matrix operand, as qd_matrix. */
typedef struct qd_matrix16 {
    const qd_bf16 *data;
    bool transposed;
    int64_t stride;
} qd_matrix16;

typedef struct qd_bf16_products qd_bf16_products;

/* threads: of each product. QD_ENOMEM, QD_EINTERNAL. */
int qd_bf16_products_create(int threads, qd_bf16_products **products);
void qd_bf16_products_destroy(qd_bf16_products *products);

/* C[m, n] = A[m, k] B[k, n] + beta C, beta 0 or 1. The processor must know bf16
 * (QD_ISA_AVX512_BF16). QD_EINTERNAL, QD_ENOMEM. */
int qd_bf16_product(qd_bf16_products *products, int64_t m, int64_t n, int64_t k, qd_matrix16 a,
                    qd_matrix16 b, qd_product c);

#endif
