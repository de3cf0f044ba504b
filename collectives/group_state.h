/*
 * group_state.h: what the files of collectives/ share about a group: its members, what is under
 * way, and waiting for peers. Not for other folders: they see group.h.
 */
#ifndef QD_COLLECTIVES_GROUP_STATE_H
#define QD_COLLECTIVES_GROUP_STATE_H

#include <pthread.h>
#include <stdbool.h>

#include "collectives/fast.h"
#include "collectives/group.h"
#include "collectives/hosts.h"
#include "collectives/lanes.h"
#include "collectives/operation_state.h"
#include "collectives/pipeline.h"
#include "collectives/reduction.h"
#include "collectives/shm_layout.h"
#include "collectives/shm_segment.h"
#include "runtime/clock.h"
#include "runtime/error.h"

/* One wait for peers. Start with {0}; its deadline begins with the first look at the clock, so
 * that a wait which finds its peers ready costs none. */
typedef struct qd_wait {
    int spins;
    qd_backoff backoff;
    qd_deadline deadline;
    bool expired;
} qd_wait;

struct qd_group {
    qd_group_config config; /* members is the group's own copy */
    int index;
    qd_hosts hosts;
    const char *transport;
    qd_shm_segment *segment; /* NULL unless the members of this host share memory */
    qd_shm_member **shm;     /* [members] those of this host, NULL for others */
    qd_lanes *lanes;         /* between hosts; NULL with one host */
    qd_fast *fast;           /* with QD_REDUCTION_FAST and several members */
    qd_streams *streams;     /* between any two members */
    pthread_mutex_t lock;    /* held by who moves the group's operations */
    uint64_t calls;
    qd_pipeline pipeline;
    qd_reduction *reductions; /* of the ranges used so far, kept because steps repeat them */
    qd_operation *free;       /* handles to use again */
    qd_operation *made;       /* the last one that was; see qd_operation.made */
    qd_wait wait;             /* since something last moved */
    int spins;                /* looks before a wait gives the core away */
    int64_t next_poll_ns;
    int64_t link_free_ns; /* with an injected delay: when the last operation has left */
    int failed;           /* the error that broke the group, or 0 */
    char failure[QD_ERROR_BYTES];
    bool *late; /* [members] who is awaited, for qd_wait_late */
    const char *late_what;
    uint64_t bytes[QD_CALL_KINDS], bytes_between_hosts;
    uint64_t begun[QD_CALL_KINDS]; /* operations of each kind */
    struct qd_group *next;         /* of the same progress */
};

/* Tags of the data communicator: each group has a block of QD_TAG_KINDS. */
typedef enum {
    QD_TAG_HELLO,
    QD_TAG_AGREE,
    QD_TAG_PARTS,
    QD_TAG_RESULT,
    QD_TAG_STREAM,
    QD_TAG_FAST,
    QD_TAG_CALL,
    QD_TAG_UNUSED, /* keeps QD_TAG_KINDS a power of two, so that the blocks fill all tags */
    QD_TAG_KINDS
} qd_tag_kind;

/*
 * The tag of a kind of message of this group. MPI promises tags up to world->max_tag only, so
 * that ids wrap: groups whose ids differ by a multiple of (max_tag + 1) / QD_TAG_KINDS share their
 * tags (2^28 groups apart with Open MPI, 4096 with the least MPI allows). That does harm only if
 * a message of the older one was never received and its sender is in the newer one too; hellos
 * and signatures therefore carry the whole id, and a stranger's is refused or passed over.
 */
int qd_group_tag(const qd_group *group, qd_tag_kind kind);

/* The world rank of a member. */
int qd_group_rank(const qd_group *group, int member);

/* Moves everything of the group as far as it gets; the lock is held. 1: something moved; 0:
 * nothing; an error, which the caller gives to qd_group_fail. */
int qd_group_pass(qd_group *group);

/* Sets group->late and late_what: who holds up the oldest operation. */
void qd_group_find_late(qd_group *group);

/* Whether anything is under way. The lock is held, as for those below. */
bool qd_group_has_work(const qd_group *group);

/* Breaks the group with rc and the message just set: ends all its operations. */
void qd_group_fail(qd_group *group, int rc);

/* The error with which a member of this host broke it for those who wait for that member, and its
 * message; 0: none. */
int qd_group_word_of(const qd_group *group, int member);

/* Whether an operation that waits for its release (injected delay) is the next to end. */
bool qd_group_held_back(const qd_group *group, int64_t *until_ns);

/* Looks at the clock. 0: poll again. QD_ECANCELLED: the owner called the wait off (asked only
 * where listen is set: on the owner's thread). QD_ETIMEDOUT: the deadline passed and the caller
 * has polled once more since; it sets the message (qd_wait_late), because only it knows who is
 * late. */
int qd_wait_check(qd_group *group, qd_wait *wait, bool listen);

/* Looks before a wait gives the core away, of so many members that share memory. */
int qd_wait_spins(int locals);

/* Call after each fruitless poll: pauses a little, longer each time, then as qd_wait_check. */
int qd_wait_pause(qd_group *group, qd_wait *wait);

/* Sleeps towards that time of qd_clock_now_ns, a millisecond at most, and hears the owner. */
int qd_wait_until(qd_group *group, int64_t until_ns);

/* QD_ETIMEDOUT with "group 7: all-reduce: waited 2 s for rank 3, 5": the members in group->late. */
int qd_wait_late(const qd_group *group, const char *what);

#endif
