#include "collectives/allreduce.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "collectives/group_state.h"

/* Ranges in use at once, at most: steps repeat a few. */
enum { KEPT_REDUCTIONS = 8 };

/* Lets the oldest one go that nobody uses, where there are many. */
static void forget_one(qd_group *group) {
    int count = 0;
    qd_reduction **oldest = NULL;
    for (qd_reduction **at = &group->reductions; *at; at = &(*at)->next, count++)
        if ((*at)->users == 0)
            oldest = at;
    if (count < KEPT_REDUCTIONS || !oldest)
        return;
    qd_reduction *gone = *oldest;
    *oldest = gone->next;
    qd_reduction_destroy(gone);
}

/* Steps repeat their ranges, so the additions are worked out once. Lists are the owner's; only
 * what a reduction holds is used by the communication thread. */
static int find_reduction(qd_group *group, const qd_slot_ranges *ranges, qd_reduction **out) {
    const qd_hosts *h = &group->hosts;
    qd_reduction *r = group->reductions;
    while (r && !qd_reduction_fits(r, ranges->leaves, ranges->starts))
        r = r->next;
    if (!r) {
        int rc = qd_reduction_create(h->members, ranges->leaves, ranges->starts, h->of, h->count,
                                     h->mine, &r);
        if (rc)
            return qd_error_context(rc, "group %u: all-reduce", group->config.id);
        forget_one(group);
        r->next = group->reductions;
        group->reductions = r;
    }
    *out = r;
    return 0;
}

static int check_parts(const qd_operation *op, const qd_reduction *r, int part_count) {
    const qd_group *group = op->group;
    int held = r->held[group->index];
    if (part_count == held)
        return 0;
    return qd_error_set(QD_EINTERNAL, "group %u: %s of %d node vectors; slots %d..%d of %d are %d",
                        group->config.id, qd_call_words[op->signature.kind], part_count,
                        r->starts[group->index], r->starts[group->index + 1], r->leaves, held);
}

/* What both have in common; bounds are set. */
static int prepare(qd_operation *op, const qd_slot_ranges *ranges, float *const *parts,
                   int part_count) {
    qd_group *group = op->group;
    qd_reduction *r = NULL;
    int rc = find_reduction(group, ranges, &r);
    if (!rc)
        rc = check_parts(op, r, part_count);
    if (rc)
        return rc;
    for (int k = 0; k < part_count; k++)
        op->parts[k] = parts[k];
    pthread_mutex_lock(&group->lock);
    r->users++;
    op->reduction = r;
    pthread_mutex_unlock(&group->lock);
    op->wire = ranges->exact ? QD_WIRE_FP32 : group->config.wire;
    op->element = sizeof(float);
    op->width = qd_wire_width(op->wire);
    op->signature.leaves = (uint32_t)r->leaves;
    op->signature.digest =
        XXH3_64bits_withSeed(op->bounds, ((size_t)r->members + 1) * sizeof *op->bounds, r->digest);
    qd_operation_cut(op, r->most);
    return 0;
}

static int new_allreduce(qd_group *group, const qd_slot_ranges *ranges, float *const *parts,
                         int part_count, float *result, int64_t count, qd_operation **out) {
    if (count < 0)
        return qd_error_set(QD_EINTERNAL, "group %u: all-reduce of %lld floats", group->config.id,
                            (long long)count);
    qd_operation *op = NULL;
    int rc = qd_operation_new(group, QD_CALL_ALLREDUCE, count, &op);
    if (rc)
        return rc;
    int members = group->config.member_count;
    for (int f = 0; f <= members; f++)
        op->bounds[f] = qd_piece_begin(count, members, f);
    rc = prepare(op, ranges, parts, part_count);
    if (rc) {
        qd_operation_free(op);
        return rc;
    }
    op->vector = (unsigned char *)result;
    op->gather = !group->fast;
    op->own = result + op->bounds[group->index];
    if (group->fast) {
        op->fast = true;
        memset(op->bounds, 0, ((size_t)members + 1) * sizeof *op->bounds);
        op->chunks = 1;
    }
    *out = op;
    return 0;
}

int qd_allreduce_start(qd_group *group, const qd_slot_ranges *ranges, float *const *parts,
                       int part_count, float *result, int64_t count, qd_operation **out) {
    int rc = new_allreduce(group, ranges, parts, part_count, result, count, out);
    if (!rc)
        qd_operation_begin(*out, true);
    return rc;
}

int qd_allreduce_ordered(qd_group *group, const qd_slot_ranges *ranges, float *const *parts,
                         int part_count, float *result, int64_t count) {
    qd_operation *op = NULL;
    int rc = new_allreduce(group, ranges, parts, part_count, result, count, &op);
    return rc ? rc : qd_operation_run(op);
}

static int new_reduce_scatter(qd_group *group, const qd_slot_ranges *ranges, float *const *parts,
                              int part_count, const int64_t *bounds, float *result,
                              qd_operation **out) {
    qd_operation *op = NULL;
    int rc =
        qd_operation_new(group, QD_CALL_REDUCE_SCATTER, bounds[group->config.member_count], &op);
    if (rc)
        return rc;
    rc = qd_operation_set_bounds(op, bounds);
    if (!rc)
        rc = prepare(op, ranges, parts, part_count);
    if (rc) {
        qd_operation_free(op);
        return rc;
    }
    op->own = result;
    *out = op;
    return 0;
}

int qd_reduce_scatter_start(qd_group *group, const qd_slot_ranges *ranges, float *const *parts,
                            int part_count, const int64_t *bounds, float *result,
                            qd_operation **out) {
    int rc = new_reduce_scatter(group, ranges, parts, part_count, bounds, result, out);
    if (!rc)
        qd_operation_begin(*out, true);
    return rc;
}

int qd_reduce_scatter(qd_group *group, const qd_slot_ranges *ranges, float *const *parts,
                      int part_count, const int64_t *bounds, float *result) {
    qd_operation *op = NULL;
    int rc = new_reduce_scatter(group, ranges, parts, part_count, bounds, result, &op);
    return rc ? rc : qd_operation_run(op);
}

static size_t piece_in_chunk(const qd_reduction *r, int f, int64_t count) {
    size_t chunk = qd_operation_chunk(r->members, r->most, sizeof(float));
    size_t n =
        (size_t)(qd_piece_begin(count, r->members, f + 1) - qd_piece_begin(count, r->members, f));
    return n < chunk ? n : chunk;
}

/* Its own nodes and sum; of each other member the nodes of its own piece, and the sum that the
 * other has made. Chunks take the windows by turns, so that in time all are touched. */
int qd_allreduce_shared_bytes(const qd_slot_ranges *ranges, int members, int index, int64_t count,
                              size_t *bytes) {
    qd_reduction *r = NULL;
    *bytes = 0;
    if (members == 1)
        return 0;
    int *one_host = calloc((size_t)members, sizeof *one_host);
    if (!one_host)
        return qd_error_set(QD_ENOMEM, "no memory for a group of %d", members);
    int rc = qd_reduction_create(members, ranges->leaves, ranges->starts, one_host, 1, 0, &r);
    free(one_host);
    if (rc)
        return rc;
    size_t own = piece_in_chunk(r, index, count), floats = own;
    for (int i = 0; i < members; i++) {
        size_t theirs = piece_in_chunk(r, i, count);
        if (i != index)
            floats += (size_t)r->held[index] * theirs + (size_t)r->held[i] * own + theirs;
    }
    *bytes =
        (size_t)members * offsetof(qd_shm_member, staging) + QD_WINDOWS * floats * sizeof(float);
    qd_reduction_destroy(r);
    return 0;
}
