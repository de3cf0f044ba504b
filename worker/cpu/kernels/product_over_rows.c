#include <string.h>

#include "runtime/align.h"
#include "worker/cpu/kernels/product.h"

/*
 * Of results with few columns or rows the library takes operands as they lie, walking down columns
 * that may be pages apart: measured with oneDNN 2.6 on AVX2 over 1024 rows, [1024, 256] at 28
 * GFLOP/s and [384, 384] at 56, with panels of packed rows at 62 and 64. Larger ones it packs
 * itself. Rows are packed to a stride that is no multiple of a kibibyte, so that columns don't meet
 * in few sets of a cache, and as many at a time as stay in it.
 */
enum { PANEL = 256, FEW_SETS = 256, LEAST_EXTENT = 16 };
enum { NARROW = 256, SMALL_RESULT = 384 * 768 };

static bool packs(int64_t m, int64_t n) {
    int64_t least = m < n ? m : n;
    return least >= LEAST_EXTENT && (least <= NARROW || m * n <= SMALL_RESULT);
}

static int64_t packed_stride(int64_t width) {
    int64_t stride = qd_align_floats(width);
    return stride % FEW_SETS == 0 ? stride + QD_ALIGN_FLOATS : stride;
}

int64_t QD_CPU(product_over_rows_scratch)(int64_t m, int64_t n, int64_t rows) {
    return packs(m, n) ? (rows < PANEL ? rows : PANEL) * (packed_stride(m) + packed_stride(n)) : 0;
}

/* Rows [first, first + rows) of the operand, packed. */
static qd_operand pack_panel(const qd_operand *operand, int64_t width, int64_t first, int64_t rows,
                             float *scratch) {
    int64_t stride = operand->stride ? operand->stride : width, packed = packed_stride(width);
    const float *from = operand->tensor.wide + operand->first + first * stride;
    for (int64_t i = 0; i < rows; i++)
        memcpy(scratch + i * packed, from + i * stride, (size_t)width * sizeof *from);
    return (qd_operand){
        .tensor.wide = scratch, .transposed = operand->transposed, .stride = packed};
}

int QD_CPU(product_over_rows)(qd_backend_context *context, int64_t m, int64_t n, int64_t rows,
                              qd_operand a, qd_operand b, qd_product c, float *scratch) {
    int rc = 0;
    a.transposed = true;
    if (!a.tensor.wide || !packs(m, n))
        return QD_CPU(product)(context, m, n, rows, a, b, c);
    for (int64_t first = 0; first < rows && !rc; first += PANEL) {
        int64_t count = rows - first < PANEL ? rows - first : PANEL;
        qd_operand of_a = pack_panel(&a, m, first, count, scratch);
        qd_operand of_b = pack_panel(&b, n, first, count, scratch + count * packed_stride(m));
        rc = QD_CPU(product)(context, m, n, count, of_a, of_b, c);
        c.beta = 1;
    }
    return rc;
}
