#include "collectives/meeting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "collectives/group_state.h"
#include "collectives/requests.h"
#include "collectives/shm_layout.h"
#include "runtime/error.h"

/* Both messages begin with the group's id, see qd_group_tag. */
typedef struct hello {
    uint32_t group;
    uint32_t members;
    uint32_t transport;
    uint32_t unused;
    uint64_t digest; /* of the member list */
    qd_shm_address address;
} hello;

typedef struct agreement {
    uint32_t group;
    uint32_t mapped;
    char reason[112]; /* why not */
} agreement;

enum { ROUNDS = 2, MESSAGE_BYTES = 128 };
_Static_assert(sizeof(hello) <= MESSAGE_BYTES && sizeof(agreement) <= MESSAGE_BYTES, "fits");

typedef struct meeting {
    qd_group *group;
    int members;
    qd_requests *requests; /* of each round: [members] sends, then [members] receives */
} meeting;

/* One round: a message to all others and one from each. */
typedef struct round {
    const char *what;
    qd_tag_kind tag;
    int number;
    size_t bytes;
    int (*check)(const meeting *meet, int member, const void *message);
} round;

static void *message_from(const meeting *meet, const round *r, int member) {
    int place = r->number * (meet->members + 1) + 1 + member;
    return qd_requests_buffer(meet->requests) + (size_t)place * MESSAGE_BYTES;
}

static void *message_out(const meeting *meet, const round *r) {
    return message_from(meet, r, -1);
}

static int first_slot(const meeting *meet, const round *r) {
    return r->number * 2 * meet->members;
}

static int receive(const meeting *meet, const round *r, int member) {
    return qd_requests_receive(
        meet->requests, first_slot(meet, r) + meet->members + member, message_from(meet, r, member),
        r->bytes, qd_group_rank(meet->group, member), qd_group_tag(meet->group, r->tag));
}

static int post_round(const meeting *meet, const round *r) {
    int rc = 0;
    for (int i = 0; !rc && i < meet->members; i++) {
        if (i == meet->group->index)
            continue;
        rc = receive(meet, r, i);
        if (!rc)
            rc = qd_requests_send(meet->requests, first_slot(meet, r) + i, message_out(meet, r),
                                  r->bytes, qd_group_rank(meet->group, i),
                                  qd_group_tag(meet->group, r->tag));
    }
    return rc;
}

static int arrived(const meeting *meet, const round *r, int member, size_t bytes) {
    uint32_t id;
    memcpy(&id, message_from(meet, r, member), sizeof id);
    if (id != meet->group->config.id) /* left over from a group with the same tags */
        return receive(meet, r, member);
    if (bytes != r->bytes)
        return qd_error_set(QD_EPROTO, "group %u: rank %d sent %zu bytes for %s, not %zu", id,
                            qd_group_rank(meet->group, member), bytes, r->what, r->bytes);
    return r->check(meet, member, message_from(meet, r, member));
}

static int name_late(const meeting *meet, const round *r, const qd_wait *wait) {
    int first = first_slot(meet, r);
    for (int i = 0; i < meet->members; i++)
        meet->group->late[i] = qd_requests_busy(meet->requests, first + i, 1) ||
                               qd_requests_busy(meet->requests, first + meet->members + i, 1);
    return qd_wait_late(wait, r->what);
}

static int run_round(const meeting *meet, const round *r) {
    int first = first_slot(meet, r), slots = 2 * meet->members;
    qd_wait wait = {.group = meet->group};
    int rc = post_round(meet, r);
    while (!rc && qd_requests_busy(meet->requests, first, slots)) {
        int slot;
        size_t bytes;
        rc = qd_requests_take(meet->requests, first, slots, &slot, &bytes);
        int member = slot - first - meet->members;
        if (rc < 0 && slot >= 0)
            rc = qd_error_context(rc, "group %u: %s of rank %d", meet->group->config.id, r->what,
                                  qd_group_rank(meet->group, (slot - first) % meet->members));
        else if (rc == 1)
            rc = member >= 0 ? arrived(meet, r, member, bytes) : 0;
        else if (rc == 0)
            rc = qd_wait_pause(&wait);
    }
    return rc == QD_ETIMEDOUT ? name_late(meet, r, &wait) : rc;
}

static hello own_hello(const qd_group *group) {
    const qd_group_config *c = &group->config;
    hello h = {.group = c->id,
               .members = (uint32_t)c->member_count,
               .transport = (uint32_t)c->transport,
               .digest = XXH3_64bits(c->members, (size_t)c->member_count * sizeof *c->members),
               .address = {.fd = -1}};
    if (group->segment)
        h.address = qd_shm_segment_address(group->segment);
    return h;
}

static int check_hello(const meeting *meet, int member, const void *message) {
    const hello *theirs = message;
    hello mine = own_hello(meet->group);
    if (theirs->members == mine.members && theirs->transport == mine.transport &&
        theirs->digest == mine.digest)
        return 0;
    return qd_error_set(QD_EPROTO,
                        "group %u: rank %d knows it as %u members over %s, this rank as %u over "
                        "%s%s",
                        mine.group, qd_group_rank(meet->group, member), theirs->members,
                        qd_transport_names[theirs->transport % QD_TRANSPORT_KINDS], mine.members,
                        qd_transport_names[mine.transport],
                        theirs->members == mine.members ? "; the lists of members must be equal"
                                                        : "");
}

static int check_agreement(const meeting *meet, int member, const void *message) {
    (void)meet;
    (void)member;
    (void)message;
    return 0;
}

static const round hello_round = {"the meeting", QD_TAG_HELLO, 0, sizeof(hello), check_hello};
static const round agree_round = {"agreeing on shared memory", QD_TAG_AGREE, 1, sizeof(agreement),
                                  check_agreement};

/* The first member whose host differs from this rank's, or -1. All members find the same answer. */
static int first_elsewhere(const qd_group *group) {
    char **host = group->config.world->host;
    for (int i = 1; i < group->config.member_count; i++)
        if (strcmp(host[qd_group_rank(group, i)], host[qd_group_rank(group, 0)]) != 0)
            return i;
    return -1;
}

static int map_segment(const meeting *meet) {
    qd_group *group = meet->group;
    int rc = 0;
    if (group->index != 0) {
        const hello *first = message_from(meet, &hello_round, 0);
        rc = qd_shm_segment_map(&first->address, &group->segment);
        if (!rc && first->address.bytes != qd_shm_layout_bytes(meet->members))
            rc = qd_error_set(QD_EPROTO, "the segment has %llu bytes, not %zu",
                              (unsigned long long)first->address.bytes,
                              qd_shm_layout_bytes(meet->members));
    } else if (!group->segment) {
        rc = QD_EIO; /* its message is the one set when making it failed */
    }
    if (!rc)
        rc = qd_shm_segment_reserve(group->segment, qd_shm_layout_offset(group->index),
                                    qd_shm_layout_bytes(1));
    return rc;
}

/* After this all members have the segment or none has. */
static int agree_on_segment(const meeting *meet) {
    qd_group *group = meet->group;
    agreement *mine = message_out(meet, &agree_round);
    mine->group = group->config.id;
    mine->mapped = map_segment(meet) == 0;
    if (!mine->mapped)
        snprintf(mine->reason, sizeof mine->reason, "%.*s", (int)sizeof mine->reason - 1,
                 qd_error_message());
    int rc = run_round(meet, &agree_round);
    if (rc)
        return rc;
    for (int i = 0; i < meet->members; i++) {
        const agreement *a = i == group->index ? mine : message_from(meet, &agree_round, i);
        if (a->mapped)
            continue;
        qd_shm_segment_destroy(group->segment);
        group->segment = NULL;
        if (group->config.transport != QD_TRANSPORT_SHM)
            return 0;
        return qd_error_set(QD_EIO, "group %u: rank %d cannot use shared memory: %.*s",
                            group->config.id, qd_group_rank(group, i), (int)sizeof a->reason - 1,
                            a->reason);
    }
    qd_shm_segment_close(group->segment);
    return 0;
}

static int meet_all(const meeting *meet, bool share) {
    qd_group *group = meet->group;
    hello mine = own_hello(group);
    memcpy(message_out(meet, &hello_round), &mine, sizeof mine);
    int rc = run_round(meet, &hello_round);
    return rc || !share ? rc : agree_on_segment(meet);
}

/* Whether the members could share memory, as far as each can tell alone (and alike). QD_EIO where
 * they must and cannot. */
static int may_share(const qd_group *group, bool *share) {
    const qd_group_config *c = &group->config;
    *share = false;
    if (c->transport == QD_TRANSPORT_MPI)
        return 0;
    int elsewhere = first_elsewhere(group);
    if (elsewhere < 0 && c->member_count <= QD_SHM_MAX_MEMBERS) {
        *share = true;
        return 0;
    }
    if (c->transport == QD_TRANSPORT_AUTO)
        return 0;
    if (elsewhere < 0)
        return qd_error_set(QD_EIO, "group %u: %d members; at most %d can share memory", c->id,
                            c->member_count, QD_SHM_MAX_MEMBERS);
    int first = qd_group_rank(group, 0), other = qd_group_rank(group, elsewhere);
    return qd_error_set(QD_EIO,
                        "group %u: rank %d is on host %s and rank %d on %s; shared memory needs "
                        "one host",
                        c->id, first, c->world->host[first], other, c->world->host[other]);
}

int qd_group_meet(qd_group *group) {
    bool share;
    int rc = may_share(group, &share);
    if (rc)
        return rc;
    /* A failure is told to the others in the second round. */
    if (share && group->index == 0 &&
        qd_shm_segment_make(qd_shm_layout_bytes(group->config.member_count), &group->segment))
        group->segment = NULL;
    meeting meet = {.group = group, .members = group->config.member_count};
    size_t places = ROUNDS * ((size_t)meet.members + 1);
    rc = qd_requests_create(group->config.world->data, ROUNDS * 2 * meet.members,
                            places * MESSAGE_BYTES, &meet.requests);
    if (!rc)
        rc = meet_all(&meet, share);
    qd_requests_destroy(meet.requests);
    return rc;
}
