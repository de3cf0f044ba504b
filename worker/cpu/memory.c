#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/error.h"
#include "worker/cpu/cpu.h"

enum { HUGE_PAGE_BYTES = 2 << 20 };

static size_t whole_pages(size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page;
}

/* Maps `bytes` on a huge page boundary; MAP_FAILED where the system refuses. */
static void *map_aligned(size_t bytes) {
    char *memory = mmap(NULL, bytes + HUGE_PAGE_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return MAP_FAILED;
    size_t head = -(uintptr_t)memory % HUGE_PAGE_BYTES;
    if (head)
        munmap(memory, head);
    munmap(memory + head + bytes, HUGE_PAGE_BYTES - head);
    return memory + head;
}

int qd_cpu_alloc(qd_backend_context *context, size_t bytes, void **memory) {
    (void)context;
    size_t mapped = whole_pages(bytes ? bytes : 1);
    volatile char *m = map_aligned(mapped);
    if (m == MAP_FAILED)
        return qd_error_set_errno(QD_ENOMEM, errno, "no memory for %zu bytes of buffers", bytes);
    /* Huge pages are a wish; small ones do as well. */
    madvise((void *)m, mapped, MADV_HUGEPAGE);
    /* Every page is faulted in here, by the thread that computes, so that no step pays for it and
     * the pages lie on that thread's NUMA node. */
    for (size_t i = 0; i < mapped; i += (size_t)sysconf(_SC_PAGESIZE))
        m[i] = 0;
    *memory = (void *)m;
    return 0;
}

void qd_cpu_release(qd_backend_context *context, void *memory, size_t bytes) {
    (void)context;
    if (memory)
        munmap(memory, whole_pages(bytes ? bytes : 1));
}
