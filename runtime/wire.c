#include "runtime/wire.h"

#include <stdlib.h>

#include "runtime/error.h"
#include "runtime/text.h"

enum { WIRE_TAG = 1 };

/* A message under way. What MPI has not let go of is never freed. */
typedef struct parcel {
    struct parcel *next;
    MPI_Request request;
    int peer;
    int length;
    uint8_t bytes[];
} parcel;

struct qd_wire {
    const qd_world *world;
    parcel *sending;
    parcel *receiving, **receiving_end; /* in the order of arrival */
};

int qd_wire_create(const qd_world *world, qd_wire **out) {
    qd_wire *wire = calloc(1, sizeof *wire);
    if (!wire)
        return qd_error_set(QD_ENOMEM, "no memory for control messages");
    wire->world = world;
    wire->receiving_end = &wire->receiving;
    *out = wire;
    return 0;
}

static parcel *new_parcel(int peer, size_t length) {
    parcel *p = malloc(sizeof *p + length);
    if (!p) {
        qd_error_set(QD_ENOMEM, "no memory for a control message of %zu bytes", length);
        return NULL;
    }
    *p = (parcel){.request = MPI_REQUEST_NULL, .peer = peer, .length = (int)length};
    return p;
}

static bool finished(parcel *p) {
    int done = 0;
    return MPI_Test(&p->request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done;
}

static void collect_sent(qd_wire *wire) {
    qd_world_mpi_enter(wire->world);
    parcel **at = &wire->sending;
    while (*at) {
        parcel *p = *at;
        if (finished(p)) {
            *at = p->next;
            free(p);
        } else {
            at = &p->next;
        }
    }
    qd_world_mpi_leave(wire->world);
}

void qd_wire_destroy(qd_wire *wire) {
    if (!wire)
        return;
    collect_sent(wire);
    /* A parcel that MPI still holds stays where it is: MPI may write it yet. */
    if (!wire->sending && !wire->receiving)
        free(wire);
}

int qd_wire_send(qd_wire *wire, int rank, const Quadrille__Envelope *message) {
    size_t length = quadrille__envelope__get_packed_size(message);
    if (length > QD_WIRE_MAX_BYTES)
        return qd_error_set(QD_EPROTO,
                            "a control message to rank %d of %zu bytes; at most %d are sent", rank,
                            length, QD_WIRE_MAX_BYTES);
    parcel *p = new_parcel(rank, length);
    if (!p)
        return QD_ENOMEM;
    quadrille__envelope__pack(message, p->bytes);
    qd_world_mpi_enter(wire->world);
    int code =
        MPI_Isend(p->bytes, p->length, MPI_BYTE, rank, WIRE_TAG, wire->world->control, &p->request);
    qd_world_mpi_leave(wire->world);
    if (code != MPI_SUCCESS) {
        free(p);
        return qd_error_set(QD_EINTERNAL, "MPI refused a control message to rank %d", rank);
    }
    p->next = wire->sending;
    wire->sending = p;
    collect_sent(wire);
    return 0;
}

/* Begins to receive every message that has arrived. */
static int accept_arrivals(qd_wire *wire) {
    for (;;) {
        int arrived = 0, length = 0;
        MPI_Message handle;
        MPI_Status status;
        if (MPI_Improbe(MPI_ANY_SOURCE, WIRE_TAG, wire->world->control, &arrived, &handle,
                        &status) != MPI_SUCCESS)
            return qd_error_set(QD_EINTERNAL, "MPI cannot look for control messages");
        if (!arrived)
            return 0;
        MPI_Get_count(&status, MPI_BYTE, &length);
        parcel *p = new_parcel(status.MPI_SOURCE, (size_t)length);
        if (!p)
            return QD_ENOMEM;
        if (MPI_Imrecv(p->bytes, length, MPI_BYTE, &handle, &p->request) != MPI_SUCCESS) {
            free(p);
            return qd_error_set(QD_EINTERNAL, "MPI cannot receive a control message of rank %d",
                                status.MPI_SOURCE);
        }
        *wire->receiving_end = p;
        wire->receiving_end = &p->next;
    }
}

static bool earlier_of_same_peer(const qd_wire *wire, const parcel *p) {
    for (const parcel *q = wire->receiving; q != p; q = q->next)
        if (q->peer == p->peer)
            return true;
    return false;
}

/* Takes the first parcel that is complete and overtakes none of its sender's; NULL if none. */
static parcel *take_received(qd_wire *wire) {
    for (parcel **at = &wire->receiving; *at; at = &(*at)->next) {
        parcel *p = *at;
        if (earlier_of_same_peer(wire, p) || !finished(p))
            continue;
        *at = p->next;
        if (wire->receiving_end == &p->next)
            wire->receiving_end = at;
        return p;
    }
    return NULL;
}

int qd_wire_poll(qd_wire *wire, Quadrille__Envelope **message, int *from) {
    collect_sent(wire);
    qd_world_mpi_enter(wire->world);
    int rc = accept_arrivals(wire);
    parcel *p = rc ? NULL : take_received(wire);
    qd_world_mpi_leave(wire->world);
    if (rc)
        return rc;
    if (!p)
        return 0;
    Quadrille__Envelope *unpacked =
        p->length <= QD_WIRE_MAX_BYTES
            ? quadrille__envelope__unpack(NULL, (size_t)p->length, p->bytes)
            : NULL;
    rc = 1;
    if (!unpacked || unpacked->body_case == QUADRILLE__ENVELOPE__BODY__NOT_SET) {
        rc = qd_error_set(QD_EPROTO, "rank %d sent a control message of %d bytes that is none",
                          p->peer, p->length);
        if (unpacked)
            quadrille__envelope__free_unpacked(unpacked, NULL);
    } else {
        *message = unpacked;
        *from = p->peer;
    }
    free(p);
    return rc;
}

int qd_wire_flush(qd_wire *wire, qd_deadline deadline) {
    qd_backoff backoff = {0};
    for (;;) {
        collect_sent(wire);
        if (!wire->sending)
            return 0;
        if (qd_deadline_passed(deadline))
            break;
        qd_backoff_pause(&backoff, 1000);
    }
    qd_text ranks = {0};
    for (const parcel *p = wire->sending; p; p = p->next)
        qd_text_add(&ranks, " %d", p->peer);
    int rc = qd_error_set(QD_ETIMEDOUT, "control messages not taken in time by rank%s",
                          ranks.failed ? "s" : ranks.bytes);
    qd_text_fini(&ranks);
    return rc;
}
