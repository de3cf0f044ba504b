/*
 * matrix_parts.h: a matrix of which the members of a tensor group have a part each, some of its
 * rows or some of its columns, put together on all of them; for worker/cpu/kernels/update_muon.c.
 */
#ifndef QD_WORKER_CPU_MATRIX_PARTS_H
#define QD_WORKER_CPU_MATRIX_PARTS_H

#include "worker/optimizer.h"

/*
 * Where the caller writes its part, row-major, before qd_matrix_unite: in `whole`, which is to
 * become the matrix [rows, columns], or in `other`, of the same size. Both are aligned to 64 bytes.
 */
float *qd_matrix_own_part(const qd_optimizer_tensor *tensor, float *whole, float *other);

/* Gathers the parts of all members into `whole`. Waits; errors are the exchange's. */
int qd_matrix_unite(const qd_optimizer_tensor *tensor, float *whole, float *other);

/* A part of the whole matrix: `rows` runs of `columns`, in the matrix `stride` apart from `first`
 * on, and in the part one behind the other. */
typedef struct qd_matrix_runs {
    int64_t first, rows, columns, stride;
} qd_matrix_runs;

qd_matrix_runs qd_matrix_runs_of(const qd_optimizer_tensor *tensor);

#endif
