#include "worker/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "collectives/exchange.h"
#include "runtime/error.h"

struct qd_exchange {
    qd_group *group;
    qd_slot_ranges ranges; /* starts is its own copy */
    int *starts;
    const qd_buckets *buckets;
    const qd_shards *shards;
    qd_span_clock *spans;
    int64_t *bounds;        /* [members + 1] of the operation that is being started */
    qd_operation **sums;    /* [buckets + 1] under way; the last: the totals */
    qd_operation **gathers; /* [buckets] */
    double *shared;         /* numbers that are being shared, member by member */
};

/* Numbers that are shared at once, at most. */
static size_t most_shared(const qd_row_blocks *blocks) {
    return 2 * (size_t)blocks->cell[blocks->count];
}

int qd_exchange_create(qd_group *group, const qd_slot_ranges *ranges, const qd_buckets *buckets,
                       const qd_shards *shards, qd_span_clock *spans, qd_exchange **exchange) {
    size_t members = (size_t)qd_group_size(group);
    size_t count = (size_t)buckets->count;
    qd_exchange *x = calloc(1, sizeof *x);
    if (x) {
        *x = (qd_exchange){.group = group, .buckets = buckets, .shards = shards, .spans = spans};
        x->starts = calloc(members + 1, sizeof *x->starts);
        x->bounds = calloc(members + 1, sizeof *x->bounds);
        x->sums = calloc(count + 1, sizeof(qd_operation *));
        x->gathers = calloc(count + 1, sizeof(qd_operation *));
        x->shared = calloc(most_shared(buckets->blocks) + 1, sizeof *x->shared);
    }
    if (!x || !x->starts || !x->bounds || !x->sums || !x->gathers || !x->shared) {
        qd_exchange_destroy(x);
        return qd_error_set(QD_ENOMEM, "no memory for the exchange of %zu buckets", count);
    }
    memcpy(x->starts, ranges->starts, (members + 1) * sizeof *x->starts);
    x->ranges = (qd_slot_ranges){.leaves = ranges->leaves, .starts = x->starts};
    *exchange = x;
    return 0;
}

void qd_exchange_destroy(qd_exchange *exchange) {
    if (!exchange)
        return;
    free(exchange->starts);
    free(exchange->bounds);
    free(exchange->sums);
    free(exchange->gathers);
    free(exchange->shared);
    free(exchange);
}

/* ---- starting and waiting ---- */

static int wait_for(qd_exchange *x, qd_operation **operation) {
    if (!*operation)
        return 0;
    qd_span_kind before = x->spans ? qd_span_enter(x->spans, QD_SPAN_COMMUNICATION) : 0;
    int rc = qd_operation_wait(*operation);
    *operation = NULL;
    if (x->spans)
        qd_span_enter(x->spans, before);
    return rc;
}

/* A start on a group that broke meanwhile does not say why: an operation that broke with it does.
 */
static int explain(qd_exchange *x, int rc) {
    int why = 0;
    if (rc != QD_ELOST)
        return rc;
    for (int b = 0; !why && b <= x->buckets->count; b++)
        why = wait_for(x, &x->sums[b]);
    for (int b = 0; !why && b < x->buckets->count; b++)
        why = wait_for(x, &x->gathers[b]);
    return why ? why : rc;
}

/* Where the members' pieces of a bucket begin, from its own beginning on, in units of `size`. */
static const int64_t *bounds_of(qd_exchange *x, int bucket, int64_t size) {
    const qd_bucket *b = &x->buckets->bucket[bucket];
    for (int i = 0; i < x->shards->members; i++) {
        int first, end;
        qd_shards_blocks(x->shards, bucket, i, &first, &end);
        x->bounds[i] = (x->buckets->blocks->offset[first] - b->begin) * size;
        x->bounds[i + 1] = (x->buckets->blocks->offset[end] - b->begin) * size;
    }
    return x->bounds;
}

int qd_exchange_sum_to_all(qd_exchange *x, int bucket, float *const *parts, int count,
                           float *result) {
    const qd_bucket *b = &x->buckets->bucket[bucket];
    return explain(x, qd_allreduce_start(x->group, &x->ranges, parts, count, result,
                                         b->end - b->begin, &x->sums[bucket]));
}

int qd_exchange_sum_to_owners(qd_exchange *x, int bucket, float *const *parts, int count,
                              float *result) {
    return explain(x, qd_reduce_scatter_start(x->group, &x->ranges, parts, count,
                                              bounds_of(x, bucket, 1), result, &x->sums[bucket]));
}

int qd_exchange_wait_sum(qd_exchange *x, int bucket) {
    return wait_for(x, &x->sums[bucket]);
}

int qd_exchange_sum_totals(qd_exchange *x, float *const *parts, int count, float *result,
                           int64_t elements) {
    qd_slot_ranges exact = x->ranges;
    exact.exact = true;
    return explain(x, qd_allreduce_start(x->group, &exact, parts, count, result, elements,
                                         &x->sums[x->buckets->count]));
}

int qd_exchange_wait_totals(qd_exchange *x) {
    return wait_for(x, &x->sums[x->buckets->count]);
}

int qd_exchange_gather(qd_exchange *x, int bucket, float *parameters) {
    return explain(x, qd_all_gather_start(x->group, parameters,
                                          bounds_of(x, bucket, (int64_t)sizeof *parameters),
                                          &x->gathers[bucket]));
}

int qd_exchange_wait_gather(qd_exchange *x, int bucket) {
    return wait_for(x, &x->gathers[bucket]);
}

/* ---- numbers of blocks ---- */

static void copy(double *to, const double *from, int64_t count) {
    memcpy(to, from, (size_t)count * sizeof *to);
}

/* Numbers of a member's blocks, side by side from shared[at] on: put there, or taken from there.
 * Returns where they end. */
static int64_t pass(qd_exchange *x, int member, double *numbers, const int64_t *of, int64_t at,
                    bool put) {
    for (int b = 0; b < x->buckets->count; b++) {
        int first, end;
        qd_shards_blocks(x->shards, b, member, &first, &end);
        int64_t count = of[end] - of[first];
        if (put)
            copy(x->shared + at, numbers + of[first], count);
        else
            copy(numbers + of[first], x->shared + at, count);
        at += count;
    }
    return at;
}

int qd_exchange_share(qd_exchange *x, double *numbers, const int64_t *first) {
    int64_t at = 0;
    int members = x->shards->members;
    x->bounds[0] = 0;
    for (int i = 0; i < members; i++) {
        at = pass(x, i, numbers, first, at, true);
        x->bounds[i + 1] = at * (int64_t)sizeof *numbers;
    }
    qd_operation *operation = NULL;
    int rc = explain(x, qd_all_gather_start(x->group, x->shared, x->bounds, &operation));
    if (!rc)
        rc = wait_for(x, &operation);
    at = 0;
    for (int i = 0; i < members && !rc; i++)
        at = pass(x, i, numbers, first, at, false);
    return rc;
}
