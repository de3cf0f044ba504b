#include "collectives/allreduce.h"

#include "collectives/group_state.h"
#include "collectives/shm_layout.h"
#include "runtime/error.h"

/* Steps repeat their ranges, so the additions are worked out once. */
static int update_reduction(qd_group *group, const qd_slot_ranges *ranges) {
    int members = group->config.member_count;
    if (qd_reduction_fits(group->reduction, members, ranges->leaves, ranges->starts))
        return 0;
    qd_reduction *fresh;
    int rc = qd_reduction_create(members, ranges->leaves, ranges->starts, &fresh);
    if (rc)
        return qd_error_context(rc, "group %u: all-reduce", group->config.id);
    qd_reduction_destroy(group->reduction);
    group->reduction = fresh;
    return 0;
}

int qd_allreduce_ordered(qd_group *group, const qd_slot_ranges *ranges, float *const *parts,
                         int part_count, float *result, int64_t count) {
    if (count < 0)
        return qd_error_set(QD_EINTERNAL, "group %u: all-reduce of %lld floats", group->config.id,
                            (long long)count);
    int rc = update_reduction(group, ranges);
    if (rc)
        return rc;
    const qd_reduction *r = group->reduction;
    int held = r->first_source[group->index + 1] - r->first_source[group->index];
    if (part_count != held)
        return qd_error_set(QD_EINTERNAL,
                            "group %u: all-reduce of %d node vectors; slots %d..%d of %d are %d",
                            group->config.id, part_count, r->starts[group->index],
                            r->starts[group->index + 1], r->leaves, held);
    qd_signature signature;
    rc = qd_group_enter(group, QD_CALL_ALLREDUCE, count, &signature);
    if (rc)
        return rc;
    signature.leaves = (uint32_t)r->leaves;
    signature.digest = r->digest;
    qd_allreduce_call call = {.signature = &signature,
                              .reduction = group->reduction,
                              .parts = parts,
                              .result = result,
                              .count = count};
    return qd_group_leave(group, group->transport->allreduce(group, &call));
}

int qd_allreduce_shared_bytes(const qd_slot_ranges *ranges, int members, int index, int64_t count,
                              size_t *bytes) {
    qd_reduction *reduction;
    *bytes = 0;
    if (members == 1)
        return 0;
    int rc = qd_reduction_create(members, ranges->leaves, ranges->starts, &reduction);
    if (rc)
        return rc;
    *bytes = qd_shm_touched_bytes(reduction, index, count);
    qd_reduction_destroy(reduction);
    return 0;
}
