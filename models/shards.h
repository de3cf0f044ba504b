/*
 * shards.h: who of a gang holds which part of the parameters, of their gradients and of what the
 * optimizer keeps of them (ZeRO; Rajbhandari et al., arXiv 1910.02054). Each bucket is cut into one
 * piece a member, of whole blocks of rows, so that what is reduce-scattered is what is updated and
 * gathered. A member's pieces, one behind the other, are its shard. Pure.
 */
#ifndef QD_MODELS_SHARDS_H
#define QD_MODELS_SHARDS_H

#include <stdint.h>

#include "models/buckets.h"

typedef struct qd_shards {
    int members, buckets;
    int *cuts; /* [buckets][members + 1] blocks: member i holds cuts[i] .. cuts[i + 1] - 1 */
    int64_t *elements; /* [members] of their shards, padding included */
} qd_shards;

/*
 * Shards of `members` members; one alone holds all, as it lies in the flat vector. Cuts are such
 * that shards grow evenly from bucket to bucket: what one member got too much of a bucket of few
 * large blocks it gets less of the next ones. All members of a tensor group cut alike
 * (row_blocks.h). Owner of *shards: the caller (qd_shards_destroy). QD_ENOMEM.
 */
int qd_shards_create(const qd_buckets *buckets, int members, qd_shards **shards);
void qd_shards_destroy(qd_shards *shards);

/* Blocks [*first, *end) of a bucket that a member holds. */
void qd_shards_blocks(const qd_shards *shards, int bucket, int member, int *first, int *end);

/* The fullest member's elements. */
int64_t qd_shards_most(const qd_shards *shards);

#endif
