#include "collectives/group.h"

#include <stdlib.h>
#include <string.h>

#include "collectives/group_state.h"
#include "collectives/meeting.h"
#include "runtime/error.h"

/* A year, far from where nanoseconds overflow. */
enum { LONGEST_DEADLINE_S = 365 * 86400 };

static int check_config(const qd_group_config *c) {
    bool found = false;
    if (c->member_count < 1)
        return qd_error_set(QD_EINTERNAL, "group %u has no members", c->id);
    for (int i = 0; i < c->member_count; i++) {
        int rank = c->members[i];
        if (rank < 0 || rank >= c->world->size || (i > 0 && rank <= c->members[i - 1]))
            return qd_error_set(QD_EINTERNAL,
                                "group %u: member %d is rank %d; members are ascending ranks of a "
                                "world of %d",
                                c->id, i, rank, c->world->size);
        found = found || rank == c->world->rank;
    }
    if (!found)
        return qd_error_set(QD_EINTERNAL, "group %u: rank %d is no member of it", c->id,
                            c->world->rank);
    if (!(c->deadline_s > 0 && c->deadline_s <= LONGEST_DEADLINE_S))
        return qd_error_set(QD_EINTERNAL,
                            "group %u: a deadline of %g s; more than 0 and at most "
                            "%d is possible",
                            c->id, c->deadline_s, LONGEST_DEADLINE_S);
    return 0;
}

static qd_group *new_group(const qd_group_config *config) {
    size_t members = (size_t)config->member_count;
    qd_group *group = calloc(1, sizeof *group);
    int *copy = malloc(members * sizeof *copy);
    bool *late = calloc(members, sizeof *late);
    if (!group || !copy || !late) {
        qd_error_set(QD_ENOMEM, "no memory for a group of %zu", members);
        free(group);
        free(copy);
        free(late);
        return NULL;
    }
    memcpy(copy, config->members, members * sizeof *copy);
    group->config = *config;
    group->config.members = copy;
    group->late = late;
    for (int i = 0; i < config->member_count; i++)
        if (copy[i] == config->world->rank)
            group->index = i;
    return group;
}

static const qd_transport *choose_transport(const qd_group *group) {
    if (group->config.member_count == 1)
        return &qd_transport_self;
    return group->segment ? &qd_transport_shm : &qd_transport_mpi;
}

int qd_group_create(const qd_group_config *config, qd_group **out) {
    int rc = check_config(config);
    if (rc)
        return rc;
    qd_group *group = new_group(config);
    if (!group)
        return QD_ENOMEM;
    if (config->member_count > 1)
        rc = qd_group_meet(group);
    if (!rc) {
        group->transport = choose_transport(group);
        rc = group->transport->open(group, &group->transport_state);
    }
    if (rc) {
        qd_group_destroy(group);
        return rc;
    }
    *out = group;
    return 0;
}

void qd_group_destroy(qd_group *group) {
    if (!group)
        return;
    if (group->transport)
        group->transport->close(group->transport_state);
    qd_shm_segment_destroy(group->segment);
    qd_reduction_destroy(group->reduction);
    free(group->late);
    free((int *)group->config.members); /* the group's own copy; const is for everyone else */
    free(group);
}

int qd_group_size(const qd_group *group) {
    return group->config.member_count;
}

int qd_group_index(const qd_group *group) {
    return group->index;
}

const char *qd_group_transport(const qd_group *group) {
    return group->transport->name;
}

uint64_t qd_group_bytes_sent(const qd_group *group) {
    return group->bytes_sent;
}

int qd_group_barrier(qd_group *group) {
    qd_signature mine;
    int rc = qd_group_enter(group, QD_CALL_BARRIER, 0, &mine);
    if (rc)
        return rc;
    return qd_group_leave(group, group->transport->barrier(group, &mine));
}

int qd_group_tag(const qd_group *group, qd_tag_kind kind) {
    int blocks = group->config.world->max_tag / QD_TAG_KINDS;
    return (int)(group->config.id % (uint32_t)blocks) * QD_TAG_KINDS + (int)kind;
}

int qd_group_rank(const qd_group *group, int member) {
    return group->config.members[member];
}

int qd_group_enter(qd_group *group, qd_call_kind kind, int64_t count, qd_signature *mine) {
    if (group->broken)
        return qd_error_set(QD_ELOST,
                            "group %u cannot be used any more: an earlier call on it failed",
                            group->config.id);
    *mine = (qd_signature){
        .call = ++group->calls, .kind = kind, .count = count, .group = group->config.id};
    return 0;
}

int qd_group_leave(qd_group *group, int rc) {
    if (rc)
        group->broken = true;
    return rc;
}
