#include "models/shards.h"

#include <stdlib.h>

#include "runtime/error.h"

/* The block of the bucket that begins nearest to place `at`, no lower than block `from`. */
static int nearest_cut(const qd_row_blocks *blocks, const qd_bucket *bucket, int from, double at) {
    int cut = from;
    while (cut < bucket->end_block &&
           (double)(blocks->offset[cut] + blocks->offset[cut + 1]) < 2 * at)
        cut++;
    return cut;
}

/* What several parts of a model have is cut by itself, so that each member has the same rows of all
 * copies. */
static void cut_alone(qd_shards *s, const qd_buckets *buckets, int b) {
    const qd_bucket *bucket = &buckets->bucket[b];
    const int64_t *offset = buckets->blocks->offset;
    int *cuts = s->cuts + (size_t)b * ((size_t)s->members + 1);
    cuts[0] = bucket->first_block;
    for (int i = 0; i < s->members; i++) {
        double share = (double)(i + 1) / s->members;
        double at = (double)bucket->begin + share * (double)(bucket->end - bucket->begin);
        cuts[i + 1] = i + 1 < s->members ? nearest_cut(buckets->blocks, bucket, cuts[i], at)
                                         : bucket->end_block;
        s->elements[i] += offset[cuts[i + 1]] - offset[cuts[i]];
    }
}

/* Each member is to get what it lacks of an even share of all buckets up to this one; where some
 * have more than that already, the others share the bucket in proportion. */
static void cut_bucket(qd_shards *s, const qd_buckets *buckets, int b, double even) {
    const qd_bucket *bucket = &buckets->bucket[b];
    const int64_t *offset = buckets->blocks->offset;
    int *cuts = s->cuts + (size_t)b * ((size_t)s->members + 1);
    if (bucket->shared) {
        cut_alone(s, buckets, b);
        return;
    }
    double lacking = 0, before = 0;
    for (int i = 0; i < s->members; i++)
        lacking += (double)s->elements[i] < even ? even - (double)s->elements[i] : 0;
    cuts[0] = bucket->first_block;
    for (int i = 0; i < s->members; i++) {
        before += (double)s->elements[i] < even ? even - (double)s->elements[i] : 0;
        double share = lacking > 0 ? before / lacking : 1;
        double at = (double)bucket->begin + share * (double)(bucket->end - bucket->begin);
        cuts[i + 1] = i + 1 < s->members ? nearest_cut(buckets->blocks, bucket, cuts[i], at)
                                         : bucket->end_block;
    }
    for (int i = 0; i < s->members; i++)
        s->elements[i] += offset[cuts[i + 1]] - offset[cuts[i]];
}

int qd_shards_create(const qd_buckets *buckets, int members, qd_shards **out) {
    qd_shards *s = calloc(1, sizeof *s);
    if (s) {
        s->cuts = calloc((size_t)buckets->count * ((size_t)members + 1) + 1, sizeof *s->cuts);
        s->elements = calloc((size_t)members, sizeof *s->elements);
    }
    if (!s || !s->cuts || !s->elements) {
        qd_shards_destroy(s);
        return qd_error_set(QD_ENOMEM, "no memory for the shards of %d members", members);
    }
    s->members = members;
    s->buckets = buckets->count;
    for (int b = 0; b < buckets->count; b++)
        cut_bucket(s, buckets, b, (double)buckets->bucket[b].end / members);
    *out = s;
    return 0;
}

void qd_shards_destroy(qd_shards *shards) {
    if (!shards)
        return;
    free(shards->cuts);
    free(shards->elements);
    free(shards);
}

void qd_shards_blocks(const qd_shards *shards, int bucket, int member, int *first, int *end) {
    const int *cuts = shards->cuts + (size_t)bucket * ((size_t)shards->members + 1);
    *first = cuts[member];
    *end = cuts[member + 1];
}

int64_t qd_shards_most(const qd_shards *shards) {
    int64_t most = 0;
    for (int i = 0; i < shards->members; i++)
        most = shards->elements[i] > most ? shards->elements[i] : most;
    return most;
}
