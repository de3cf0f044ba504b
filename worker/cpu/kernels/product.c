#include "worker/cpu/kernels/product.h"

#include "runtime/align.h"

#include <string.h>

static bool knows_bf16(const qd_backend_context *context) {
    return context->isa >= QD_ISA_AVX512_BF16;
}

/* To the nearest, ties to even; a NaN stays one. */
static inline __attribute__((always_inline)) uint32_t rounded_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
    return x == x ? rounded : bits | 0x400000u;
}

void QD_CPU(narrow)(qd_bf16 *restrict to, const float *restrict from, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        to[i] = (qd_bf16)(rounded_bits(from[i]) >> 16);
}

static void round_floats(float *restrict to, const float *restrict from, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = rounded_bits(from[i]) & 0xffff0000u;
        memcpy(&to[i], &bits, sizeof bits);
    }
}

int QD_CPU(product)(qd_backend_context *context, int64_t m, int64_t n, int64_t k, qd_operand a,
                    qd_operand b, qd_product c) {
    if (a.tensor.wide)
        return qd_onednn_sgemm(context->threads, m, n, k,
                               (qd_matrix){a.tensor.wide + a.first, a.transposed, a.stride},
                               (qd_matrix){b.tensor.wide + b.first, b.transposed, b.stride}, c);
    return qd_bf16_product(context->products, m, n, k,
                           (qd_matrix16){a.tensor.narrow + a.first, a.transposed, a.stride},
                           (qd_matrix16){b.tensor.narrow + b.first, b.transposed, b.stride}, c);
}

bool QD_CPU(takes_narrow)(const qd_backend_context *context, const qd_graph *graph) {
    return graph->precision == QD_PRECISION_BF16 && knows_bf16(context);
}

int64_t QD_CPU(take_scratch)(const qd_backend_context *context, const qd_graph *graph,
                             int64_t count) {
    if (graph->precision == QD_PRECISION_FP32)
        return 0;
    return qd_align_floats(knows_bf16(context) ? (count + 1) / 2 : count);
}

qd_tensor QD_CPU(place)(const qd_backend_context *context, const qd_graph *graph, const float *x,
                        float *scratch) {
    if (graph->precision == QD_PRECISION_FP32)
        return (qd_tensor){.wide = x};
    if (knows_bf16(context))
        return (qd_tensor){.narrow = (const qd_bf16 *)(const void *)scratch};
    return (qd_tensor){.wide = scratch};
}

void QD_CPU(take_at)(const qd_backend_context *context, const qd_graph *graph, const float *x,
                     int64_t first, int64_t count, float *scratch) {
    if (QD_CPU(takes_narrow)(context, graph))
        QD_CPU(narrow)((qd_bf16 *)(void *)scratch + first, x + first, count);
    else if (graph->precision == QD_PRECISION_BF16)
        round_floats(scratch + first, x + first, count);
}

qd_tensor QD_CPU(take)(const qd_backend_context *context, const qd_graph *graph, const float *x,
                       int64_t count, float **scratch) {
    qd_tensor taken = QD_CPU(place)(context, graph, x, *scratch);
    QD_CPU(take_at)(context, graph, x, 0, count, *scratch);
    *scratch += QD_CPU(take_scratch)(context, graph, count);
    return taken;
}

/* Where the products take floats, bf16 travels behind them. */
int64_t QD_CPU(gather_scratch)(const qd_backend_context *context, const qd_graph *graph,
                               qd_rows rows) {
    int64_t count = rows.whole * rows.width, narrow = qd_align_floats((count + 1) / 2);
    if (!rows.shared)
        return 0;
    if (QD_CPU(takes_narrow)(context, graph))
        return narrow;
    return qd_align_floats(count) + (graph->precision == QD_PRECISION_BF16 ? narrow : 0);
}

static void widen(float *restrict to, const qd_bf16 *restrict from, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)from[i] << 16;
        memcpy(&to[i], &bits, sizeof bits);
    }
}

int QD_CPU(gather)(const qd_backend_context *context, const qd_graph *graph, const float *x,
                   qd_rows rows, const qd_tensor_exchange *exchange, float *scratch,
                   qd_tensor *taken) {
    int64_t own = rows.first * rows.width, held = rows.count * rows.width;
    int64_t count = rows.whole * rows.width;
    if (graph->precision == QD_PRECISION_FP32) {
        *taken = (qd_tensor){.wide = scratch};
        memcpy(scratch + own, x, (size_t)held * sizeof *x);
        return exchange->gather_rows(exchange->context, scratch, rows.whole,
                                     rows.width * (int64_t)sizeof *x);
    }
    bool takes_narrow = QD_CPU(takes_narrow)(context, graph);
    qd_bf16 *narrow =
        (qd_bf16 *)(void *)(takes_narrow ? scratch : scratch + qd_align_floats(count));
    QD_CPU(narrow)(narrow + own, x, held);
    int rc = exchange->gather_rows(exchange->context, narrow, rows.whole,
                                   rows.width * (int64_t)sizeof *narrow);
    if (!rc && !takes_narrow)
        widen(scratch, narrow, count);
    *taken = takes_narrow ? (qd_tensor){.narrow = narrow} : (qd_tensor){.wide = scratch};
    return rc;
}

qd_tensor QD_CPU(pack)(qd_tensor from, int64_t rows, int64_t stride, int64_t first, int64_t width,
                       float *scratch) {
    qd_bf16 *narrow = (qd_bf16 *)(void *)scratch;
    if (from.wide) {
        QD_CPU(pack_floats)(scratch, from.wide, rows, stride, first, width);
        return (qd_tensor){.wide = scratch};
    }
    for (int64_t i = 0; i < rows; i++)
        memcpy(narrow + i * width, from.narrow + i * stride + first,
               (size_t)width * sizeof *narrow);
    return (qd_tensor){.narrow = narrow};
}

void QD_CPU(pack_floats)(float *packed, const float *from, int64_t rows, int64_t stride,
                         int64_t first, int64_t width) {
    for (int64_t i = 0; i < rows; i++)
        memcpy(packed + i * width, from + i * stride + first, (size_t)width * sizeof *packed);
}

void QD_CPU(unpack_floats)(float *to, const float *packed, int64_t rows, int64_t stride,
                           int64_t first, int64_t width, bool adds) {
    for (int64_t i = 0; i < rows; i++)
        QD_CPU(hand_on)(to + i * stride + first, packed + i * width, width, adds);
}

int64_t QD_CPU(take_param_scratch)(const qd_backend_context *context, const qd_graph *graph,
                                   int64_t count) {
    return knows_bf16(context) ? 0 : QD_CPU(take_scratch)(context, graph, count);
}

qd_tensor QD_CPU(take_param)(const qd_backend_context *context, const qd_graph *graph,
                             const float *wide, const void *narrow, int64_t count,
                             float **scratch) {
    if (QD_CPU(takes_narrow)(context, graph))
        return (qd_tensor){.narrow = narrow};
    return QD_CPU(take)(context, graph, wide, count, scratch);
}
