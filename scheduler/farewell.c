#include "scheduler/farewell.h"

#include "runtime/clock.h"
#include "runtime/error.h"
#include "runtime/log.h"

enum { POLL_SLEEP_US = 1000 };

/* Takes messages until there are none; returns how many were goodbyes. */
static int count_byes(qd_wire *wire) {
    Quadrille__Envelope *message;
    int from, byes = 0;
    while (qd_wire_poll(wire, &message, &from) > 0) {
        byes += message->body_case == QUADRILLE__ENVELOPE__BODY_BYE;
        quadrille__envelope__free_unpacked(message, NULL);
    }
    return byes;
}

bool qd_farewell(qd_wire *wire, const qd_world *world, double deadline_s) {
    Quadrille__Bye bye = QUADRILLE__BYE__INIT;
    Quadrille__Envelope envelope = QUADRILLE__ENVELOPE__INIT;
    envelope.body_case = QUADRILLE__ENVELOPE__BODY_BYE;
    envelope.bye = &bye;
    for (int rank = 1; rank < world->size; rank++)
        if (qd_wire_send(wire, rank, &envelope))
            qd_log(QD_LOG_WARN, "%s", qd_error_message());
    qd_deadline deadline = qd_deadline_in(deadline_s);
    qd_backoff backoff = {0};
    int waiting = world->size - 1;
    while ((waiting -= count_byes(wire)) > 0 && !qd_deadline_passed(deadline))
        qd_backoff_pause(&backoff, POLL_SLEEP_US);
    return waiting == 0;
}
