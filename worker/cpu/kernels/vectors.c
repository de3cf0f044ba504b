/* Passes over vectors that several operators, and the backend's table, need. */
#include <string.h>

#include "worker/cpu/kernels/kernels.h"

void QD_CPU(add_floats)(float *restrict into, const float *restrict from, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        into[i] += from[i];
}

void QD_CPU(hand_on)(float *restrict dx, const float *restrict dy, int64_t count, bool adds) {
    if (adds)
        QD_CPU(add_floats)(dx, dy, count);
    else
        memcpy(dx, dy, (size_t)count * sizeof *dx);
}
