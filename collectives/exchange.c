#include "collectives/exchange.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "collectives/group_state.h"

static void finish_gather(qd_operation *op, void *vector) {
    size_t bounds = (size_t)op->group->config.member_count + 1;
    op->gather = true;
    op->vector = vector;
    op->signature.digest = XXH3_64bits(op->bounds, bounds * sizeof *op->bounds);
    qd_operation_cut(op, 1);
}

static int new_all_gather(qd_group *group, void *vector, const int64_t *bounds,
                          qd_operation **out) {
    qd_operation *op = NULL;
    int rc = qd_operation_new(group, QD_CALL_ALL_GATHER, bounds[group->config.member_count], &op);
    if (rc)
        return rc;
    rc = qd_operation_set_bounds(op, bounds);
    if (rc) {
        qd_operation_free(op);
        return rc;
    }
    finish_gather(op, vector);
    *out = op;
    return 0;
}

/* An all-gather in which the root's piece is all. */
static int new_broadcast(qd_group *group, void *vector, int64_t bytes, int root,
                         qd_operation **out) {
    int members = group->config.member_count;
    if (bytes < 0 || root < 0 || root >= members)
        return qd_error_set(QD_EINTERNAL,
                            "group %u: broadcast of %lld bytes from member %d; 0 or more bytes "
                            "from members 0..%d are possible",
                            group->config.id, (long long)bytes, root, members - 1);
    qd_operation *op = NULL;
    int rc = qd_operation_new(group, QD_CALL_BROADCAST, bytes, &op);
    if (rc)
        return rc;
    for (int f = 0; f <= members; f++)
        op->bounds[f] = f <= root ? 0 : bytes;
    op->signature.root = (uint32_t)root;
    finish_gather(op, vector);
    *out = op;
    return 0;
}

int qd_all_gather_start(qd_group *group, void *vector, const int64_t *bounds, qd_operation **out) {
    int rc = new_all_gather(group, vector, bounds, out);
    if (!rc)
        qd_operation_begin(*out, true);
    return rc;
}

int qd_all_gather(qd_group *group, void *vector, const int64_t *bounds) {
    qd_operation *op = NULL;
    int rc = new_all_gather(group, vector, bounds, &op);
    return rc ? rc : qd_operation_run(op);
}

int qd_broadcast(qd_group *group, void *vector, int64_t bytes, int root) {
    qd_operation *op = NULL;
    int rc = new_broadcast(group, vector, bytes, root, &op);
    return rc ? rc : qd_operation_run(op);
}

/* Members agree that they call it as on any collective, by a chunk of nothing; sizes are compared
 * message by message. */
static int new_all_to_all(qd_group *group, const void *from, const int64_t *from_bounds, void *to,
                          const int64_t *to_bounds, qd_operation **out) {
    qd_operation *op = NULL;
    int rc = qd_operation_new(group, QD_CALL_ALL_TO_ALL, 0, &op);
    if (rc)
        return rc;
    rc = qd_operation_set_bounds(op, from_bounds);
    if (!rc)
        rc = qd_operation_set_bounds(op, to_bounds);
    int me = group->index;
    int64_t own = from_bounds[me + 1] - from_bounds[me];
    if (!rc && own != to_bounds[me + 1] - to_bounds[me])
        rc = qd_error_set(
            QD_EINTERNAL, "group %u: all-to-all: %lld bytes to the member itself, %lld from it",
            group->config.id, (long long)own, (long long)(to_bounds[me + 1] - to_bounds[me]));
    if (rc) {
        qd_operation_free(op);
        return rc;
    }
    memset(op->bounds, 0, ((size_t)group->config.member_count + 1) * sizeof *op->bounds);
    for (int i = 0; i < group->config.member_count; i++) {
        /* Only read: a transfer points to what it sends as to what it receives. */
        unsigned char *source = (unsigned char *)from + from_bounds[i];
        unsigned char *target = (unsigned char *)to + to_bounds[i];
        size_t bytes = (size_t)(from_bounds[i + 1] - from_bounds[i]);
        if (i == me && bytes > 0)
            memcpy(target, source, bytes);
        if (i == me)
            continue;
        qd_streams_add(op, true, i, source, bytes);
        qd_streams_add(op, false, i, target, (size_t)(to_bounds[i + 1] - to_bounds[i]));
    }
    *out = op;
    return 0;
}

static int new_transfer(qd_group *group, qd_call_kind kind, int peer, const void *bytes,
                        int64_t count, qd_operation **out) {
    if (peer < 0 || peer >= group->config.member_count || peer == group->index || count < 0)
        return qd_error_set(QD_EINTERNAL,
                            "group %u: %s of %lld bytes, member %d and member %d; 0 or more bytes "
                            "and another of %d members are possible",
                            group->config.id, qd_call_words[kind], (long long)count, group->index,
                            peer, group->config.member_count);
    qd_operation *op = NULL;
    int rc = qd_operation_new(group, kind, count, &op);
    if (rc)
        return rc;
    qd_streams_add(op, kind == QD_CALL_SEND, peer, (void *)bytes, (size_t)count);
    *out = op;
    return 0;
}

int qd_all_to_all(qd_group *group, const void *from, const int64_t *from_bounds, void *to,
                  const int64_t *to_bounds) {
    qd_operation *op = NULL;
    int rc = new_all_to_all(group, from, from_bounds, to, to_bounds, &op);
    return rc ? rc : qd_operation_run(op);
}

int qd_send_start(qd_group *group, int to, const void *bytes, int64_t count, qd_operation **out) {
    int rc = new_transfer(group, QD_CALL_SEND, to, bytes, count, out);
    if (!rc)
        qd_operation_begin(*out, true);
    return rc;
}

int qd_send(qd_group *group, int to, const void *bytes, int64_t count) {
    qd_operation *op = NULL;
    int rc = new_transfer(group, QD_CALL_SEND, to, bytes, count, &op);
    return rc ? rc : qd_operation_run(op);
}

int qd_receive_start(qd_group *group, int from, void *bytes, int64_t count, qd_operation **out) {
    int rc = new_transfer(group, QD_CALL_RECEIVE, from, bytes, count, out);
    if (!rc)
        qd_operation_begin(*out, true);
    return rc;
}

int qd_receive(qd_group *group, int from, void *bytes, int64_t count) {
    qd_operation *op = NULL;
    int rc = new_transfer(group, QD_CALL_RECEIVE, from, bytes, count, &op);
    return rc ? rc : qd_operation_run(op);
}
