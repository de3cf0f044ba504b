#include "worker/cpu/onednn.h"

#include <inttypes.h>
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

#include "runtime/error.h"

/* dnnl_sgemm is the same in 2 and 3; primitives and descriptors are what changed between them. */
#if DNNL_VERSION_MAJOR < 2 || DNNL_VERSION_MAJOR > 3
#error "oneDNN 2 or 3 is needed"
#endif

static int64_t stride_of(qd_matrix matrix, int64_t rows, int64_t columns) {
    if (matrix.stride)
        return matrix.stride;
    return matrix.transposed ? rows : columns;
}

int qd_onednn_sgemm(int threads, int64_t m, int64_t n, int64_t k, qd_matrix a, qd_matrix b,
                    qd_product c) {
    /* It holds for the calling thread only and costs a store, so each call says it. */
    omp_set_num_threads(threads);
    dnnl_status_t status = dnnl_sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', m, n, k,
                                      1.0f, a.data, stride_of(a, m, k), b.data, stride_of(b, k, n),
                                      c.beta, c.data, c.stride ? c.stride : n);
    if (status != dnnl_success)
        return qd_error_set(QD_EINTERNAL,
                            "oneDNN refused a product [%" PRId64 ", %" PRId64 "] x [%" PRId64
                            ", %" PRId64 "] with status %d",
                            m, k, k, n, (int)status);
    return 0;
}
