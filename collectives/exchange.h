/*
 * exchange.h: bytes between members of a group, unchanged: all-gather, broadcast, all-to-all, send
 * and receive. Each waits; its _start does not (operation.h). Errors as in allreduce.h.
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
int qd_broadcast_start(qd_group *group, void *vector, int64_t bytes, int root,
                       qd_operation **operation);

#endif
