/*
 * group_state.h: what the files of collectives/ share about a group: its members, the record of
 * the call in hand, and waiting for peers. Not for other folders: they see group.h.
 */
#ifndef QD_COLLECTIVES_GROUP_STATE_H
#define QD_COLLECTIVES_GROUP_STATE_H

#include <stdbool.h>

#include "collectives/group.h"
#include "collectives/reduction.h"
#include "collectives/shm_segment.h"
#include "collectives/transport.h"
#include "runtime/clock.h"

typedef enum { QD_CALL_NONE, QD_CALL_BARRIER, QD_CALL_ALLREDUCE } qd_call_kind;

/* What a member believes the members are calling; all must believe the same. Travels as it is
 * (members run one binary), and its size keeps the floats behind it aligned to a cache line. */
typedef struct qd_signature {
    uint64_t call; /* calls on this group so far: 1, 2, ... */
    uint32_t kind; /* qd_call_kind */
    uint32_t leaves;
    int64_t count;   /* floats of the vector */
    uint64_t digest; /* of the ranges */
    uint32_t group;
    uint32_t unused[7];
} qd_signature;

_Static_assert(sizeof(qd_signature) == 64, "one cache line");

struct qd_group {
    qd_group_config config; /* members is the group's own copy */
    int index;
    uint64_t calls;
    uint64_t bytes_sent;
    bool broken; /* a call failed: members no longer agree on where they are */
    int64_t next_poll_ns;
    bool *late;              /* [members] who is awaited, for qd_wait_late */
    qd_reduction *reduction; /* of the ranges used last, kept because steps repeat them */
    qd_shm_segment *segment; /* NULL unless every member mapped it */
    const qd_transport *transport;
    void *transport_state;
};

/* Tags of the data communicator: each group has a block of QD_TAG_KINDS. */
typedef enum { QD_TAG_HELLO, QD_TAG_AGREE, QD_TAG_PARTS, QD_TAG_RESULT, QD_TAG_KINDS } qd_tag_kind;

/*
 * The tag of a kind of message of this group. MPI promises tags up to world->max_tag only, so
 * that ids wrap: groups whose ids differ by a multiple of (max_tag + 1) / QD_TAG_KINDS share their
 * tags (2^29 groups apart with Open MPI, 8192 with the least MPI allows). That does harm only if
 * a message of the older one was never received and its sender is in the newer one too; hellos
 * and signatures therefore carry the whole id, and a stranger's is refused or passed over.
 */
int qd_group_tag(const qd_group *group, qd_tag_kind kind);

/* The world rank of a member. */
int qd_group_rank(const qd_group *group, int member);

/* Starts a call: numbers it and fills in its signature. QD_ELOST on a broken group. */
int qd_group_enter(qd_group *group, qd_call_kind kind, int64_t count, qd_signature *mine);

/* Ends a call: an error breaks the group. Returns rc. */
int qd_group_leave(qd_group *group, int rc);

/* 0, or QD_EPROTO naming the member and what both call. */
int qd_signature_check(const qd_group *group, int member, const qd_signature *theirs,
                       const qd_signature *mine);

/* One wait for peers. Start with {.group = group}; its deadline begins with the first pause, so
 * that a wait which finds its peers ready costs no look at the clock. */
typedef struct qd_wait {
    qd_group *group;
    qd_backoff backoff;
    qd_deadline deadline;
    bool expired;
} qd_wait;

/*
 * Call after each fruitless poll. 0: poll again. QD_ECANCELLED: the owner called the wait off.
 * QD_ETIMEDOUT: the deadline passed and the caller has polled once more since; it sets the message
 * (qd_wait_late), because only it knows who is late.
 */
int qd_wait_pause(qd_wait *wait);

/* QD_ETIMEDOUT with "group 7: all-reduce: waited 2 s for rank 3, 5": the members in group->late. */
int qd_wait_late(const qd_wait *wait, const char *what);

#endif
