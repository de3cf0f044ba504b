/*
 * operation_state.h: what an operation is to the files that carry it on. Not for other folders:
 * they see operation.h.
 */
#ifndef QD_COLLECTIVES_OPERATION_STATE_H
#define QD_COLLECTIVES_OPERATION_STATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "collectives/elements.h"
#include "collectives/operation.h"
#include "collectives/reduction.h"
#include "collectives/signature.h"
#include "collectives/stream.h"
#include "collectives/tree.h"

struct qd_group;

/* A vector cut into one piece a member, [bounds[f], bounds[f+1]), moved chunk by chunk: chunk c
 * has elements [c * chunk, (c+1) * chunk) of every piece. */
struct qd_operation {
    struct qd_group *group;
    qd_operation *next; /* in the group's queue, or among its free ones */
    qd_operation *made; /* before it by this group, whose they are to the end */
    qd_signature signature;
    qd_reduction *reduction; /* NULL: nothing is added */
    float *parts[QD_TREE_MAX_COVER];
    unsigned char *vector;  /* element 0, where pieces are gathered */
    float *own;             /* where this member's piece of a sum goes */
    bool gather;            /* the pieces go to all members */
    qd_wire_type wire;      /* of a sum */
    size_t element, width;  /* bytes of an element: in memory, on the wire */
    int64_t *bounds;        /* [members + 1] in elements */
    size_t chunk, chunks;   /* elements of a piece; chunks in all */
    size_t entered;         /* chunks that are under way or done */
    bool started;           /* not by a call that waits: the communication thread is to see to it */
    bool moved;             /* all is done but for an injected delay */
    int64_t begun_ns;       /* with an injected delay: when its first chunk left */
    int64_t release_ns;     /* with an injected delay: when it may end */
    uint64_t bytes;         /* sent */
    qd_transfer *transfers; /* [2][members] to and from members, of which there are */
    int sends, receives;
    int parts_left;          /* transfers, or a fast sum, under way */
    qd_operation *next_fast; /* waiting for its fast sum */
    bool collective;         /* it passes the pipeline */
    bool fast;               /* summed by MPI; the pipeline only compares what members call */
    int rc;
    atomic_bool done;
};

/* A new operation of the group, of this kind and size, numbered and with its signature begun; not
 * yet under way. QD_ELOST on a broken group. */
int qd_operation_new(struct qd_group *group, qd_call_kind kind, int64_t count,
                     qd_operation **operation);

/* Puts it under way; started: see above. It ends with an error where it cannot be. */
void qd_operation_begin(qd_operation *operation, bool started);

/* Puts it under way and waits. */
int qd_operation_run(qd_operation *operation);

/* Ends it: wait will return rc. The group's lock is held. */
void qd_operation_end(qd_operation *operation, int rc);

/* Gives the handle back. */
void qd_operation_free(qd_operation *operation);

/* Cuts its pieces into chunks such that `most` vectors of a piece's chunk fit into its place. */
void qd_operation_cut(qd_operation *operation, int most);

/* Elements of a piece in a chunk of which `most` vectors fit into its place. */
size_t qd_operation_chunk(int members, int most, size_t width);

/* Elements [begin, begin + n) of the vector: a chunk of piece f. */
typedef struct qd_range {
    size_t begin, n;
} qd_range;

qd_range qd_operation_range(const qd_operation *operation, int f, size_t chunk);

/* Checks bounds and copies them; QD_EINTERNAL. */
int qd_operation_set_bounds(qd_operation *operation, const int64_t *bounds);

#endif
