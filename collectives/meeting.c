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
    uint32_t sums;   /* reduction and wire */
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

static int name_late(const meeting *meet, const round *r) {
    int first = first_slot(meet, r);
    for (int i = 0; i < meet->members; i++)
        meet->group->late[i] = qd_requests_busy(meet->requests, first + i, 1) ||
                               qd_requests_busy(meet->requests, first + meet->members + i, 1);
    return qd_wait_late(meet->group, r->what);
}

static int run_round(const meeting *meet, const round *r) {
    int first = first_slot(meet, r), slots = 2 * meet->members;
    qd_wait wait = {0};
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
            rc = qd_wait_pause(meet->group, &wait);
    }
    return rc == QD_ETIMEDOUT ? name_late(meet, r) : rc;
}

static const char *const reduction_words[] = {"ordered", "fast"};
static const char *const wire_words[] = {"fp32", "bf16"};

static hello own_hello(const qd_group *group) {
    const qd_group_config *c = &group->config;
    hello h = {.group = c->id,
               .members = (uint32_t)c->member_count,
               .transport = (uint32_t)c->transport,
               .sums = (uint32_t)c->reduction << 8 | (uint32_t)c->wire,
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
        theirs->digest == mine.digest && theirs->sums == mine.sums)
        return 0;
    if (theirs->sums != mine.sums)
        return qd_error_set(QD_EPROTO,
                            "group %u: rank %d wants %s sums that travel as %s, this rank %s sums "
                            "that travel as %s",
                            mine.group, qd_group_rank(meet->group, member),
                            reduction_words[theirs->sums >> 8 & 1], wire_words[theirs->sums & 1],
                            reduction_words[mine.sums >> 8 & 1], wire_words[mine.sums & 1]);
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

static const char *host_name(const qd_group *group, int member) {
    return group->config.world->host[qd_group_rank(group, member)];
}

/* The first member on a member's host, which makes the segment; with MPI alone each is its own. */
static int first_on_host(const qd_group *group, int member) {
    int first = 0;
    if (group->config.transport == QD_TRANSPORT_MPI)
        return member;
    while (strcmp(host_name(group, first), host_name(group, member)) != 0)
        first++;
    return first;
}

/* Finds the same hosts on all members. split: [members] or NULL; whose host shares no memory
 * after all. */
static int find_hosts(qd_group *group, const bool *split) {
    int members = group->config.member_count;
    int *label = malloc((size_t)members * sizeof *label);
    if (!label)
        return qd_error_set(QD_ENOMEM, "no memory for a group of %d", members);
    for (int i = 0; i < members; i++) {
        int first = first_on_host(group, i);
        label[i] = split && split[first] ? i : first;
    }
    qd_hosts_destroy(&group->hosts);
    int rc = qd_hosts_create(members, label, group->index, &group->hosts);
    free(label);
    return rc;
}

static int own_locals(const qd_group *group) {
    return qd_hosts_size(&group->hosts, group->hosts.mine);
}

static int map_segment(const meeting *meet) {
    qd_group *group = meet->group;
    const qd_hosts *h = &group->hosts;
    int maker = h->member[h->first[h->mine]], rc = 0;
    size_t bytes = qd_shm_layout_bytes(own_locals(group));
    if (group->index != maker) {
        const hello *first = message_from(meet, &hello_round, maker);
        rc = qd_shm_segment_map(&first->address, &group->segment);
        if (!rc && first->address.bytes != bytes)
            rc = qd_error_set(QD_EPROTO, "the segment has %llu bytes, not %zu",
                              (unsigned long long)first->address.bytes, bytes);
    } else if (!group->segment) {
        rc = QD_EIO; /* its message is the one set when making it failed */
    }
    if (!rc)
        rc = qd_shm_segment_reserve(
            group->segment, qd_shm_layout_offset(h->position[group->index], own_locals(group)),
            qd_shm_layout_offset(1, own_locals(group)));
    return rc;
}

/* Where one of a host could not map, none of that host shares memory; all members learn it. */
static int settle(const meeting *meet, const agreement *mine) {
    qd_group *group = meet->group;
    bool *split = calloc((size_t)meet->members, sizeof *split), any = false;
    if (!split)
        return qd_error_set(QD_ENOMEM, "no memory for a group of %d", meet->members);
    int rc = 0;
    for (int i = 0; !rc && i < meet->members; i++) {
        const agreement *a = i == group->index ? mine : message_from(meet, &agree_round, i);
        if (a->mapped)
            continue;
        any = split[first_on_host(group, i)] = true;
        if (group->config.transport == QD_TRANSPORT_SHM)
            rc = qd_error_set(QD_EIO, "group %u: rank %d cannot use shared memory: %.*s",
                              group->config.id, qd_group_rank(group, i), (int)sizeof a->reason - 1,
                              a->reason);
    }
    if (!rc && any)
        rc = find_hosts(group, split);
    free(split);
    return rc;
}

/* After this all members of a host have its segment or none has. */
static int agree_on_segments(const meeting *meet) {
    qd_group *group = meet->group;
    agreement *mine = message_out(meet, &agree_round);
    mine->group = group->config.id;
    mine->mapped = own_locals(group) == 1 || map_segment(meet) == 0;
    if (!mine->mapped)
        snprintf(mine->reason, sizeof mine->reason, "%.*s", (int)sizeof mine->reason - 1,
                 qd_error_message());
    int rc = run_round(meet, &agree_round);
    if (!rc)
        rc = settle(meet, mine);
    if (group->segment && (rc || own_locals(group) == 1)) {
        qd_shm_segment_destroy(group->segment);
        group->segment = NULL;
    }
    if (group->segment)
        qd_shm_segment_close(group->segment);
    return rc;
}

static int meet_all(const meeting *meet) {
    qd_group *group = meet->group;
    hello mine = own_hello(group);
    memcpy(message_out(meet, &hello_round), &mine, sizeof mine);
    int rc = run_round(meet, &hello_round);
    bool share = group->hosts.count < meet->members;
    return rc || !share ? rc : agree_on_segments(meet);
}

/* Whether the members share memory as they must, as far as each can tell alone (and alike). */
static int check_hosts(const qd_group *group) {
    const qd_group_config *c = &group->config;
    const qd_hosts *h = &group->hosts;
    for (int host = 0; host < h->count; host++)
        if (qd_hosts_size(h, host) > QD_SHM_MAX_MEMBERS)
            return qd_error_set(QD_EIO,
                                "group %u: %d members on host %s; at most %d can share memory; "
                                "transport mpi does without",
                                c->id, qd_hosts_size(h, host),
                                host_name(group, h->member[h->first[host]]), QD_SHM_MAX_MEMBERS);
    if (c->transport != QD_TRANSPORT_SHM || h->count == 1)
        return 0;
    int other = h->member[h->first[1]];
    return qd_error_set(QD_EIO,
                        "group %u: rank %d is on host %s and rank %d on %s; shared memory needs "
                        "one host",
                        c->id, qd_group_rank(group, 0), host_name(group, 0),
                        qd_group_rank(group, other), host_name(group, other));
}

int qd_group_meet(qd_group *group) {
    int rc = find_hosts(group, NULL);
    if (!rc)
        rc = check_hosts(group);
    if (rc)
        return rc;
    /* A failure is told to the others in the second round. */
    const qd_hosts *h = &group->hosts;
    if (own_locals(group) > 1 && h->member[h->first[h->mine]] == group->index &&
        qd_shm_segment_make(qd_shm_layout_bytes(own_locals(group)), &group->segment))
        group->segment = NULL;
    meeting meet = {.group = group, .members = group->config.member_count};
    size_t places = ROUNDS * ((size_t)meet.members + 1);
    rc = qd_requests_create(group->config.world, ROUNDS * 2 * meet.members, places * MESSAGE_BYTES,
                            &meet.requests);
    if (!rc)
        rc = meet_all(&meet);
    qd_requests_destroy(meet.requests);
    return rc;
}
