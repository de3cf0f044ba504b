/*
 * count_allocations.h: counts the calls of the allocator that a test program makes, the engine's
 * among them; those inside shared libraries are not seen. The program is linked with
 * QD_COUNT_ALLOCATIONS (tests.cmake). To be included by one file of it.
 */
#ifndef QD_TEST_WORKER_COUNT_ALLOCATIONS_H
#define QD_TEST_WORKER_COUNT_ALLOCATIONS_H

#include <stddef.h>
#include <sys/types.h>

static int allocations;

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
void *__real_mmap(void *memory, size_t bytes, int protection, int flags, int file, off_t offset);
void *__wrap_mmap(void *memory, size_t bytes, int protection, int flags, int file, off_t offset);

void *__wrap_malloc(size_t bytes) {
    allocations++;
    return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes) {
    allocations++;
    return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes) {
    allocations++;
    return __real_realloc(memory, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes) {
    allocations++;
    return __real_aligned_alloc(alignment, bytes);
}

void *__wrap_mmap(void *memory, size_t bytes, int protection, int flags, int file, off_t offset) {
    allocations++;
    return __real_mmap(memory, bytes, protection, flags, file, offset);
}

#endif
