/*
 * exchange.h: bytes between members of a group, unchanged: all-gather, broadcast, all-to-all, send
 * and receive. Each waits; its _start, where it has one, does not (operation.h). Errors as in
 * allreduce.h.
 */
#ifndef QD_COLLECTIVES_EXCHANGE_H
#define QD_COLLECTIVES_EXCHANGE_H

#include "collectives/group.h"
#include "collectives/operation.h"

/*
 * Member i's bytes [bounds[i], bounds[i+1]) of vector go to the same place on all others. bounds:
 * [members + 1] as in qd_reduce_scatter, in bytes: the counterpart of it.
 */
int qd_all_gather(qd_group *group, void *vector, const int64_t *bounds);
int qd_all_gather_start(qd_group *group, void *vector, const int64_t *bounds,
                        qd_operation **operation);

/* The root's (a member's index) bytes to all. */
int qd_broadcast(qd_group *group, void *vector, int64_t bytes, int root);

/*
 * Bytes [from_bounds[i], from_bounds[i+1]) of `from` go to member i; what comes from member i goes
 * to [to_bounds[i], to_bounds[i+1]) of `to`. Both [members + 1]; sizes may differ from pair to
 * pair, but what one sends the other must expect. from and to do not overlap.
 */
int qd_all_to_all(qd_group *group, const void *from, const int64_t *from_bounds, void *to,
                  const int64_t *to_bounds);

/*
 * To and from another member. The receiver names the size that the sender sends, else QD_EPROTO.
 * Sends to a member arrive in the order of their start. A send ends when the bytes have been
 * copied, not when they were received; a long one needs its receiver to come.
 */
int qd_send(qd_group *group, int to, const void *bytes, int64_t count);
int qd_send_start(qd_group *group, int to, const void *bytes, int64_t count,
                  qd_operation **operation);
int qd_receive(qd_group *group, int from, void *bytes, int64_t count);
int qd_receive_start(qd_group *group, int from, void *bytes, int64_t count,
                     qd_operation **operation);

#endif
