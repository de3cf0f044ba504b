/*
 * wire.h: control messages (quadrille.proto, protobuf-c) between ranks, over MPI point to point.
 * Sending never waits: the message is packed, handed to MPI and forgotten; what a peer never
 * takes stays in memory until the end. A malformed message is an error that names its sender.
 *
 * Calls come from the thread that opened the world.
 */
#ifndef QD_RUNTIME_WIRE_H
#define QD_RUNTIME_WIRE_H

#include "quadrille.pb-c.h"
#include "runtime/clock.h"
#include "runtime/world.h"

/* Longest packed message, bytes; a longer one is refused by both sides. */
#define QD_WIRE_MAX_BYTES (1 << 20)

typedef struct qd_wire qd_wire;

int qd_wire_create(const qd_world *world, qd_wire **wire);
void qd_wire_destroy(qd_wire *wire);

/* Packs and sends message to a rank. QD_ENOMEM, QD_EINTERNAL, QD_EPROTO (too long). */
int qd_wire_send(qd_wire *wire, int rank, const Quadrille__Envelope *message);

/* Takes one message, if there is one: 1 and *message (quadrille__envelope__free_unpacked) and
 * *from; 0 when there is none; QD_EPROTO (from whom; the message is gone), QD_EINTERNAL. */
int qd_wire_poll(qd_wire *wire, Quadrille__Envelope **message, int *from);

/* Waits until MPI has taken all sent messages. QD_ETIMEDOUT names the ranks that took none. */
int qd_wire_flush(qd_wire *wire, qd_deadline deadline);

#endif
