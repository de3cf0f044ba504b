#include <string.h>

#include "worker/cpu/kernels/kernels.h"
#include "worker/cpu/kernels/lanes.h"

typedef double double_lanes __attribute__((vector_size(QD_LANES * sizeof(double))));

double QD_CPU(norm_squared)(const float *x, int64_t count) {
    return QD_CPU(norm_squared_of)(x, 1, count, count);
}

/* In double, no square of a float over- or underflows. */
double QD_CPU(norm_squared_of)(const float *x, int64_t rows, int64_t columns, int64_t stride) {
    double_lanes sum = {0};
    for (int64_t row = 0; row < rows; row++, x += stride)
        for (int64_t i = 0; i < columns; i += QD_LANES) {
            qd_lanes v;
            qd_lanes_load(&v, x + i, columns - i);
            double_lanes d = __builtin_convertvector(v, double_lanes);
            sum += d * d;
        }
    double lanes[QD_LANES];
    memcpy(lanes, &sum, sizeof lanes);
    for (int width = QD_LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            lanes[i] += lanes[i + width];
    return lanes[0];
}
