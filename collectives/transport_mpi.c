/*
 * All-reduce by MPI messages between any two members. For each chunk of the vector a member sends
 * to each other one message with that member's piece of all its node vectors (behind a signature,
 * so that a mismatch is found by the first word of whoever differs), adds its own piece from what
 * the others sent, and sends the sum to all. WINDOWS chunks are on their way at once: one being
 * sent, one being added, one being gathered.
 */
#include <stdlib.h>
#include <string.h>

#include "collectives/group_state.h"
#include "collectives/requests.h"
#include "collectives/tree.h"
#include "runtime/align.h"
#include "runtime/error.h"

/* CHUNK_FLOATS: of one member's node vectors, for all others together; memory per group is about
 * WINDOWS x 4 such chunks, whatever the length of the vector. */
enum { WINDOWS = 3, CHUNK_FLOATS = 1 << 17 };

typedef enum { SEND_PARTS, RECEIVE_PARTS, SEND_RESULT, RECEIVE_RESULT, LANES } lane_kind;

static const char *const lane_words[LANES] = {"sending to", "receiving from", "sending to",
                                              "receiving from"};

typedef struct mpi_state {
    qd_requests *requests; /* [WINDOWS][LANES][members] */
    int members;
    size_t parts_bytes;  /* of the longest message of parts */
    size_t result_bytes; /* of the longest piece of a sum */
    uint64_t chunks;     /* begun so far, over the group's life */
} mpi_state;

static size_t window_bytes(const mpi_state *s) {
    return 2 * (size_t)s->members * (s->parts_bytes + s->result_bytes);
}

static int mpi_open_transport(const qd_group *group, void **out) {
    mpi_state *s = calloc(1, sizeof *s);
    if (!s)
        return qd_error_set(QD_ENOMEM, "no memory for a group's transport");
    s->members = group->config.member_count;
    /* With very many members a piece is one float of each node. */
    size_t piece = CHUNK_FLOATS / (size_t)s->members;
    size_t floats = piece > QD_TREE_MAX_COVER ? piece : QD_TREE_MAX_COVER;
    s->parts_bytes = sizeof(qd_signature) + qd_align_bytes(floats * sizeof(float));
    s->result_bytes = qd_align_bytes(floats * sizeof(float));
    int rc = qd_requests_create(group->config.world->data, WINDOWS * LANES * s->members,
                                WINDOWS * window_bytes(s), &s->requests);
    if (rc) {
        free(s);
        return rc;
    }
    *out = s;
    return 0;
}

static void mpi_close_transport(void *state) {
    mpi_state *s = state;
    if (!s)
        return;
    qd_requests_destroy(s->requests);
    free(s);
}

static int lane_slot(const mpi_state *s, int window, lane_kind lane) {
    return (window * LANES + (int)lane) * s->members;
}

/* Where a message from or to a member lies. */
static unsigned char *place(const mpi_state *s, int window, lane_kind lane, int member) {
    size_t members = (size_t)s->members, i = (size_t)member;
    size_t at = (size_t)window * window_bytes(s);
    if (lane == SEND_PARTS || lane == RECEIVE_PARTS)
        at += ((lane == SEND_PARTS ? 0 : members) + i) * s->parts_bytes;
    else
        at += 2 * members * s->parts_bytes +
              ((lane == SEND_RESULT ? 0 : members) + i) * s->result_bytes;
    return qd_requests_buffer(s->requests) + at;
}

/* A chunk [begin, begin + n) of the vector. call is NULL in a barrier, which has no floats. */
typedef struct chunk {
    const qd_signature *signature;
    const qd_allreduce_call *call;
    size_t begin, n;
    int window;
} chunk;

static int held(const chunk *c, int member) {
    if (!c->call)
        return 0;
    const qd_reduction *r = c->call->reduction;
    return r->first_source[member + 1] - r->first_source[member];
}

static size_t piece_floats(const mpi_state *s, const chunk *c, int member) {
    return qd_piece_begin(c->n, s->members, member + 1) - qd_piece_begin(c->n, s->members, member);
}

static int check_parts(const qd_group *group, const chunk *c, int member, size_t bytes) {
    const mpi_state *s = group->transport_state;
    size_t floats = (size_t)held(c, member) * piece_floats(s, c, group->index);
    size_t expected = sizeof(qd_signature) + floats * sizeof(float);
    int rc = 0;
    if (bytes >= sizeof(qd_signature))
        rc = qd_signature_check(group, member,
                                (const qd_signature *)place(s, c->window, RECEIVE_PARTS, member),
                                c->signature);
    if (!rc && bytes != expected)
        rc = qd_error_set(QD_EPROTO, "group %u: rank %d sent %zu bytes of parts instead of %zu",
                          group->config.id, qd_group_rank(group, member), bytes, expected);
    return rc;
}

static int name_late(qd_group *group, const qd_wait *wait, int first, const char *what) {
    mpi_state *s = group->transport_state;
    for (int i = 0; i < s->members; i++)
        group->late[i] = qd_requests_busy(s->requests, first + i, 1);
    return qd_wait_late(wait, what);
}

/* Waits until a lane of the chunk's window is quiet. */
static int wait_lane(qd_group *group, const chunk *c, lane_kind lane) {
    mpi_state *s = group->transport_state;
    const char *what = c->call ? "all-reduce" : "barrier";
    int first = lane_slot(s, c->window, lane);
    qd_wait wait = {.group = group};
    while (qd_requests_busy(s->requests, first, s->members)) {
        int slot;
        size_t bytes;
        int rc = qd_requests_take(s->requests, first, s->members, &slot, &bytes);
        if (rc == 1) {
            wait = (qd_wait){.group = group};
            rc = lane == RECEIVE_PARTS ? check_parts(group, c, slot - first, bytes) : 0;
        } else if (rc < 0 && slot >= 0) {
            rc = qd_error_context(rc, "group %u: %s: %s rank %d", group->config.id, what,
                                  lane_words[lane], qd_group_rank(group, slot - first));
        } else if (rc == 0) {
            rc = qd_wait_pause(&wait);
            if (rc == QD_ETIMEDOUT)
                return name_late(group, &wait, first, what);
        }
        if (rc)
            return rc;
    }
    return 0;
}

static int send(qd_group *group, const chunk *c, lane_kind lane, int to, const void *at,
                size_t bytes) {
    mpi_state *s = group->transport_state;
    return qd_requests_send(s->requests, lane_slot(s, c->window, lane) + to, at, bytes,
                            qd_group_rank(group, to),
                            qd_group_tag(group, lane == SEND_PARTS ? QD_TAG_PARTS : QD_TAG_RESULT));
}

static int receive(qd_group *group, const chunk *c, lane_kind lane, int from) {
    mpi_state *s = group->transport_state;
    bool parts = lane == RECEIVE_PARTS;
    return qd_requests_receive(s->requests, lane_slot(s, c->window, lane) + from,
                               place(s, c->window, lane, from),
                               parts ? s->parts_bytes : s->result_bytes, qd_group_rank(group, from),
                               qd_group_tag(group, parts ? QD_TAG_PARTS : QD_TAG_RESULT));
}

static int send_parts(qd_group *group, const chunk *c, int to) {
    mpi_state *s = group->transport_state;
    unsigned char *message = place(s, c->window, SEND_PARTS, to);
    size_t floats = piece_floats(s, c, to), length = sizeof *c->signature;
    memcpy(message, c->signature, length);
    for (int k = 0; k < held(c, group->index); k++) {
        memcpy(message + length,
               c->call->parts[k] + c->begin + qd_piece_begin(c->n, s->members, to),
               floats * sizeof(float));
        length += floats * sizeof(float);
    }
    return send(group, c, SEND_PARTS, to, message, length);
}

static int begin_chunk(qd_group *group, const chunk *c) {
    mpi_state *s = group->transport_state;
    int rc = wait_lane(group, c, SEND_PARTS);
    if (!rc)
        rc = wait_lane(group, c, SEND_RESULT);
    for (int i = 0; !rc && i < s->members; i++) {
        if (i == group->index)
            continue;
        rc = receive(group, c, RECEIVE_PARTS, i);
        if (!rc && piece_floats(s, c, i) > 0)
            rc = receive(group, c, RECEIVE_RESULT, i);
    }
    /* Beginning with the next member: else all would send to the first one at once. */
    for (int step = 1; !rc && step < s->members; step++)
        rc = send_parts(group, c, (group->index + step) % s->members);
    return rc;
}

static void find_sources(qd_group *group, const chunk *c) {
    mpi_state *s = group->transport_state;
    qd_reduction *r = c->call->reduction;
    size_t n = piece_floats(s, c, group->index);
    size_t begin = c->begin + qd_piece_begin(c->n, s->members, group->index);
    for (int i = 0; i < s->members; i++) {
        const float *sent =
            (const float *)(place(s, c->window, RECEIVE_PARTS, i) + sizeof *c->signature);
        for (int k = r->first_source[i], node = 0; k < r->first_source[i + 1]; k++, node++)
            r->source[k] =
                i == group->index ? c->call->parts[node] + begin : sent + (size_t)node * n;
    }
}

static int reduce_chunk(qd_group *group, const chunk *c) {
    mpi_state *s = group->transport_state;
    size_t n = piece_floats(s, c, group->index);
    int rc = wait_lane(group, c, RECEIVE_PARTS);
    if (rc || n == 0)
        return rc;
    find_sources(group, c);
    float *result = (float *)place(s, c->window, SEND_RESULT, group->index);
    qd_reduction_run(c->call->reduction, result, n);
    for (int step = 1; !rc && step < s->members; step++)
        rc = send(group, c, SEND_RESULT, (group->index + step) % s->members, result,
                  n * sizeof(float));
    memcpy(c->call->result + c->begin + qd_piece_begin(c->n, s->members, group->index), result,
           n * sizeof(float));
    return rc;
}

static int gather_chunk(qd_group *group, const chunk *c) {
    mpi_state *s = group->transport_state;
    int rc = wait_lane(group, c, RECEIVE_RESULT);
    for (int i = 0; !rc && i < s->members; i++)
        if (i != group->index)
            memcpy(c->call->result + c->begin + qd_piece_begin(c->n, s->members, i),
                   place(s, c->window, RECEIVE_RESULT, i), piece_floats(s, c, i) * sizeof(float));
    if (!rc)
        group->bytes_sent += qd_reduction_bytes(c->call->reduction, group->index, c->n);
    return rc;
}

/* What was sent must have left before this member goes computing: while it does, MPI may be
 * unable to move it, and the others would wait. */
static int drain(qd_group *group, const chunk *last) {
    int rc = 0;
    for (int w = 0; !rc && w < WINDOWS; w++) {
        chunk c = *last;
        c.window = w;
        rc = wait_lane(group, &c, SEND_PARTS);
        if (!rc)
            rc = wait_lane(group, &c, SEND_RESULT);
    }
    return rc;
}

static int mpi_barrier(qd_group *group, const qd_signature *signature) {
    mpi_state *s = group->transport_state;
    chunk c = {.signature = signature, .window = (int)(s->chunks++ % WINDOWS)};
    int rc = begin_chunk(group, &c);
    if (!rc)
        rc = wait_lane(group, &c, RECEIVE_PARTS);
    return rc ? rc : drain(group, &c);
}

/* Chunk number t of a call whose first chunk is number `first` of the group. */
static chunk chunk_at(const qd_allreduce_call *call, size_t floats, uint64_t first, size_t t) {
    size_t begin = t * floats, left = (size_t)call->count - begin;
    return (chunk){.signature = call->signature,
                   .call = call,
                   .begin = begin,
                   .n = left < floats ? left : floats,
                   .window = (int)((first + t) % WINDOWS)};
}

static int mpi_allreduce(qd_group *group, const qd_allreduce_call *call) {
    mpi_state *s = group->transport_state;
    size_t floats = qd_reduction_chunk(call->reduction, CHUNK_FLOATS);
    size_t count = (size_t)call->count, chunks = count > 0 ? (count + floats - 1) / floats : 1;
    uint64_t first = s->chunks;
    s->chunks += chunks;
    int rc = 0;
    chunk c = {0};
    for (size_t t = 0; !rc && t < chunks + 2; t++) {
        if (t < chunks) {
            c = chunk_at(call, floats, first, t);
            rc = begin_chunk(group, &c);
        }
        if (!rc && t >= 1 && t - 1 < chunks) {
            c = chunk_at(call, floats, first, t - 1);
            rc = reduce_chunk(group, &c);
        }
        if (!rc && t >= 2) {
            c = chunk_at(call, floats, first, t - 2);
            rc = gather_chunk(group, &c);
        }
    }
    return rc ? rc : drain(group, &c);
}

const qd_transport qd_transport_mpi = {
    .name = "mpi",
    .open = mpi_open_transport,
    .close = mpi_close_transport,
    .barrier = mpi_barrier,
    .allreduce = mpi_allreduce,
};
