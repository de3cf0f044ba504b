#include "runtime/heap.h"

#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

void qd_heap_keep(void) {
    mallopt(M_MMAP_THRESHOLD, INT_MAX);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
    mallopt(M_TOP_PAD, QD_HEAP_RESERVE);
    /* Freed at once, it stays at the heap's end. The detour keeps the compiler from leaving out
     * memory that nobody reads. */
    void *(*volatile touch)(void *, int, size_t) = memset;
    void *reserve = malloc(QD_HEAP_RESERVE);
    if (reserve)
        touch(reserve, 0, QD_HEAP_RESERVE);
    free(reserve);
}

size_t qd_heap_bytes(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}
