#include <string.h>

#include "worker/cpu/kernels/kernels.h"
#include "worker/cpu/kernels/lanes.h"

/* The lanes as four vectors: one of sixteen doubles is kept in memory on AVX2, at a sixth of the
 * speed. */
enum { QUARTER = QD_LANES / 4 };

typedef float float_quarter __attribute__((vector_size(QUARTER * sizeof(float))));
typedef double double_quarter __attribute__((vector_size(QUARTER * sizeof(double))));

/* Sixteen partial sums of squares; in double, no square of a float over- or underflows. */
QD_LANES_INLINE void add_squares(double_quarter sums[4], const float *x) {
    for (int k = 0; k < 4; k++) {
        float_quarter v;
        memcpy(&v, x + k * QUARTER, sizeof v);
        double_quarter d = __builtin_convertvector(v, double_quarter);
        sums[k] += d * d;
    }
}

double QD_CPU(norm_squared)(const float *x, int64_t count) {
    return QD_CPU(norm_squared_of)(x, 1, count, count);
}

double QD_CPU(norm_squared_of)(const float *x, int64_t rows, int64_t columns, int64_t stride) {
    double_quarter sums[4] = {{0}, {0}, {0}, {0}};
    for (int64_t row = 0; row < rows; row++, x += stride) {
        int64_t i = 0;
        for (; i + QD_LANES <= columns; i += QD_LANES)
            add_squares(sums, x + i);
        if (i < columns) {
            float rest[QD_LANES] = {0};
            memcpy(rest, x + i, (size_t)(columns - i) * sizeof *rest);
            add_squares(sums, rest);
        }
    }
    double lanes[QD_LANES];
    memcpy(lanes, sums, sizeof lanes);
    for (int width = QD_LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            lanes[i] += lanes[i + width];
    return lanes[0];
}
