/*
 * group.h: a set of world ranks that exchange data with each other, made by its members alone;
 * no other rank takes part or is disturbed. Every wait has a deadline and a message that names
 * the member that is late; every wait can be called off.
 *
 * One thread (the one that opened the world) makes all calls on a group.
 */
#ifndef QD_COLLECTIVES_GROUP_H
#define QD_COLLECTIVES_GROUP_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/transport_kind.h"
#include "runtime/world.h"

typedef struct qd_group qd_group;

typedef struct qd_group_config {
    const qd_world *world;
    uint32_t id;        /* the scheduler's epoch: unique among groups of this world, ever, so that
                           a late message of an earlier attempt matches nothing */
    const int *members; /* world ranks, ascending, this rank among them */
    int member_count;
    qd_transport_kind transport;
    double deadline_s; /* longest wait for a peer in any one call */
    /* Called now and then while waiting; non-zero calls the wait off (QD_ECANCELLED). May be NULL.
     * It is where the owner listens to the scheduler during a wait. */
    int (*poll)(void *context);
    void *poll_context;
} qd_group_config;

/*
 * Meets the other members (each calls this with the same id, members and transport) and picks the
 * transport. QD_ETIMEDOUT names the members that did not come, QD_EPROTO one whose configuration
 * differs, QD_ECANCELLED, QD_EIO (no shared memory and transport is SHM), QD_ENOMEM.
 */
int qd_group_create(const qd_group_config *config, qd_group **group);

/* Lets go. Does not wait for anybody. Buffers that an abandoned request may still touch stay
 * allocated on purpose. NULL is fine. */
void qd_group_destroy(qd_group *group);

int qd_group_size(const qd_group *group);
int qd_group_index(const qd_group *group);             /* of this rank, 0 .. size-1 */
const char *qd_group_transport(const qd_group *group); /* "shm", "mpi"; "self" for a size of 1 */

/* Payload bytes this rank has sent to (or, over shm, put out for) the others so far. */
uint64_t qd_group_bytes_sent(const qd_group *group);

/* Returns when every member has entered. QD_ETIMEDOUT naming who is late, QD_ECANCELLED. */
int qd_group_barrier(qd_group *group);

#endif
