#include "collectives/exchange.h"

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

int qd_broadcast_start(qd_group *group, void *vector, int64_t bytes, int root, qd_operation **out) {
    int rc = new_broadcast(group, vector, bytes, root, out);
    if (!rc)
        qd_operation_begin(*out, true);
    return rc;
}

int qd_broadcast(qd_group *group, void *vector, int64_t bytes, int root) {
    qd_operation *op = NULL;
    int rc = new_broadcast(group, vector, bytes, root, &op);
    return rc ? rc : qd_operation_run(op);
}
