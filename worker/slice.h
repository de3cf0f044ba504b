/*
 * slice.h: a hyper-rectangle of a tensor: where it begins in each dimension and how far it goes.
 * Pure index arithmetic, and copying between slices of one tensor; no files.
 */
#ifndef QD_WORKER_SLICE_H
#define QD_WORKER_SLICE_H

#include <stdbool.h>
#include <stdint.h>

#include "models/graph.h"

/* The elements offset[d] .. offset[d] + extent[d] - 1 of each dimension d of a tensor of shape
 * `whole`. A tensor of no dimensions has one element. Stored row-major, as the whole is. */
typedef struct qd_slice {
    qd_shape whole;
    int64_t offset[QD_MAX_DIMS];
    int64_t extent[QD_MAX_DIMS];
} qd_slice;

/* The slice that is the whole tensor. */
qd_slice qd_slice_whole(const qd_shape *shape);

/* Whether it lies inside the whole, is not empty, and the whole's bytes as float32 fit into
 * int64_t: only then may it be given to the functions below. */
bool qd_slice_valid(const qd_slice *slice);

int64_t qd_slice_elements(const qd_slice *slice);

/* What two slices of one tensor share, to *common, which is untouched when they share nothing:
 * false. */
bool qd_slice_common(const qd_slice *a, const qd_slice *b, qd_slice *common);

/* Whether two slices of one tensor share an element. */
bool qd_slice_overlaps(const qd_slice *a, const qd_slice *b);

/* Copies what both share from source [elements of from] to target [elements of to], each row-major
 * in its own slice. The rest of target is left alone. */
void qd_slice_copy(const qd_slice *from, const float *source, const qd_slice *to, float *target);

/* Whether the whole has this shape. */
bool qd_slice_is_of(const qd_slice *slice, const qd_shape *shape);

#endif
