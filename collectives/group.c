#include "collectives/group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/group_state.h"
#include "collectives/meeting.h"
#include "collectives/progress_state.h"

/* A year, far from where nanoseconds overflow. */
enum { LONGEST_DEADLINE_S = 365 * 86400 };

static bool is_named_before(const qd_group_config *c, int member) {
    for (int i = 0; i < member; i++)
        if (c->members[i] == c->members[member])
            return true;
    return false;
}

static int check_config(const qd_group_config *c) {
    bool found = false;
    if (c->member_count < 1)
        return qd_error_set(QD_EINTERNAL, "group %u has no members", c->id);
    for (int i = 0; i < c->member_count; i++) {
        int rank = c->members[i];
        if (rank < 0 || rank >= c->world->size || is_named_before(c, i))
            return qd_error_set(QD_EINTERNAL,
                                "group %u: member %d is rank %d; members are distinct ranks of a "
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
    if (c->reduction == QD_REDUCTION_FAST && c->wire != QD_WIRE_FP32)
        return qd_error_set(QD_EINTERNAL,
                            "group %u: fast reductions travel as fp32; bf16 needs ordered ones",
                            c->id);
    return 0;
}

static qd_group *new_group(const qd_group_config *config) {
    size_t members = (size_t)config->member_count;
    qd_group *group = calloc(1, sizeof *group);
    int *copy = malloc(members * sizeof *copy);
    bool *late = calloc(members, sizeof *late);
    qd_shm_member **shm = calloc(members, sizeof(qd_shm_member *));
    if (!group || !copy || !late || !shm) {
        qd_error_set(QD_ENOMEM, "no memory for a group of %zu", members);
        free(group);
        free(copy);
        free(late);
        free(shm);
        return NULL;
    }
    memcpy(copy, config->members, members * sizeof *copy);
    group->config = *config;
    group->config.members = copy;
    group->late = late;
    group->shm = shm;
    pthread_mutex_init(&group->lock, NULL);
    for (int i = 0; i < config->member_count; i++)
        if (copy[i] == config->world->rank)
            group->index = i;
    return group;
}

static void map_members(qd_group *group) {
    unsigned char *memory = qd_shm_segment_memory(group->segment);
    const qd_hosts *h = &group->hosts;
    for (int i = 0; i < qd_hosts_size(h, h->mine); i++)
        group->shm[h->member[h->first[h->mine] + i]] =
            (qd_shm_member *)(void *)(memory + qd_shm_layout_offset(i, qd_hosts_size(h, h->mine)));
}

static int open_transport(qd_group *group) {
    int members = group->config.member_count, hosts = group->hosts.count;
    group->transport = members == 1       ? "self"
                       : hosts == 1       ? "shm"
                       : hosts == members ? "mpi"
                                          : "hierarchical";
    if (group->segment)
        map_members(group);
    group->spins = hosts == 1 ? qd_wait_spins(members) : 0;
    int rc = qd_streams_create(group, &group->streams);
    if (!rc && hosts > 1)
        rc = qd_lanes_create(group, &group->lanes);
    if (!rc && members > 1 && group->config.reduction == QD_REDUCTION_FAST)
        rc = qd_fast_create(group, &group->fast);
    return rc;
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
    else
        rc = qd_hosts_create(1, &(int){0}, 0, &group->hosts);
    if (!rc)
        rc = open_transport(group);
    if (rc) {
        qd_group_destroy(group);
        return rc;
    }
    qd_progress_join(config->progress, group);
    *out = group;
    return 0;
}

/* All that were made, also those whose starter never came to wait for them. */
static void free_operations(qd_operation *last) {
    while (last) {
        qd_operation *before = last->made;
        free(last->bounds);
        free(last->transfers);
        free(last);
        last = before;
    }
}

static void free_reductions(qd_group *group) {
    while (group->reductions) {
        qd_reduction *next = group->reductions->next;
        qd_reduction_destroy(group->reductions);
        group->reductions = next;
    }
}

void qd_group_destroy(qd_group *group) {
    if (!group)
        return;
    qd_progress_leave(group->config.progress, group);
    for (qd_operation *op = group->pipeline.first; op; op = op->next)
        qd_operation_end(op, QD_ECANCELLED);
    qd_streams_fail(group, QD_ECANCELLED);
    qd_fast_destroy(group->fast);
    qd_streams_destroy(group->streams);
    free_operations(group->made);
    qd_lanes_destroy(group->lanes);
    qd_shm_segment_destroy(group->segment);
    free_reductions(group);
    qd_hosts_destroy(&group->hosts);
    pthread_mutex_destroy(&group->lock);
    free(group->shm);
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
    return group->transport;
}

uint64_t qd_group_bytes_sent(const qd_group *group) {
    uint64_t bytes = 0;
    for (int kind = 0; kind < QD_CALL_KINDS; kind++)
        bytes += group->bytes[kind];
    return bytes;
}

uint64_t qd_group_bytes_of(const qd_group *group, qd_call_kind kind) {
    return group->bytes[kind];
}

uint64_t qd_group_bytes_between_hosts(const qd_group *group) {
    return group->bytes_between_hosts;
}

uint64_t qd_group_calls_of(const qd_group *group, qd_call_kind kind) {
    return group->begun[kind];
}

int qd_group_barrier(qd_group *group) {
    qd_operation *op = NULL;
    int rc = qd_operation_new(group, QD_CALL_BARRIER, 0, &op);
    return rc ? rc : qd_operation_run(op);
}

int qd_group_tag(const qd_group *group, qd_tag_kind kind) {
    int blocks = group->config.world->max_tag / QD_TAG_KINDS;
    return (int)(group->config.id % (uint32_t)blocks) * QD_TAG_KINDS + (int)kind;
}

int qd_group_rank(const qd_group *group, int member) {
    return group->config.members[member];
}

int qd_group_pass(qd_group *group) {
    int rc = qd_pipeline_pass(group);
    if (rc >= 0 && qd_streams_have_work(group->streams)) {
        int moved = qd_streams_pass(group);
        rc = moved < 0 ? moved : rc | moved;
    }
    if (rc >= 0 && group->fast) {
        int moved = qd_fast_pass(group);
        rc = moved < 0 ? moved : rc | moved;
    }
    qd_operation *ended;
    while (rc >= 0 && (ended = qd_pipeline_take_ended(group))) {
        qd_operation_end(ended, 0);
        rc = 1;
    }
    return rc;
}

bool qd_group_has_work(const qd_group *group) {
    return group->pipeline.first || qd_streams_have_work(group->streams);
}

bool qd_group_held_back(const qd_group *group, int64_t *until_ns) {
    const qd_operation *op = group->pipeline.first;
    if (op && op->moved && op->parts_left == 0)
        *until_ns = op->release_ns;
    else
        *until_ns = qd_streams_held_until(group->streams);
    return *until_ns > 0;
}

void qd_group_find_late(qd_group *group) {
    memset(group->late, 0, (size_t)group->config.member_count * sizeof *group->late);
    group->late_what = "a call";
    qd_pipeline_find_late(group);
    qd_streams_find_late(group);
    qd_fast_find_late(group);
}

/* Those of this host that wait for this member need not wait in vain: a difference concerns all. */
static void leave_word(qd_group *group, int rc) {
    qd_shm_member *me = group->shm[group->index];
    if (!me || rc != QD_EPROTO)
        return;
    snprintf(me->failure, sizeof me->failure, "%.*s", (int)sizeof me->failure - 1, group->failure);
    atomic_store_explicit(&me->failed, rc, memory_order_release);
}

int qd_group_word_of(const qd_group *group, int member) {
    qd_shm_member *m = group->shm[member];
    int failed = atomic_load_explicit(&m->failed, memory_order_acquire);
    if (!failed)
        return 0;
    return qd_error_set(failed, "group %u: rank %d found: %.*s", group->config.id,
                        qd_group_rank(group, member), QD_SHM_FAILURE_BYTES - 1, m->failure);
}

void qd_group_fail(qd_group *group, int rc) {
    if (group->failed)
        return;
    group->failed = rc;
    snprintf(group->failure, sizeof group->failure, "%s", qd_error_message());
    leave_word(group, rc);
    qd_streams_fail(group, rc);
    qd_operation *op = group->pipeline.first;
    group->pipeline = (qd_pipeline){0};
    while (op) {
        qd_operation *next = op->next; /* once ended it is its owner's */
        qd_operation_end(op, rc);
        op = next;
    }
}
