/* Control messages over real MPI; run by mpirun on 3 ranks. Exits non-zero with a word on what
 * failed. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/clock.h"
#include "runtime/error.h"
#include "runtime/wire.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        checks++;                                                                                  \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "rank %d: line %d: %s (%s)\n", world->rank, __LINE__, #condition,      \
                    qd_error_message());                                                           \
            MPI_Abort(MPI_COMM_WORLD, 1);                                                          \
        }                                                                                          \
    } while (0)

static const qd_world *world;
static qd_wire *wire;
static int checks;

static Quadrille__Envelope *receive(int *from) {
    Quadrille__Envelope *message = NULL;
    qd_deadline deadline = qd_deadline_in(20);
    while (qd_wire_poll(wire, &message, from) == 0 && !qd_deadline_passed(deadline))
        ;
    CHECK(message != NULL);
    return message;
}

static void send_progress(int to, int64_t step, size_t reason_bytes) {
    Quadrille__Stop stop = QUADRILLE__STOP__INIT;
    char *reason = malloc(reason_bytes + 1);
    memset(reason, 'r', reason_bytes);
    reason[reason_bytes] = '\0';
    stop.job = step;
    stop.reason = reason;
    Quadrille__Envelope envelope = QUADRILLE__ENVELOPE__INIT;
    envelope.body_case = QUADRILLE__ENVELOPE__BODY_STOP;
    envelope.stop = &stop;
    CHECK(qd_wire_send(wire, to, &envelope) == 0);
    free(reason);
}

/* Long and short messages by turns: a long one needs a handshake inside MPI and would be overtaken.
 */
static void messages_of_one_sender_keep_their_order(void) {
    enum { COUNT = 200 };
    if (world->rank > 0) {
        for (int i = 0; i < COUNT; i++)
            send_progress(0, i, i % 3 == 0 ? 200000 : 10);
        return;
    }
    int64_t next[3] = {0};
    for (int i = 0; i < 2 * COUNT; i++) {
        int from;
        Quadrille__Envelope *message = receive(&from);
        CHECK(message->stop->job == next[from]);
        CHECK(strlen(message->stop->reason) == (next[from] % 3 == 0 ? 200000 : 10));
        next[from]++;
        quadrille__envelope__free_unpacked(message, NULL);
    }
}

static void a_message_that_is_too_long_is_refused_by_the_sender(void) {
    static char reason[QD_WIRE_MAX_BYTES + 1];
    memset(reason, 'r', QD_WIRE_MAX_BYTES);
    Quadrille__Stop stop = QUADRILLE__STOP__INIT;
    stop.reason = reason;
    Quadrille__Envelope envelope = QUADRILLE__ENVELOPE__INIT;
    envelope.body_case = QUADRILLE__ENVELOPE__BODY_STOP;
    envelope.stop = &stop;
    CHECK(qd_wire_send(wire, 0, &envelope) == QD_EPROTO);
}

static void nonsense_names_its_sender_and_hurts_nobody(void) {
    unsigned char nonsense[64];
    memset(nonsense, 0xff, sizeof nonsense);
    if (world->rank == 2)
        MPI_Send(nonsense, sizeof nonsense, MPI_BYTE, 0, 1, world->control);
    if (world->rank == 1)
        MPI_Send(nonsense, 0, MPI_BYTE, 0, 1, world->control);
    if (world->rank != 0)
        return;
    bool named[3] = {false};
    qd_deadline deadline = qd_deadline_in(20);
    for (int seen = 0; seen < 2 && !qd_deadline_passed(deadline);) {
        Quadrille__Envelope *message;
        int from, got = qd_wire_poll(wire, &message, &from);
        if (got == 0)
            continue;
        CHECK(got == QD_EPROTO);
        named[1] |= strstr(qd_error_message(), "rank 1 ") != NULL;
        named[2] |= strstr(qd_error_message(), "rank 2 ") != NULL;
        seen++;
    }
    CHECK(named[1] && named[2]);
}

/* Too long for MPI to buffer, and rank 0 does not look: it cannot be delivered. */
static void flush_names_the_rank_that_does_not_listen(void) {
    if (world->rank == 1) {
        send_progress(0, 1, 500000);
        CHECK(qd_wire_flush(wire, qd_deadline_in(0.2)) == QD_ETIMEDOUT);
        CHECK(strstr(qd_error_message(), "rank 0") != NULL);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    if (world->rank == 0) {
        int from;
        quadrille__envelope__free_unpacked(receive(&from), NULL);
    }
    if (world->rank == 1)
        CHECK(qd_wire_flush(wire, qd_deadline_in(20)) == 0);
}

int main(void) {
    qd_world *opened;
    if (qd_world_open(&opened) || qd_wire_create(opened, &wire)) {
        fprintf(stderr, "%s\n", qd_error_message());
        return 1;
    }
    world = opened;
    CHECK(world->size == 3);
    messages_of_one_sender_keep_their_order();
    a_message_that_is_too_long_is_refused_by_the_sender();
    MPI_Barrier(MPI_COMM_WORLD);
    nonsense_names_its_sender_and_hurts_nobody();
    MPI_Barrier(MPI_COMM_WORLD);
    flush_names_the_rank_that_does_not_listen();
    if (world->rank == 0)
        printf("%d checks passed\n", checks);
    qd_wire_destroy(wire);
    qd_world_close(opened, true, 20, 1);
    return 0;
}
