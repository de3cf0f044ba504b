/*
 * lanes.h: sixteen floats at a time, as one vector of the compiler's, for loops that it would not
 * vectorise by itself: a sum of floats keeps its order, and the order here is always sixteen
 * partial sums, added up in one tree. So every instruction set (isa.h) gives the same bits.
 */
#ifndef QD_WORKER_CPU_KERNELS_LANES_H
#define QD_WORKER_CPU_KERNELS_LANES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "worker/cpu/kernels/vector_math.h"

enum { QD_LANES = 16 };

typedef float qd_lanes __attribute__((vector_size(QD_LANES * sizeof(float))));

#define QD_LANES_INLINE static inline __attribute__((always_inline))

/* The next sixteen of a row, from any address; behind its end (count < 16) `fill`. Pointers instead
 * of values: a vector can't be passed by value between functions of different instruction sets. */
QD_LANES_INLINE void qd_lanes_load_or(qd_lanes *lanes, const float *from, int64_t count,
                                      float fill) {
    if (count >= QD_LANES) {
        memcpy(lanes, from, sizeof *lanes);
    } else {
        *lanes = (qd_lanes){0} + fill;
        memcpy(lanes, from, (size_t)count * sizeof(float));
    }
}

QD_LANES_INLINE void qd_lanes_load(qd_lanes *lanes, const float *from, int64_t count) {
    qd_lanes_load_or(lanes, from, count, 0.0f);
}

/* Adds e^lane of `of` to each lane of sum. */
QD_LANES_INLINE void qd_lanes_add_exp(qd_lanes *sum, const qd_lanes *of) {
    float e[QD_LANES];
    memcpy(e, of, sizeof e);
    for (int i = 0; i < QD_LANES; i++)
        e[i] = qd_expf(e[i]);
    qd_lanes added;
    memcpy(&added, e, sizeof added);
    *sum += added;
}

QD_LANES_INLINE float qd_lanes_sum(const qd_lanes *lanes) {
    float sum[QD_LANES];
    memcpy(sum, lanes, sizeof sum);
    for (int width = QD_LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            sum[i] += sum[i + width];
    return sum[0];
}

/* The greatest of a row. A NaN in it may get lost. */
QD_LANES_INLINE float qd_lanes_row_max(const float *x, int64_t count) {
    float max[QD_LANES];
    for (int l = 0; l < QD_LANES; l++)
        max[l] = x[0];
    int64_t whole = count / QD_LANES * QD_LANES;
    for (int64_t i = 0; i < whole; i += QD_LANES)
        for (int l = 0; l < QD_LANES; l++)
            max[l] = x[i + l] > max[l] ? x[i + l] : max[l];
    float row = max[0];
    for (int l = 1; l < QD_LANES; l++)
        row = max[l] > row ? max[l] : row;
    for (int64_t i = whole; i < count; i++)
        row = x[i] > row ? x[i] : row;
    return row;
}

/* Sum of e^(x - max) over a row. */
QD_LANES_INLINE float qd_lanes_row_exp_sum(const float *x, int64_t count, float max) {
    qd_lanes sum = {0}, v;
    for (int64_t i = 0; i < count; i += QD_LANES) {
        qd_lanes_load_or(&v, x + i, count - i, -INFINITY);
        v -= max;
        qd_lanes_add_exp(&sum, &v);
    }
    return qd_lanes_sum(&sum);
}

#endif
