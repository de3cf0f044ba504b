/* Any bytes as a safetensors file: refused, or tensors that tile the data part exactly. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "worker/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    qd_safetensors file;
    uint64_t at = 0;
    if (qd_safetensors_parse("input", bytes, length, length, &file))
        return 0;
    for (int i = 0; i < file.count; i++) {
        const qd_safetensor *t = &file.tensors[i];
        uint64_t size = sizeof(float);
        for (int d = 0; d < t->shape.dims; d++)
            size *= (uint64_t)t->shape.dim[d];
        if (t->begin != at || t->end - t->begin != size)
            abort();
        at = t->end;
    }
    if (file.data_begin + at != length)
        abort();
    qd_safetensors_fini(&file);
    return 0;
}
