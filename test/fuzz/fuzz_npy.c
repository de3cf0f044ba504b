/* Any bytes as an .npy file: refused, or an array whose elements are all there. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "worker/data/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    qd_npy npy;
    int64_t elements = 1;
    if (qd_npy_parse("input", bytes, length, &npy))
        return 0;
    if (npy.dims < 1 || npy.dims > QD_NPY_MAX_DIMS)
        abort();
    for (int d = 0; d < npy.dims; d++)
        elements *= npy.dim[d];
    if (elements != npy.length)
        abort();
    for (int64_t i = 0; i < npy.length; i++) {
        double value = qd_npy_at(&npy, i);
        __asm__ volatile("" : : "x"(value));
    }
    return 0;
}
