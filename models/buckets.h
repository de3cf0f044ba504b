/*
 * buckets.h: the flat vector of gradients (and of parameters) cut into buckets, which travel one by
 * one: each as soon as backward has completed it, while it goes on (Li et al., "PyTorch
 * Distributed", arXiv 2006.15704, 3.2.3). A bucket is a run of whole blocks of rows. Follows from
 * the job alone, so that all members start the same sums in the same order. Pure.
 */
#ifndef QD_MODELS_BUCKETS_H
#define QD_MODELS_BUCKETS_H

#include <stdint.h>

#include "models/row_blocks.h"
#include "models/timeline.h"

typedef struct qd_bucket {
    int first_block, end_block; /* of the row blocks */
    int64_t begin, end;         /* of the flat vector, both on 64 bytes */
    int first_param, end_param; /* that it has rows of */
    bool shared; /* of a parameter that other parts of the model have, too, and of no other */
    int ready;   /* pass of the timeline after which all of its gradients are final */
} qd_bucket;

typedef struct qd_buckets {
    qd_bucket *bucket; /* [count] as they lie in the vector */
    int count;
    int *order;      /* [count] as backward completes them; of those that one pass completes
                        the last first */
    int64_t longest; /* elements of the longest */
    qd_row_blocks *blocks;
} qd_buckets;

/*
 * Buckets of `elements` floats or a little more (less at the front of a large parameter; where
 * tensor slots deal parameters out, counted on the member that has least of each), cut from the
 * vector's end on, so that what backward completes last, with nothing left to hide its sum behind,
 * is the shorter one. A parameter that other parts of the model have a copy of shares no bucket
 * with another. Owner of *buckets: the caller (qd_buckets_destroy). QD_ENOMEM.
 */
int qd_buckets_create(const qd_optimizer_spec *optimizer, const qd_graph *graph,
                      const qd_timeline *timeline, int64_t elements, qd_buckets **buckets);
void qd_buckets_destroy(qd_buckets *buckets);

#endif
