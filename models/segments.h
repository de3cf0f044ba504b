/*
 * segments.h: runs of buckets that begin and end with a parameter: what must lie together in memory
 * while backward writes it. Where gradients are not kept (layout.zero 2), a segment has memory from
 * the pass that first writes one of its gradients until its sums have left for their owners, which
 * is waited for at the second pass behind it that begins a segment: one travels while the next one
 * is computed. Pure.
 */
#ifndef QD_MODELS_SEGMENTS_H
#define QD_MODELS_SEGMENTS_H

#include <stdint.h>

#include "models/buckets.h"

typedef struct qd_segment {
    int first_bucket, end_bucket;
    int64_t begin, end; /* of the flat vector */
    int from;           /* pass of the timeline that first writes one of its gradients */
    int until; /* pass before which its sums are waited for; the timeline's count: after it */
} qd_segment;

typedef struct qd_segments {
    qd_segment *segment; /* [count] as they lie in the vector */
    int count;
} qd_segments;

/* Whether one of the node's parameters lies in it. */
bool qd_segment_has_params_of(const qd_segment *segment, const qd_graph *graph, int node);

/* Owner of *segments: the caller (qd_segments_destroy). QD_ENOMEM. */
int qd_segments_create(const qd_graph *graph, const qd_timeline *timeline,
                       const qd_buckets *buckets, qd_segments **segments);
void qd_segments_destroy(qd_segments *segments);

#endif
