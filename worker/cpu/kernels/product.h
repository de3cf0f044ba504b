/*
 * product.h: products of matrices in the precision of the graph: floats, or bf16 with sums in
 * float. Where the processor does not know bf16, floats that were rounded to it take its place: a
 * product of two of them is exact in float, so that only the order of the sums differs.
 */
#ifndef QD_WORKER_CPU_KERNELS_PRODUCT_H
#define QD_WORKER_CPU_KERNELS_PRODUCT_H

#include "worker/cpu/kernels/kernels.h"
#include "worker/cpu/kernels/rows.h"
#include "worker/cpu/onednn_bf16.h"
#include "worker/tensor_exchange.h"

/* A matrix as the products of this graph take it: one of the two is set. */
typedef struct qd_tensor {
    const float *wide;
    const qd_bf16 *narrow;
} qd_tensor;

typedef struct qd_operand {
    qd_tensor tensor;
    int64_t first;   /* element that the matrix begins with */
    bool transposed; /* as in qd_matrix */
    int64_t stride;
} qd_operand;

/* C[m, n] = A[m, k] B[k, n] + beta C. Both operands are of one kind. */
int QD_CPU(product)(qd_backend_context *context, int64_t m, int64_t n, int64_t k, qd_operand a,
                    qd_operand b, qd_product c);

/*
 * C[m, n] = A^T B + beta C for A[rows, m], B[rows, n], as they are stored: what the gradient of a
 * weight is. The scratch is that many floats, and aligned. The bits of C depend on extents, strides
 * and contents alone.
 */
int64_t QD_CPU(product_over_rows_scratch)(int64_t m, int64_t n, int64_t rows);
int QD_CPU(product_over_rows)(qd_backend_context *context, int64_t m, int64_t n, int64_t rows,
                              qd_operand a, qd_operand b, qd_product c, float *scratch);

/* Whether the products of this graph take bf16 itself. */
bool QD_CPU(takes_narrow)(const qd_backend_context *context, const qd_graph *graph);

/* Floats of scratch that qd_cpu_take of that many elements takes. */
int64_t QD_CPU(take_scratch)(const qd_backend_context *context, const qd_graph *graph,
                             int64_t count);

/* x[count] for the products of the graph: as it is, or rounded into the scratch, which moves on. */
qd_tensor QD_CPU(take)(const qd_backend_context *context, const qd_graph *graph, const float *x,
                       int64_t count, float **scratch);

/* The same in parts: where all of x lies once it is taken into the scratch, and the taking of
 * elements [first, first + count) of it. */
qd_tensor QD_CPU(place)(const qd_backend_context *context, const qd_graph *graph, const float *x,
                        float *scratch);
void QD_CPU(take_at)(const qd_backend_context *context, const qd_graph *graph, const float *x,
                     int64_t first, int64_t count, float *scratch);

/* All rows of an x that members share, for the products of the graph: in bf16, rounded before they
 * travel, in two bytes each. It takes that much scratch. QD_E of the exchange. */
int64_t QD_CPU(gather_scratch)(const qd_backend_context *context, const qd_graph *graph,
                               qd_rows rows);
int QD_CPU(gather)(const qd_backend_context *context, const qd_graph *graph, const float *x,
                   qd_rows rows, const qd_tensor_exchange *exchange, float *scratch,
                   qd_tensor *taken);

/* Columns [first, first + width) of the rows, `stride` apart, of a taken tensor side by side in the
 * scratch: a product of them is then the same call whatever lay beside them. A library's way to add
 * up may depend on the stride. Takes no more scratch than as many floats. */
qd_tensor QD_CPU(pack)(qd_tensor from, int64_t rows, int64_t stride, int64_t first, int64_t width,
                       float *scratch);

/* The same of floats, and back to their place, written or added. */
void QD_CPU(pack_floats)(float *packed, const float *from, int64_t rows, int64_t stride,
                         int64_t first, int64_t width);
void QD_CPU(unpack_floats)(float *to, const float *packed, int64_t rows, int64_t stride,
                           int64_t first, int64_t width, bool adds);

/* A parameter likewise; it has been narrowed already where the processor knows bf16. */
int64_t QD_CPU(take_param_scratch)(const qd_backend_context *context, const qd_graph *graph,
                                   int64_t count);
qd_tensor QD_CPU(take_param)(const qd_backend_context *context, const qd_graph *graph,
                             const float *wide, const void *narrow, int64_t count, float **scratch);

#endif
