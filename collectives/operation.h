/*
 * operation.h: a call on a group that was started and not yet waited for. Operations of a group
 * move side by side and end in the order of their start (a send or receive: in the order of those
 * to or from the same member). All vectors given to a start belong to the operation until it has
 * been waited for. Nothing is allocated once as many were in flight before.
 */
#ifndef QD_COLLECTIVES_OPERATION_H
#define QD_COLLECTIVES_OPERATION_H

#include <stdbool.h>

typedef struct qd_operation qd_operation;

/* Looks once, and moves things along where no thread does. *done: wait will return at once. An
 * operation that failed is done. Never fails itself. */
void qd_operation_test(qd_operation *operation, bool *done);

/*
 * Waits and gives the handle back, also on failure. QD_ETIMEDOUT naming who is late,
 * QD_ECANCELLED, QD_ELOST, QD_EPROTO naming the member that calls something else, both operations
 * and their sizes. A failure breaks the group: all its operations fail with it, later ones with
 * QD_ELOST. NULL is fine (0).
 */
int qd_operation_wait(qd_operation *operation);

#endif
