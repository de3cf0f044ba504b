#include "collectives/stream.h"

#include <stdlib.h>
#include <string.h>

#include "collectives/group_state.h"
#include "collectives/requests.h"

enum { SLOTS = 4, CHANNEL_BYTES = 1 << 20, LEAST_SLOT_BYTES = 4096, DIRECTIONS = 2 };
typedef enum { SEND, RECEIVE } direction;

/* A channel in shared memory; it lies in the sender's part of the segment. */
typedef struct ring {
    _Alignas(64) _Atomic uint64_t head; /* slots filled */
    _Alignas(64) _Atomic uint64_t tail; /* slots emptied */
    _Alignas(64) unsigned char slots[];
} ring;

/* One direction of one peer. */
typedef struct channel {
    qd_transfer *first, *last;
    uint64_t messages; /* begun so far */
    uint64_t slots;    /* of MPI: begun, sends or receives */
    uint64_t taken;    /* of MPI: receives copied out */
    size_t arrived[SLOTS];
} channel;

struct qd_streams {
    int members, under_way;
    size_t slot_bytes;            /* payload; a signature stands before it */
    qd_requests *requests;        /* [members][DIRECTIONS][SLOTS]; made when first needed */
    channel *channel[DIRECTIONS]; /* [members] */
};

static size_t slot_bytes(int members) {
    size_t even = CHANNEL_BYTES / SLOTS / (size_t)members / 64 * 64;
    return even > LEAST_SLOT_BYTES ? even : LEAST_SLOT_BYTES;
}

static size_t slot_stride(int members) {
    return sizeof(qd_signature) + slot_bytes(members);
}

static size_t ring_bytes(int locals) {
    return sizeof(ring) + SLOTS * slot_stride(locals);
}

size_t qd_streams_shm_bytes(int locals) {
    return (size_t)locals * ring_bytes(locals);
}

int qd_streams_create(const qd_group *group, qd_streams **out) {
    size_t members = (size_t)group->config.member_count;
    qd_streams *s = calloc(1, sizeof *s);
    if (!s)
        return qd_error_set(QD_ENOMEM, "no memory for a group's channels");
    s->members = (int)members;
    for (int d = 0; d < DIRECTIONS; d++)
        s->channel[d] = calloc(members, sizeof *s->channel[d]);
    if (!s->channel[SEND] || !s->channel[RECEIVE]) {
        qd_streams_destroy(s);
        return qd_error_set(QD_ENOMEM, "no memory for a group's channels");
    }
    *out = s;
    return 0;
}

void qd_streams_destroy(qd_streams *s) {
    if (!s)
        return;
    qd_requests_destroy(s->requests);
    free(s->channel[SEND]);
    free(s->channel[RECEIVE]);
    free(s);
}

/* ---- parts ---- */

void qd_streams_add(qd_operation *op, bool sending, int peer, void *at, size_t bytes) {
    int locals = qd_hosts_size(&op->group->hosts, op->group->hosts.mine);
    bool shares = op->group->shm[peer] != NULL;
    size_t slot = slot_bytes(shares ? locals : op->group->config.member_count);
    qd_transfer *t =
        &op->transfers[sending ? op->sends++ : op->group->config.member_count + op->receives++];
    *t = (qd_transfer){.op = op, .peer = peer, .at = at, .bytes = bytes};
    t->slots = bytes > 0 ? (bytes + slot - 1) / slot : 1;
}

/* With an injected delay a message leaves when the link has carried it. */
static void delay(qd_group *group, qd_transfer *t) {
    const qd_group_config *c = &group->config;
    if (c->delay_per_operation_s <= 0 && c->delay_per_byte_s <= 0)
        return;
    int64_t now = qd_clock_now_ns();
    int64_t from = group->link_free_ns > now ? group->link_free_ns : now;
    double delay_s = c->delay_per_operation_s + c->delay_per_byte_s * (double)t->bytes;
    t->ready_ns = group->link_free_ns = from + (int64_t)(delay_s * 1e9);
}

static void append(channel *c, qd_transfer *t) {
    t->next = NULL;
    if (c->last)
        c->last->next = t;
    else
        c->first = t;
    c->last = t;
}

static int make_requests(qd_group *group) {
    qd_streams *s = group->streams;
    size_t messages = (size_t)s->members * DIRECTIONS * SLOTS;
    return qd_requests_create(group->config.world, (int)messages,
                              messages * slot_stride(s->members), &s->requests);
}

int qd_streams_begin(qd_operation *op) {
    qd_group *group = op->group;
    qd_streams *s = group->streams;
    if (group->lanes && !s->requests && make_requests(group))
        return QD_ENOMEM;
    for (int i = 0; i < op->sends; i++) {
        delay(group, &op->transfers[i]);
        append(&s->channel[SEND][op->transfers[i].peer], &op->transfers[i]);
    }
    for (int i = 0; i < op->receives; i++) {
        qd_transfer *t = &op->transfers[group->config.member_count + i];
        append(&s->channel[RECEIVE][t->peer], t);
    }
    op->parts_left = op->sends + op->receives;
    s->under_way += op->parts_left;
    return 0;
}

static void finish(qd_group *group, channel *c) {
    qd_transfer *t = c->first;
    c->first = t->next;
    if (!c->first)
        c->last = NULL;
    c->messages++;
    group->streams->under_way--;
    qd_operation *op = t->op;
    /* An all-to-all is also in the pipeline, which ends it. */
    if (--op->parts_left == 0 && !op->collective)
        qd_operation_end(op, 0);
}

static size_t chunk_of(const qd_transfer *t, size_t slot) {
    return t->bytes - t->moved < slot ? t->bytes - t->moved : slot;
}

static void fill(qd_group *group, const channel *c, qd_transfer *t, unsigned char *slot,
                 size_t bytes) {
    qd_signature head = {.call = c->messages,
                         .kind = t->op->signature.kind,
                         .count = (int64_t)t->bytes,
                         .group = group->config.id,
                         .member = (uint32_t)group->index};
    memcpy(slot, &head, sizeof head);
    memcpy(slot + sizeof head, t->at + t->moved, bytes);
    t->moved += bytes;
    t->slots_moved++;
    group->bytes[head.kind] += bytes;
    if (!group->shm[t->peer])
        group->bytes_between_hosts += bytes;
}

/* A send meets a receive, an all-to-all its own kind. */
static int empty(qd_group *group, const channel *c, qd_transfer *t, const unsigned char *slot,
                 size_t bytes) {
    qd_signature head;
    memcpy(&head, slot, sizeof head);
    uint32_t kind = t->op->signature.kind;
    uint32_t expected = kind == QD_CALL_RECEIVE ? QD_CALL_SEND : kind;
    if (head.group != group->config.id || head.kind != expected ||
        head.count != (int64_t)t->bytes || head.call != c->messages)
        return qd_error_set(QD_EPROTO,
                            "group %u: rank %d's message %llu to this rank is of %lld bytes by %s; "
                            "this rank expects %zu by %s",
                            group->config.id, qd_group_rank(group, t->peer),
                            (unsigned long long)head.call, (long long)head.count,
                            head.kind < QD_CALL_KINDS ? qd_call_words[head.kind] : "?", t->bytes,
                            qd_call_words[expected]);
    memcpy(t->at + t->moved, slot + sizeof head, bytes);
    t->moved += bytes;
    t->slots_moved++;
    return 0;
}

/* ---- over shared memory ---- */

static ring *find_ring(qd_group *group, int from, int to) {
    const qd_hosts *h = &group->hosts;
    int locals = qd_hosts_size(h, h->mine);
    unsigned char *after = (unsigned char *)(group->shm[from] + 1);
    return (ring *)(void *)(after + (size_t)h->position[to] * ring_bytes(locals));
}

static int move_shared(qd_group *group, channel *c, direction d) {
    qd_transfer *t = c->first;
    bool sending = d == SEND;
    int locals = qd_hosts_size(&group->hosts, group->hosts.mine), moved = 0;
    ring *r =
        sending ? find_ring(group, group->index, t->peer) : find_ring(group, t->peer, group->index);
    size_t slot = slot_bytes(locals), stride = slot_stride(locals);
    while (t->slots_moved < t->slots) {
        uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire);
        uint64_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
        if (head - tail == (sending ? SLOTS : 0))
            return moved ? 1 : qd_group_word_of(group, t->peer);
        unsigned char *at = r->slots + (sending ? head : tail) % SLOTS * stride;
        int rc = 0;
        if (sending)
            fill(group, c, t, at, chunk_of(t, slot));
        else
            rc = empty(group, c, t, at, chunk_of(t, slot));
        if (rc)
            return rc;
        atomic_store_explicit(sending ? &r->head : &r->tail, (sending ? head : tail) + 1,
                              memory_order_release);
        moved = 1;
    }
    finish(group, c);
    return 1;
}

/* ---- over MPI ---- */

static int first_slot(int peer, direction d) {
    return (peer * DIRECTIONS + (int)d) * SLOTS;
}

static unsigned char *message_at(const qd_streams *s, int slot) {
    return qd_requests_buffer(s->requests) + (size_t)slot * slot_stride(s->members);
}

static int collect(qd_group *group, channel *c, int peer, direction d) {
    qd_streams *s = group->streams;
    int first = first_slot(peer, d), slot, rc;
    size_t bytes;
    while ((rc = qd_requests_take(s->requests, first, SLOTS, &slot, &bytes)) == 1)
        c->arrived[slot - first] = bytes;
    return rc < 0 ? qd_error_context(rc, "group %u: with rank %d", group->config.id,
                                     qd_group_rank(group, peer))
                  : 0;
}

static int send_slots(qd_group *group, channel *c) {
    qd_streams *s = group->streams;
    qd_transfer *t = c->first;
    int first = first_slot(t->peer, SEND), moved = 0;
    int rc = collect(group, c, t->peer, SEND);
    while (!rc && t->slots_moved < t->slots) {
        int slot = first + (int)(c->slots % SLOTS);
        if (qd_requests_busy(s->requests, slot, 1))
            return moved;
        size_t bytes = chunk_of(t, slot_bytes(s->members));
        fill(group, c, t, message_at(s, slot), bytes);
        rc = qd_requests_send(s->requests, slot, message_at(s, slot), sizeof(qd_signature) + bytes,
                              qd_group_rank(group, t->peer), qd_group_tag(group, QD_TAG_STREAM));
        c->slots++;
        moved = 1;
    }
    /* What was sent must have left: see get_ready of stages.c. */
    if (rc || qd_requests_busy(s->requests, first, SLOTS))
        return rc ? rc : moved;
    finish(group, c);
    return 1;
}

/* Receives are begun ahead, but not beyond the message. */
static int begin_receives(qd_group *group, channel *c) {
    qd_streams *s = group->streams;
    qd_transfer *t = c->first;
    int rc = 0;
    while (!rc && c->slots - c->taken < SLOTS &&
           t->slots_moved + (c->slots - c->taken) < t->slots) {
        int slot = first_slot(t->peer, RECEIVE) + (int)(c->slots % SLOTS);
        rc = qd_requests_receive(s->requests, slot, message_at(s, slot), slot_stride(s->members),
                                 qd_group_rank(group, t->peer), qd_group_tag(group, QD_TAG_STREAM));
        c->slots++;
    }
    return rc;
}

static int receive_slots(qd_group *group, channel *c) {
    qd_streams *s = group->streams;
    qd_transfer *t = c->first;
    int first = first_slot(t->peer, RECEIVE), moved = 0;
    int rc = begin_receives(group, c);
    if (!rc)
        rc = collect(group, c, t->peer, RECEIVE);
    while (!rc && t->slots_moved < t->slots) {
        int k = (int)(c->taken % SLOTS);
        if (c->taken == c->slots || qd_requests_busy(s->requests, first + k, 1))
            return moved;
        size_t bytes = chunk_of(t, slot_bytes(s->members));
        /* A message that is another one's has another size: its head is compared first. */
        rc = empty(group, c, t, message_at(s, first + k), bytes);
        c->taken++;
        moved = 1;
        if (!rc)
            rc = begin_receives(group, c);
    }
    if (rc)
        return rc;
    finish(group, c);
    return 1;
}

/* ---- all ---- */

static int move(qd_group *group, channel *c, direction d) {
    if (c->first->ready_ns > 0 && c->first->ready_ns > qd_clock_now_ns())
        return 0;
    if (group->shm[c->first->peer])
        return move_shared(group, c, d);
    return d == SEND ? send_slots(group, c) : receive_slots(group, c);
}

int qd_streams_pass(qd_group *group) {
    qd_streams *s = group->streams;
    int moved = 0;
    /* Each begins with the next member: else all would send to the first one at once. */
    for (int step = 1; s->under_way > 0 && step < s->members; step++) {
        int peer = (group->index + step) % s->members;
        for (int d = 0; d < DIRECTIONS; d++) {
            channel *c = &s->channel[d][peer];
            int rc = c->first ? move(group, c, (direction)d) : 0;
            if (rc < 0)
                return rc;
            moved |= rc;
        }
    }
    return moved;
}

bool qd_streams_have_work(const qd_streams *s) {
    return s && s->under_way > 0;
}

int64_t qd_streams_held_until(const qd_streams *s) {
    int64_t earliest = 0, now = 0;
    for (int i = 0; s && s->under_way > 0 && i < s->members; i++) {
        const qd_transfer *t = s->channel[SEND][i].first;
        if (!t || t->ready_ns == 0)
            continue;
        now = now ? now : qd_clock_now_ns();
        if (t->ready_ns > now && (earliest == 0 || t->ready_ns < earliest))
            earliest = t->ready_ns;
    }
    return earliest;
}

void qd_streams_find_late(qd_group *group) {
    const qd_streams *s = group->streams;
    for (int i = 0; s && i < s->members; i++)
        for (int d = 0; d < DIRECTIONS; d++)
            if (s->channel[d][i].first) {
                group->late[i] = true;
                group->late_what = qd_call_words[s->channel[d][i].first->op->signature.kind];
            }
}

void qd_streams_fail(qd_group *group, int rc) {
    qd_streams *s = group->streams;
    for (int i = 0; s && i < s->members; i++)
        for (int d = 0; d < DIRECTIONS; d++) {
            qd_transfer *t = s->channel[d][i].first;
            s->channel[d][i].first = s->channel[d][i].last = NULL;
            while (t) {
                qd_transfer *next = t->next;
                qd_operation *op = t->op;
                /* The last of its parts ends it: after that it is its owner's. */
                if (--op->parts_left == 0 && !op->collective)
                    qd_operation_end(op, rc);
                t = next;
            }
        }
    if (s)
        s->under_way = 0;
}
