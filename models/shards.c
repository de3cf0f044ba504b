#include "models/shards.h"

#include <stdlib.h>

#include "runtime/error.h"

/* The making of shards. Counted is what blocks measure on the tensor member that has least of them
 * (row_blocks.h), so that all cut alike. */
typedef struct cutting {
    qd_shards *shards;
    const qd_buckets *buckets;
    int64_t *dealt; /* [members] so far */
} cutting;

/* The block of the bucket that begins nearest to place `at`, no lower than block `from`. */
static int nearest_cut(const qd_row_blocks *blocks, const qd_bucket *bucket, int from, double at) {
    int cut = from;
    while (cut < bucket->end_block &&
           (double)(blocks->place[cut] + blocks->place[cut + 1]) < 2 * at)
        cut++;
    return cut;
}

/* What a member lacks of an even share of all buckets up to this one. */
static double lack_of(const cutting *c, int member, double even) {
    double dealt = (double)c->dealt[member];
    return dealt < even ? even - dealt : 0;
}

/* Each member is to get what it lacks of an even share; where some have more than that already, the
 * others share the bucket in proportion. What several parts of a model have is cut by itself, so
 * that each member has the same rows of all copies. */
static void cut_bucket(cutting *c, int b) {
    qd_shards *s = c->shards;
    const qd_bucket *bucket = &c->buckets->bucket[b];
    const qd_row_blocks *blocks = c->buckets->blocks;
    double begin = (double)blocks->place[bucket->first_block];
    double end = (double)blocks->place[bucket->end_block];
    double even = end / s->members, lacking = 0, before = 0;
    int *cuts = s->cuts + (size_t)b * ((size_t)s->members + 1);
    for (int i = 0; i < s->members; i++)
        lacking += lack_of(c, i, even);
    cuts[0] = bucket->first_block;
    for (int i = 0; i < s->members; i++) {
        before += lack_of(c, i, even);
        double share = bucket->shared ? (double)(i + 1) / s->members
                       : lacking > 0  ? before / lacking
                                      : 1;
        cuts[i + 1] = i + 1 < s->members
                          ? nearest_cut(blocks, bucket, cuts[i], begin + share * (end - begin))
                          : bucket->end_block;
    }
    for (int i = 0; i < s->members; i++) {
        c->dealt[i] += blocks->place[cuts[i + 1]] - blocks->place[cuts[i]];
        s->elements[i] += blocks->offset[cuts[i + 1]] - blocks->offset[cuts[i]];
    }
}

int qd_shards_create(const qd_buckets *buckets, int members, qd_shards **out) {
    qd_shards *s = calloc(1, sizeof *s);
    if (s) {
        s->cuts = calloc((size_t)buckets->count * ((size_t)members + 1) + 1, sizeof *s->cuts);
        s->elements = calloc((size_t)members, sizeof *s->elements);
    }
    int64_t *dealt = calloc((size_t)members, sizeof *dealt);
    if (!s || !s->cuts || !s->elements || !dealt) {
        qd_shards_destroy(s);
        free(dealt);
        return qd_error_set(QD_ENOMEM, "no memory for the shards of %d members", members);
    }
    s->members = members;
    s->buckets = buckets->count;
    cutting c = {s, buckets, dealt};
    for (int b = 0; b < buckets->count; b++)
        cut_bucket(&c, b);
    free(dealt);
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
