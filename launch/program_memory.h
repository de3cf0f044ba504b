/*
 * program_memory.h: how much memory a worker takes before any job of its own: this program, its
 * libraries, MPI. That differs from machine to machine, so it is measured: `quadrille run` trains
 * the smallest job there is on one worker, whose log tells its peak.
 */
#ifndef QD_LAUNCH_PROGRAM_MEMORY_H
#define QD_LAUNCH_PROGRAM_MEMORY_H

#include <stddef.h>

/*
 * Bytes, without the heap's reserve (runtime/heap.h). Takes about a second, and a folder under
 * TMPDIR that is gone afterwards. QD_EIO, QD_EINTERNAL, QD_ETIMEDOUT: it could not be measured; as
 * a rank of a world it never can be.
 */
int qd_program_memory_measure(size_t *bytes);

#endif
