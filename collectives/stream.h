/*
 * stream.h: bytes from one member to another, in the order of their start: what send, receive and
 * all-to-all are made of. From each member to each other there is a channel of a few slots: in
 * shared memory a ring, else MPI messages from and to buffers of the group's own. A message fills
 * as many slots as it needs; the first says what it is and how long, and the receiver compares.
 */
#ifndef QD_COLLECTIVES_STREAM_H
#define QD_COLLECTIVES_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qd_group;
struct qd_operation;

/* A part of an operation: bytes to or from one member. */
typedef struct qd_transfer {
    struct qd_transfer *next; /* of the same member and direction */
    struct qd_operation *op;
    int peer;
    unsigned char *at;
    size_t bytes, moved;
    size_t slots, slots_moved; /* at least one */
    int64_t ready_ns;          /* with an injected delay: when it may begin */
} qd_transfer;

typedef struct qd_streams qd_streams;

int qd_streams_create(const struct qd_group *group, qd_streams **streams);
void qd_streams_destroy(qd_streams *streams);

/* Bytes of shared memory that a member needs for its channels to `locals` members. */
size_t qd_streams_shm_bytes(int locals);

/* Adds a part to an operation that is not yet under way. */
void qd_streams_add(struct qd_operation *operation, bool sending, int peer, void *at, size_t bytes);

/* Puts the parts of an operation under way. QD_ENOMEM. */
int qd_streams_begin(struct qd_operation *operation);

/* As qd_pipeline_pass; ends operations that have no part left. */
int qd_streams_pass(struct qd_group *group);

bool qd_streams_have_work(const qd_streams *streams);

/* The earliest time at which a delayed part may begin; 0 where none waits for that. */
int64_t qd_streams_held_until(const qd_streams *streams);

/* Marks in group->late the members of the parts under way. */
void qd_streams_find_late(struct qd_group *group);

/* Ends all operations with rc. */
void qd_streams_fail(struct qd_group *group, int rc);

#endif
