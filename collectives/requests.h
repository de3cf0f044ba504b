/*
 * requests.h: a fixed table of non-blocking MPI requests and the buffer they work on, which can be
 * abandoned: letting go never waits, and memory that MPI may still touch is not given back. The
 * only file through which collectives/ sends and receives; it knows nothing of groups. Each call
 * takes its turn in MPI (qd_world_mpi_enter).
 *
 * All data goes through the buffer, never straight from or to a caller's vector: after a failure
 * the caller may free its vectors, and MPI would go on reading or writing them.
 */
#ifndef QD_COLLECTIVES_REQUESTS_H
#define QD_COLLECTIVES_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/world.h"

typedef struct qd_requests qd_requests;

/* slots requests on world->data and a buffer of bytes bytes (zeros, 4096-byte aligned). QD_ENOMEM.
 */
int qd_requests_create(const qd_world *world, int slots, size_t bytes, qd_requests **requests);

/* Cancels what can be cancelled. The buffer stays mapped if anything is left. NULL is fine. */
void qd_requests_destroy(qd_requests *requests);

unsigned char *qd_requests_buffer(const qd_requests *requests);

/* Start a transfer of at most INT_MAX bytes at an address inside the buffer; the slot must be
 * free. QD_ELOST with MPI's text. */
int qd_requests_send(qd_requests *requests, int slot, const void *at, size_t bytes, int rank,
                     int tag);
int qd_requests_receive(qd_requests *requests, int slot, void *at, size_t bytes, int rank, int tag);

/*
 * Looks once, without waiting, at slots [first, first + count) and hands out one that has ended:
 * 1 with *slot and, for a receive, *bytes; 0 when none has; a negative code for one that failed,
 * with *slot: QD_EPROTO when more came than fits, else QD_ELOST with MPI's text. *slot is -1 when
 * MPI does not say which.
 */
int qd_requests_take(qd_requests *requests, int first, int count, int *slot, size_t *bytes);

/* As send and receive; all members of comm call it in the same order, with the same count. */
int qd_requests_allreduce(qd_requests *requests, int slot, float *at, int count, MPI_Comm comm);

/* Whether a transfer of slots [first, first + count) is still under way. */
bool qd_requests_busy(const qd_requests *requests, int first, int count);

#endif
