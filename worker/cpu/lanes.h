/*
 * lanes.h: sixteen floats at a time, as one vector of the compiler's, for loops that it would not
 * vectorise by itself: a sum of floats keeps its order, and the order here is always sixteen
 * partial sums, added up in one tree. So every instruction set (clones.h) gives the same bits.
 */
#ifndef QD_WORKER_CPU_LANES_H
#define QD_WORKER_CPU_LANES_H

#include <stdint.h>
#include <string.h>

enum { QD_LANES = 16 };

typedef float qd_lanes __attribute__((vector_size(QD_LANES * sizeof(float))));

#define QD_LANES_INLINE static inline __attribute__((always_inline))

/* The next sixteen of a row, from any address; behind its end (count < 16) zeros. Pointers instead
 * of values: a vector can't be passed by value between functions of different instruction sets. */
QD_LANES_INLINE void qd_lanes_load(qd_lanes *lanes, const float *from, int64_t count) {
    if (count >= QD_LANES) {
        memcpy(lanes, from, sizeof *lanes);
    } else {
        *lanes = (qd_lanes){0};
        memcpy(lanes, from, (size_t)count * sizeof(float));
    }
}

QD_LANES_INLINE float qd_lanes_sum(const qd_lanes *lanes) {
    float sum[QD_LANES];
    memcpy(sum, lanes, sizeof sum);
    for (int width = QD_LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            sum[i] += sum[i + width];
    return sum[0];
}

#endif
