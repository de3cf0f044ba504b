/*
 * All-reduce over shared memory. Each member copies a chunk of its node vectors into its staging
 * buffer and publishes a ticket; each then adds its piece of the chunk straight from the others'
 * buffers, leaves the sum in its own (its own piece there is read by nobody else before) and
 * publishes that; all copy the pieces out.
 *
 * Tickets count chunks and barriers over the group's life and pick the buffer, ticket modulo 2.
 * Two waits a chunk are enough: who fills a buffer for ticket t has seen all others publish t - 1,
 * which each did after copying out t - 2, the buffer's last use. The same argument frees the
 * signature's place.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/group_state.h"
#include "collectives/shm_layout.h"
#include "runtime/error.h"

typedef struct shm_state {
    qd_shm_member *members;
    uint64_t in, out; /* this member's counters */
} shm_state;

static int shm_open_transport(const qd_group *group, void **out) {
    shm_state *s = calloc(1, sizeof *s);
    if (!s)
        return qd_error_set(QD_ENOMEM, "no memory for a group's transport");
    s->members = qd_shm_segment_memory(group->segment);
    *out = s;
    return 0;
}

static void shm_close_transport(void *state) {
    free(state);
}

typedef enum { COUNTER_IN, COUNTER_OUT } counter_kind;

static bool has_come(qd_shm_member *member, counter_kind kind, uint64_t ticket) {
    _Atomic uint64_t *counter = kind == COUNTER_IN ? &member->in : &member->out;
    return atomic_load_explicit(counter, memory_order_acquire) >= ticket;
}

static int name_late(const qd_wait *wait, const char *what, counter_kind kind, uint64_t ticket) {
    qd_group *group = wait->group;
    shm_state *s = group->transport_state;
    for (int i = 0; i < group->config.member_count; i++)
        group->late[i] = !has_come(&s->members[i], kind, ticket);
    return qd_wait_late(wait, what);
}

/* Waits for all members' counters. Where mine is given, each one's signature is compared as soon
 * as it is there, so that a member which calls something else is named and not waited for. */
static int wait_for_all(qd_group *group, counter_kind kind, uint64_t ticket, const char *what,
                        const qd_signature *mine) {
    shm_state *s = group->transport_state;
    qd_wait wait = {.group = group};
    for (;;) {
        bool all = true;
        for (int i = 0; i < group->config.member_count; i++) {
            if (!has_come(&s->members[i], kind, ticket)) {
                all = false;
            } else if (mine) {
                int rc = qd_signature_check(group, i, &s->members[i].signature[ticket % 2], mine);
                if (rc)
                    return rc;
            }
        }
        if (all)
            return 0;
        int rc = qd_wait_pause(&wait);
        if (rc == QD_ETIMEDOUT)
            return name_late(&wait, what, kind, ticket);
        if (rc)
            return rc;
    }
}

/* Publishes the next ticket and waits for all others'. signature: at the first one of a call. */
static int pass_in(qd_group *group, const char *what, const qd_signature *signature) {
    shm_state *s = group->transport_state;
    qd_shm_member *me = &s->members[group->index];
    uint64_t ticket = s->in + 1;
    if (signature)
        me->signature[ticket % 2] = *signature;
    s->in = ticket;
    atomic_store_explicit(&me->in, ticket, memory_order_release);
    return wait_for_all(group, COUNTER_IN, ticket, what, signature);
}

static int pass_out(qd_group *group, const char *what) {
    shm_state *s = group->transport_state;
    atomic_store_explicit(&s->members[group->index].out, ++s->out, memory_order_release);
    return wait_for_all(group, COUNTER_OUT, s->out, what, NULL);
}

static int shm_barrier(qd_group *group, const qd_signature *signature) {
    return pass_in(group, "barrier", signature);
}

/* A chunk [begin, begin + n) of the vector, staged with `stride` floats from node to node. */
typedef struct chunk {
    size_t begin, n, stride;
    int buffer;
} chunk;

static void copy_in(qd_group *group, const qd_allreduce_call *call, const chunk *c) {
    shm_state *s = group->transport_state;
    const qd_reduction *r = call->reduction;
    int me = group->index;
    size_t own = qd_piece_begin(c->n, r->members, me);
    size_t own_end = qd_piece_begin(c->n, r->members, me + 1);
    for (int k = 0; k < r->first_source[me + 1] - r->first_source[me]; k++) {
        float *to = s->members[me].staging[c->buffer] + (size_t)k * c->stride;
        const float *from = call->parts[k] + c->begin;
        memcpy(to, from, own * sizeof *to);
        memcpy(to + own_end, from + own_end, (c->n - own_end) * sizeof *to);
    }
}

static void add_own_piece(qd_group *group, const qd_allreduce_call *call, const chunk *c) {
    shm_state *s = group->transport_state;
    qd_reduction *r = call->reduction;
    size_t begin = qd_piece_begin(c->n, r->members, group->index);
    size_t n = qd_piece_begin(c->n, r->members, group->index + 1) - begin;
    for (int i = 0; i < r->members; i++)
        for (int k = r->first_source[i], node = 0; k < r->first_source[i + 1]; k++, node++)
            r->source[k] = i == group->index ? call->parts[node] + c->begin + begin
                                             : s->members[i].staging[c->buffer] +
                                                   (size_t)node * c->stride + begin;
    qd_reduction_run(r, s->members[group->index].staging[c->buffer] + begin, n);
}

static void copy_out(qd_group *group, const qd_allreduce_call *call, const chunk *c) {
    shm_state *s = group->transport_state;
    int members = call->reduction->members;
    for (int i = 0; i < members; i++) {
        size_t begin = qd_piece_begin(c->n, members, i);
        size_t n = qd_piece_begin(c->n, members, i + 1) - begin;
        memcpy(call->result + c->begin + begin, s->members[i].staging[c->buffer] + begin,
               n * sizeof(float));
    }
}

static int reduce_chunk(qd_group *group, const qd_allreduce_call *call, const chunk *c) {
    copy_in(group, call, c);
    int rc = pass_in(group, "all-reduce", c->begin == 0 ? call->signature : NULL);
    if (rc)
        return rc;
    add_own_piece(group, call, c);
    rc = pass_out(group, "all-reduce");
    if (rc)
        return rc;
    copy_out(group, call, c);
    group->bytes_sent += qd_reduction_bytes(call->reduction, group->index, c->n);
    return 0;
}

static int shm_allreduce(qd_group *group, const qd_allreduce_call *call) {
    shm_state *s = group->transport_state;
    int rc = 0;
    size_t count = (size_t)call->count;
    chunk c = {.stride = qd_reduction_chunk(call->reduction, QD_SHM_STAGING_FLOATS)};
    do {
        c.n = count - c.begin < c.stride ? count - c.begin : c.stride;
        c.buffer = (int)((s->in + 1) % 2);
        rc = reduce_chunk(group, call, &c);
        c.begin += c.n;
    } while (!rc && c.begin < count);
    return rc;
}

/* Its own nodes; of each other member's its piece, and the sum that the other has made. Calls take
 * the two buffers by turns, so that in time both are touched. */
size_t qd_shm_touched_bytes(const qd_reduction *r, int index, int64_t count) {
    size_t stride = qd_reduction_chunk(r, QD_SHM_STAGING_FLOATS);
    size_t n = (size_t)count < stride ? (size_t)count : stride, floats = 0;
    size_t own = qd_piece_begin(n, r->members, index + 1) - qd_piece_begin(n, r->members, index);
    for (int i = 0; i < r->members; i++) {
        size_t held = (size_t)(r->first_source[i + 1] - r->first_source[i]);
        size_t theirs = qd_piece_begin(n, r->members, i + 1) - qd_piece_begin(n, r->members, i);
        floats += i == index ? held * n : held * own + theirs;
    }
    return (size_t)r->members * offsetof(qd_shm_member, staging) + 2 * floats * sizeof(float);
}

const qd_transport qd_transport_shm = {
    .name = "shm",
    .open = shm_open_transport,
    .close = shm_close_transport,
    .barrier = shm_barrier,
    .allreduce = shm_allreduce,
};
