#include "worker/cpu/onednn.h"

#include <inttypes.h>
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>

#include "runtime/error.h"

/* dnnl_sgemm is the same in 2 and 3; primitives and descriptors are what changed between them. */
#if DNNL_VERSION_MAJOR < 2 || DNNL_VERSION_MAJOR > 3
#error "oneDNN 2 or 3 is needed"
#endif

int qd_onednn_limit_isa(qd_isa isa) {
    static const dnnl_cpu_isa_t limits[QD_ISA_KINDS] = {
        [QD_ISA_AVX2] = dnnl_cpu_isa_avx2,
        [QD_ISA_AVX512] = dnnl_cpu_isa_avx512_core,
        [QD_ISA_AVX512_BF16] = dnnl_cpu_isa_avx512_core_bf16,
        [QD_ISA_AMX_BF16] = dnnl_cpu_isa_all,
    };
    dnnl_status_t status = dnnl_set_max_cpu_isa(limits[isa]);
    /* invalid_arguments: the library has looked at the processor already, or was built without. */
    if (status != dnnl_success && status != dnnl_invalid_arguments && status != dnnl_unimplemented)
        return qd_error_set(QD_EINTERNAL, "oneDNN refused the instruction set %s with status %d",
                            qd_isa_names[isa], (int)status);
    return 0;
}

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

enum { SIDE = 64 };

int qd_onednn_make_sgemm(int threads) {
    static const bool forms[][2] = {{false, false}, {false, true}, {true, false}};
    float *m = calloc(3 * SIDE * SIDE, sizeof *m);
    if (!m)
        return qd_error_set(QD_ENOMEM, "no memory for a product");
    int rc = 0;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0] && !rc; i++)
        for (int beta = 0; beta < 2 && !rc; beta++)
            rc = qd_onednn_sgemm(threads, SIDE, SIDE, SIDE,
                                 (qd_matrix){.data = m, .transposed = forms[i][0]},
                                 (qd_matrix){.data = m + SIDE * SIDE, .transposed = forms[i][1]},
                                 (qd_product){.data = m + 2 * SIDE * SIDE, .beta = (float)beta});
    free(m);
    return rc;
}
