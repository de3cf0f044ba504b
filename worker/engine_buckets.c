/* Partial sums, bucket by bucket: what of them is final, or on its way. */
#include "runtime/error.h"
#include "worker/engine_internal.h"

/* Whether a partial sum is that of the last slot, the parts of which come and go. */
static bool flies(const qd_engine *e, int part) {
    return !e->plan->keeps_gradients && e->merges.running && part == e->merges.leaf;
}

static int bucket_at(const qd_engine *e, int64_t offset) {
    int low = 0, high = e->buckets->count;
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (e->buckets->bucket[middle].begin <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

float *qd_engine_part(const qd_engine *e, int part, int64_t offset) {
    if (!flies(e, part))
        return e->vectors[part] + offset;
    int b = bucket_at(e, offset);
    return e->flight[b] + (offset - e->buckets->bucket[b].begin);
}

float *qd_engine_totals_of(const qd_engine *e, int part) {
    return flies(e, part) ? qd_engine_at(e, e->plan->last_totals)
                          : e->vectors[part] + e->graph->param_elements;
}

float *qd_engine_sum_at(const qd_engine *e, int64_t at, int64_t home) {
    return e->plan->keeps_gradients ? e->vectors[0] + at : e->shard_gradients + home;
}

int qd_engine_free_segments(qd_engine *e, int pass) {
    int rc = 0;
    for (int i = 0; !e->plan->keeps_gradients && e->exchange && i < e->segments->count && !rc;
         i++) {
        const qd_segment *s = &e->segments->segment[i];
        for (int b = s->first_bucket; s->until == pass && b < s->end_bucket && !rc; b++)
            rc = qd_exchange_wait_sum(e->exchange, b);
    }
    return rc;
}

void qd_engine_plan_merges(qd_engine *e) {
    qd_engine_merges *m = &e->merges;
    m->leaf = qd_tree_stack_top(&e->stack);
    m->after = e->stack;
    m->count = m->finished = 0;
    m->running = true;
    while (qd_tree_stack_push_next(&m->after, &m->into[m->count], &m->from[m->count]))
        m->count++;
}

int qd_engine_round(qd_engine *e, int part, int64_t from, int64_t to) {
    if (e->job.train.reduce_precision != QD_PRECISION_BF16)
        return 0;
    return e->backend->round_bf16(e->context, qd_engine_part(e, part, from), to - from);
}

int qd_engine_clear_gaps(const qd_engine *e, int part, int first, int end) {
    const qd_row_blocks *blocks = e->buckets->blocks;
    int rc = 0;
    for (int k = first; k < end && !rc; k++) {
        int64_t from = blocks->offset[k] + blocks->elements[k], to = blocks->offset[k + 1];
        if (to > from)
            rc = e->backend->clear(e->context, qd_engine_part(e, part, from),
                                   (size_t)(to - from) * sizeof(float));
    }
    return rc;
}

/* Where this member's piece of a bucket begins in the flat vector. */
static int64_t own_piece(const qd_engine *e, int bucket) {
    int first, end;
    qd_shards_blocks(e->shards, bucket, e->index, &first, &end);
    return e->buckets->blocks->offset[first];
}

static int send_bucket(qd_engine *e, int b) {
    float *parts[QD_TREE_MAX_COVER];
    int count = e->merges.after.count;
    for (int k = 0; k < count; k++)
        parts[k] = qd_engine_part(e, k, e->buckets->bucket[b].begin);
    if (e->shards->members == 1)
        return qd_exchange_sum_to_all(e->exchange, b, parts, count, parts[0]);
    return qd_exchange_sum_to_owners(e->exchange, b, parts, count,
                                     qd_engine_sum_at(e, own_piece(e, b), e->home[b]));
}

static int finish_bucket(qd_engine *e, int b) {
    const qd_bucket *bucket = &e->buckets->bucket[b];
    int rc = qd_engine_clear_gaps(e, e->merges.leaf, bucket->first_block, bucket->end_block);
    if (!rc)
        rc = qd_engine_round(e, e->merges.leaf, bucket->begin, bucket->end);
    for (int i = 0; i < e->merges.count && !rc; i++) {
        int into = e->merges.into[i];
        rc = e->backend->add(e->context, qd_engine_part(e, into, bucket->begin),
                             qd_engine_part(e, e->merges.from[i], bucket->begin),
                             bucket->end - bucket->begin);
        if (!rc)
            rc = qd_engine_round(e, into, bucket->begin, bucket->end);
    }
    if (rc || !e->exchange)
        return rc;
    rc = e->backend->wait(e->context);
    return rc ? rc : send_bucket(e, b);
}

int qd_engine_finish_buckets(qd_engine *e, int pass) {
    const qd_buckets *buckets = e->buckets;
    int rc = 0;
    for (; e->merges.finished < buckets->count && !rc; e->merges.finished++) {
        int b = buckets->order[e->merges.finished];
        if (buckets->bucket[b].ready > pass)
            break;
        rc = finish_bucket(e, b);
    }
    return rc;
}

int qd_engine_finish_totals(qd_engine *e) {
    float *parts[QD_TREE_MAX_COVER];
    const qd_engine_merges *m = &e->merges;
    int rc = 0;
    for (int i = 0; i < m->count && !rc; i++)
        rc = e->backend->add(e->context, qd_engine_totals_of(e, m->into[i]),
                             qd_engine_totals_of(e, m->from[i]), QD_MEMORY_TOTALS);
    e->stack = m->after;
    if (rc || !e->exchange)
        return rc;
    rc = e->backend->wait(e->context);
    for (int k = 0; k < m->after.count; k++)
        parts[k] = qd_engine_totals_of(e, k);
    return rc ? rc
              : qd_exchange_sum_totals(e->exchange, parts, m->after.count, parts[0],
                                       QD_MEMORY_TOTALS);
}

int qd_engine_finish_sums(qd_engine *e) {
    int rc = 0;
    for (int i = 0; e->exchange && i < e->buckets->count && !rc; i++)
        rc = qd_exchange_wait_sum(e->exchange, e->buckets->order[i]);
    return rc || !e->exchange ? rc : qd_exchange_wait_totals(e->exchange);
}
