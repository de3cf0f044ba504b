/*
 * group.h: a set of world ranks that exchange data with each other, made by its members alone;
 * no other rank takes part or is disturbed. Every wait has a deadline and a message that names
 * the member that is late; every wait can be called off.
 *
 * What a group does stands in allreduce.h (sums) and exchange.h (bytes); operation.h says how
 * calls that do not wait are waited for. One thread (the one that opened the world) makes all
 * calls on a group; a thread of the group's own (progress.h) may carry them on meanwhile.
 */
#ifndef QD_COLLECTIVES_GROUP_H
#define QD_COLLECTIVES_GROUP_H

#include <stddef.h>
#include <stdint.h>

#include "collectives/elements.h"
#include "collectives/progress.h"
#include "collectives/signature.h"
#include "runtime/transport_kind.h"
#include "runtime/world.h"

/* ORDERED: sums in the tree of tree.h, the same bits on every distribution. FAST: all-reduces by
 * MPI_Iallreduce, correct up to rounding; all else as with ORDERED. */
typedef enum { QD_REDUCTION_ORDERED, QD_REDUCTION_FAST } qd_reduction_kind;

typedef struct qd_group qd_group;

typedef struct qd_group_config {
    const qd_world *world;
    uint32_t id;        /* the scheduler's epoch: unique among groups of this world, ever, so that
                           a late message of an earlier attempt matches nothing */
    const int *members; /* distinct world ranks, this rank among them; in the same order on all */
    int member_count;
    qd_transport_kind transport; /* SHM: all must share memory. MPI: none does */
    qd_reduction_kind reduction;
    qd_wire_type wire; /* of sums; bf16 halves their bytes, see elements.h. Not with FAST */
    double deadline_s; /* longest wait for a peer without any progress in any one call */
    /* Called now and then while waiting; non-zero calls the wait off (QD_ECANCELLED). May be NULL.
     * It is where the owner listens to the scheduler during a wait; always on the calling thread.
     */
    int (*poll)(void *context);
    void *poll_context;
    qd_progress *progress; /* carries started operations on while the owner computes; NULL: they
                              move only while the owner waits or tests. Outlives the group */
    /* For tests and benchmarks alone (no job can ask for it), a slower network than there is: an
     * operation ends no sooner than this after it began to move, and after the one before it on the
     * group; slept, not burnt. 0: as fast as it goes. */
    double delay_per_operation_s, delay_per_byte_s; /* bytes: those this member sends */
} qd_group_config;

/*
 * Meets the other members (each calls this with the same id, members, transport, reduction and
 * wire) and finds who shares memory. QD_ETIMEDOUT names the members that did not come, QD_EPROTO
 * one whose configuration differs, QD_ECANCELLED, QD_EIO (no shared memory and transport is SHM),
 * QD_ENOMEM. With FAST it ends with MPI_Comm_create_group, which only members that came reach.
 */
int qd_group_create(const qd_group_config *config, qd_group **group);

/* Lets go, also of operations under way, whose handles are gone with it. Does not wait for
 * anybody. Buffers that an abandoned request may still touch stay allocated on purpose. NULL is
 * fine. */
void qd_group_destroy(qd_group *group);

int qd_group_size(const qd_group *group);
int qd_group_index(const qd_group *group); /* of this rank, 0 .. size-1 */

/* "shm", "mpi", "hierarchical" (both); "self" for a size of 1. */
const char *qd_group_transport(const qd_group *group);

/*
 * Payload bytes that this rank has given to the others so far: over MPI, or laid out for them in
 * shared memory, once for each that takes them. With one member a host or one host in all, one
 * node vector a member and m members:
 *   all-reduce      2 (m-1)/m S     reduce-scatter   S - own piece
 *   all-gather      (m-1) own piece broadcast        (m-1) S on the root, else 0
 *   all-to-all      all but the own piece            send     S
 * S: bytes on the wire, half for bf16 sums. A member with k node vectors lays out its parts of
 * others' pieces k times. N hosts of g members each, whose slots are a subtree: all-reduce sends
 * 2 S (g-1)/g within hosts and 2 (S/g) (N-1)/N between them, reduce-scatter and all-gather half of
 * each. What the library moves for FAST all-reduces is not seen, and not counted.
 */
uint64_t qd_group_bytes_sent(const qd_group *group);
uint64_t qd_group_bytes_of(const qd_group *group, qd_call_kind kind);
uint64_t qd_group_bytes_between_hosts(const qd_group *group);

/* Calls of a kind that this rank has begun so far. */
uint64_t qd_group_calls_of(const qd_group *group, qd_call_kind kind);

/* Returns when every member has entered. QD_ETIMEDOUT naming who is late, QD_ECANCELLED. */
int qd_group_barrier(qd_group *group);

#endif
