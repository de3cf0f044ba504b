#include "worker/tensor_group.h"

#include <stdlib.h>

#include "collectives/allreduce.h"
#include "collectives/exchange.h"
#include "models/op.h"
#include "runtime/error.h"

struct qd_tensor_group {
    qd_tensor_exchange exchange;
    qd_group *group;
    qd_span_clock *spans;
    int members, slots;
    int *starts;             /* [members + 1] of the slots */
    int *one_each;           /* [members + 1] 0, 1, 2 ...: one leaf a member */
    int64_t *bounds;         /* [members + 1] of what is exchanged */
    qd_operation **messages; /* [2 members] under way */
};

/* ---- all of a vector ---- */

static qd_span_kind enter(qd_tensor_group *t, qd_span_kind kind) {
    return t->spans ? qd_span_enter(t->spans, kind) : kind;
}

static qd_slot_ranges of_slots(const qd_tensor_group *t) {
    return (qd_slot_ranges){.leaves = t->slots, .starts = t->starts};
}

static qd_slot_ranges of_members(const qd_tensor_group *t) {
    return (qd_slot_ranges){.leaves = t->members, .starts = t->one_each};
}

static int sum(void *context, float *const *parts, int part_count, float *result, int64_t count) {
    qd_tensor_group *t = context;
    qd_slot_ranges ranges = of_slots(t);
    qd_span_kind before = enter(t, QD_SPAN_COMMUNICATION);
    int rc = qd_allreduce_ordered(t->group, &ranges, parts, part_count, result, count);
    enter(t, before);
    return rc;
}

static int unite(void *context, float *values, int64_t count) {
    qd_tensor_group *t = context;
    qd_slot_ranges ranges = of_members(t);
    qd_span_kind before = enter(t, QD_SPAN_COMMUNICATION);
    int rc = qd_allreduce_ordered(t->group, &ranges, &values, 1, values, count);
    enter(t, before);
    return rc;
}

static int gather_bounds(qd_tensor_group *t, void *all) {
    qd_span_kind before = enter(t, QD_SPAN_COMMUNICATION);
    int rc = qd_all_gather(t->group, all, t->bounds);
    enter(t, before);
    return rc;
}

static int gather(void *context, void *all, int64_t bytes) {
    qd_tensor_group *t = context;
    for (int i = 0; i <= t->members; i++)
        t->bounds[i] = i * bytes;
    return gather_bounds(t, all);
}

/* ---- messages ---- */

static int start(qd_tensor_group *t, const qd_tensor_message *m, qd_operation **operation) {
    return m->sends ? qd_send_start(t->group, m->peer, m->bytes, m->count, operation)
                    : qd_receive_start(t->group, m->peer, m->bytes, m->count, operation);
}

static int trade(void *context, const qd_tensor_message *messages, int count) {
    qd_tensor_group *t = context;
    qd_span_kind before = enter(t, QD_SPAN_COMMUNICATION);
    int started = 0, rc = 0;
    while (started < count && !rc) {
        rc = start(t, &messages[started], &t->messages[started]);
        started += !rc;
    }
    for (int i = 0; i < started; i++) {
        int ended = qd_operation_wait(t->messages[i]);
        rc = rc ? rc : ended;
    }
    enter(t, before);
    return rc;
}

/* ---- rows ---- */

/* Where each member's rows begin, in elements or bytes, `width` a row. */
static void bound_rows(qd_tensor_group *t, int64_t rows, int64_t width) {
    int64_t first, end;
    for (int i = 0; i < t->members; i++) {
        qd_cut_range(t->slots, rows, 1, t->starts[i + 1] - 1, &first, &end);
        t->bounds[i + 1] = end * width;
    }
}

static int scatter(qd_tensor_group *t, qd_slot_ranges ranges, float *const *parts, int part_count,
                   float *result) {
    qd_span_kind before = enter(t, QD_SPAN_COMMUNICATION);
    int rc = qd_reduce_scatter(t->group, &ranges, parts, part_count, t->bounds, result);
    enter(t, before);
    return rc;
}

static int sum_rows(void *context, float *const *parts, int part_count, int64_t rows, int64_t width,
                    float *result) {
    qd_tensor_group *t = context;
    bound_rows(t, rows, width);
    return scatter(t, of_slots(t), parts, part_count, result);
}

static int unite_rows(void *context, float *values, int64_t rows, int64_t width, float *result) {
    qd_tensor_group *t = context;
    bound_rows(t, rows, width);
    return scatter(t, of_members(t), &values, 1, result);
}

static int gather_rows(void *context, void *all, int64_t rows, int64_t row_bytes) {
    bound_rows(context, rows, row_bytes);
    return gather_bounds(context, all);
}

/* ---- the group ---- */

int qd_tensor_group_create(qd_group *group, int slots, qd_span_clock *spans,
                           qd_tensor_group **tensor_group) {
    int members = qd_group_size(group);
    qd_tensor_group *t = calloc(1, sizeof *t);
    if (t) {
        t->starts = calloc((size_t)members + 1, sizeof *t->starts);
        t->one_each = calloc((size_t)members + 1, sizeof *t->one_each);
        t->bounds = calloc((size_t)members + 1, sizeof *t->bounds);
        t->messages = calloc(2 * (size_t)members, sizeof(qd_operation *));
    }
    if (!t || !t->starts || !t->one_each || !t->bounds || !t->messages) {
        qd_tensor_group_destroy(t);
        return qd_error_set(QD_ENOMEM, "no memory for a tensor group of %d", members);
    }
    t->group = group;
    t->spans = spans;
    t->members = members;
    t->slots = slots;
    for (int i = 0; i <= members; i++) {
        t->starts[i] = i * slots / members;
        t->one_each[i] = i;
    }
    t->exchange = (qd_tensor_exchange){.context = t,
                                       .sum = sum,
                                       .unite = unite,
                                       .sum_rows = sum_rows,
                                       .unite_rows = unite_rows,
                                       .gather_rows = gather_rows,
                                       .gather = gather,
                                       .trade = trade};
    *tensor_group = t;
    return 0;
}

void qd_tensor_group_destroy(qd_tensor_group *t) {
    if (!t)
        return;
    free(t->starts);
    free(t->one_each);
    free(t->bounds);
    free(t->messages);
    free(t);
}

const qd_tensor_exchange *qd_tensor_group_exchange(const qd_tensor_group *t) {
    return &t->exchange;
}
