#include "models/buckets.h"

#include <stdlib.h>

#include "runtime/error.h"

/* The last pass that adds to the gradient of a parameter. One that nobody reads is never written,
 * and final at any time. */
static int last_pass_of(const qd_graph *graph, const qd_timeline *timeline, int param) {
    for (int i = timeline->count - 1; i >= 0; i--) {
        qd_pass pass = timeline->passes[i];
        if (!qd_pass_adds_weights(graph, pass))
            continue;
        const qd_node *node = &graph->nodes[pass.node];
        for (int k = 0; k < node->param_count; k++)
            if (node->params[k] == param)
                return i;
    }
    return timeline->count - 1;
}

static bool begins_a_param(const qd_row_blocks *blocks, int block) {
    return block == blocks->count || blocks->first[blocks->param[block]] == block;
}

/* Whether a bucket must not reach from block - 1 to block: what several parts of a model have is in
 * buckets of its own, so that all of them cut it alike. */
static bool parts_differ(const qd_graph *graph, const qd_row_blocks *blocks, int block) {
    int before = blocks->param[block - 1], behind = blocks->param[block];
    return before != behind && (graph->params[before].shared || graph->params[behind].shared);
}

/* Where the bucket before block `end` begins. One whose end is inside a parameter does not reach
 * beyond it, so that a large parameter ties no others to itself (models/segments.h). */
static int first_block_of(const qd_graph *graph, const qd_row_blocks *blocks, int end,
                          int64_t elements) {
    int first = end;
    while (first > 0 && blocks->place[end] - blocks->place[first] < elements) {
        if (first < end && parts_differ(graph, blocks, first))
            break;
        first--;
        if (!begins_a_param(blocks, end) && begins_a_param(blocks, first))
            break;
    }
    return first;
}

static int count_buckets(const qd_graph *graph, const qd_row_blocks *blocks, int64_t elements) {
    int count = 0;
    for (int end = blocks->count; end > 0; count++)
        end = first_block_of(graph, blocks, end, elements);
    return count;
}

static void cut(qd_buckets *b, const qd_graph *graph, int64_t elements) {
    int end = b->blocks->count;
    for (int i = b->count - 1; i >= 0; i--) {
        int first = first_block_of(graph, b->blocks, end, elements);
        qd_bucket *bucket = &b->bucket[i];
        bucket->first_block = first;
        bucket->end_block = end;
        bucket->begin = b->blocks->offset[first];
        bucket->end = b->blocks->offset[end];
        bucket->first_param = b->blocks->param[first];
        bucket->end_param = b->blocks->param[end - 1] + 1;
        bucket->shared = graph->params[bucket->first_param].shared;
        if (bucket->end - bucket->begin > b->longest)
            b->longest = bucket->end - bucket->begin;
        end = first;
    }
}

static void find_ready(qd_buckets *b, const qd_graph *graph, const qd_timeline *timeline) {
    for (int i = 0; i < b->count; i++)
        for (int p = b->bucket[i].first_param; p < b->bucket[i].end_param; p++) {
            int last = last_pass_of(graph, timeline, p);
            b->bucket[i].ready = last > b->bucket[i].ready ? last : b->bucket[i].ready;
        }
}

/* Insertion: they are nearly in order. */
static void sort(qd_buckets *b) {
    for (int i = 0; i < b->count; i++) {
        int bucket = b->count - 1 - i, at = i;
        for (; at > 0 && b->bucket[b->order[at - 1]].ready > b->bucket[bucket].ready; at--)
            b->order[at] = b->order[at - 1];
        b->order[at] = bucket;
    }
}

int qd_buckets_create(const qd_optimizer_spec *optimizer, const qd_graph *graph,
                      const qd_timeline *timeline, int64_t elements, qd_buckets **out) {
    qd_buckets *b = calloc(1, sizeof *b);
    if (!b)
        return qd_error_set(QD_ENOMEM, "no memory for buckets");
    int rc = qd_row_blocks_create(optimizer, graph, &b->blocks);
    if (rc)
        goto out;
    b->count = count_buckets(graph, b->blocks, elements);
    b->bucket = calloc((size_t)b->count + 1, sizeof *b->bucket);
    b->order = calloc((size_t)b->count + 1, sizeof *b->order);
    if (!b->bucket || !b->order) {
        rc = qd_error_set(QD_ENOMEM, "no memory for %d buckets", b->count);
        goto out;
    }
    cut(b, graph, elements);
    find_ready(b, graph, timeline);
    sort(b);
    *out = b;
    return 0;
out:
    qd_buckets_destroy(b);
    return rc;
}

void qd_buckets_destroy(qd_buckets *buckets) {
    if (!buckets)
        return;
    qd_row_blocks_destroy(buckets->blocks);
    free(buckets->bucket);
    free(buckets->order);
    free(buckets);
}
