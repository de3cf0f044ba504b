/* Any bytes as an IDX file: read or refused, never a crash or memory beyond what was announced. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "worker/data/idx.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    char path[64];
    qd_idx idx;
    int fd = memfd_create("idx", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes, length) != (ssize_t)length)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (int dims = 1; dims <= 3; dims += 2) {
        if (qd_idx_read(path, dims, "images", &idx))
            continue;
        uint8_t last = idx.bytes[idx.length - 1]; /* the announced memory is all there */
        __asm__ volatile("" : : "r"(last));
        qd_idx_fini(&idx);
    }
    close(fd);
    return 0;
}
