/*
 * align.h: sizes rounded up so that what follows is aligned. Buffers of numbers start on 64 bytes:
 * a cache line, and the widest vector of an instruction set, so that no sum depends on an address
 * (DESIGN 3.4).
 */
#ifndef QD_RUNTIME_ALIGN_H
#define QD_RUNTIME_ALIGN_H

#include <stddef.h>
#include <stdint.h>

enum { QD_ALIGN_BYTES = 64, QD_ALIGN_FLOATS = 16 };

_Static_assert(QD_ALIGN_BYTES == QD_ALIGN_FLOATS * sizeof(float), "one alignment, counted twice");

/* The least multiple of QD_ALIGN_BYTES that holds so many bytes. */
static inline size_t qd_align_bytes(size_t bytes) {
    return (bytes + QD_ALIGN_BYTES - 1) / QD_ALIGN_BYTES * QD_ALIGN_BYTES;
}

/* The least number of floats, a multiple of QD_ALIGN_FLOATS, that holds so many. */
static inline int64_t qd_align_floats(int64_t floats) {
    return (floats + QD_ALIGN_FLOATS - 1) / QD_ALIGN_FLOATS * QD_ALIGN_FLOATS;
}

#endif
