/*
 * heap.h: keeps the C library's heap from giving memory back to the system and asking for it anew:
 * a library that allocates in each step would pay a page fault for every 4 KiB of it.
 */
#ifndef QD_RUNTIME_HEAP_H
#define QD_RUNTIME_HEAP_H

#include <stddef.h>

/* Bytes that the heap begins with, touched: what libraries take for a while in a step. */
enum { QD_HEAP_RESERVE = 8 << 20 };

/* For the whole process, and for good; before threads start. Where the C library has no such
 * setting nothing happens. */
void qd_heap_keep(void);

/* Bytes of the heap that are in use now. */
size_t qd_heap_bytes(void);

#endif
