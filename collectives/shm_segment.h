/*
 * shm_segment.h: memory that the processes of one host share without a name in any file system,
 * so that whatever dies, and however, leaves nothing behind: one process makes a memfd, the others
 * open it through /proc/PID/fd. It knows nothing of what is kept inside.
 */
#ifndef QD_COLLECTIVES_SHM_SEGMENT_H
#define QD_COLLECTIVES_SHM_SEGMENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct qd_shm_segment qd_shm_segment;

/* How another process finds a segment. Plain bytes; may be sent. */
typedef struct qd_shm_address {
    uint64_t nonce; /* written into the segment: a process of the same number elsewhere (another
                       PID namespace) has no segment with it */
    uint64_t bytes;
    int64_t pid;
    int32_t fd; /* -1: there is no segment */
    int32_t unused;
} qd_shm_address;

/* Makes a segment with room for bytes bytes of zeros, of a size that is sealed. QD_EIO, QD_ENOMEM.
 */
int qd_shm_segment_make(size_t bytes, qd_shm_segment **segment);

/* Maps a segment made by another process, which must not have closed it yet. QD_EIO. */
int qd_shm_segment_map(const qd_shm_address *address, qd_shm_segment **segment);

/* Reserves the memory of [offset, offset + bytes), from the memory node of the caller: later use
 * cannot fail for want of memory (it would be a SIGBUS). QD_ENOMEM. */
int qd_shm_segment_reserve(qd_shm_segment *segment, size_t offset, size_t bytes);

/* After this nobody else can map the segment; those who did keep it. */
void qd_shm_segment_close(qd_shm_segment *segment);

/* Unmaps and closes. NULL is fine. */
void qd_shm_segment_destroy(qd_shm_segment *segment);

/* Of a segment that this process made. */
qd_shm_address qd_shm_segment_address(const qd_shm_segment *segment);

/* The memory, 64-byte aligned. */
void *qd_shm_segment_memory(const qd_shm_segment *segment);

#endif
