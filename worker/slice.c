#include "worker/slice.h"

#include <string.h>

qd_slice qd_slice_whole(const qd_shape *shape) {
    qd_slice slice = {.whole = *shape};
    for (int d = 0; d < shape->dims; d++)
        slice.extent[d] = shape->dim[d];
    return slice;
}

bool qd_slice_valid(const qd_slice *slice) {
    const qd_shape *whole = &slice->whole;
    int64_t room = INT64_MAX / (int64_t)sizeof(float);
    if (whole->dims < 0 || whole->dims > QD_MAX_DIMS)
        return false;
    for (int d = 0; d < whole->dims; d++) {
        if (whole->dim[d] < 1 || whole->dim[d] > room)
            return false;
        room /= whole->dim[d];
        if (slice->offset[d] < 0 || slice->extent[d] < 1 || slice->offset[d] >= whole->dim[d] ||
            slice->extent[d] > whole->dim[d] - slice->offset[d])
            return false;
    }
    return true;
}

int64_t qd_slice_elements(const qd_slice *slice) {
    int64_t elements = 1;
    for (int d = 0; d < slice->whole.dims; d++)
        elements *= slice->extent[d];
    return elements;
}

bool qd_slice_common(const qd_slice *a, const qd_slice *b, qd_slice *common) {
    qd_slice shared = {.whole = a->whole};
    for (int d = 0; d < a->whole.dims; d++) {
        int64_t a_end = a->offset[d] + a->extent[d], b_end = b->offset[d] + b->extent[d];
        shared.offset[d] = a->offset[d] > b->offset[d] ? a->offset[d] : b->offset[d];
        shared.extent[d] = (a_end < b_end ? a_end : b_end) - shared.offset[d];
        if (shared.extent[d] < 1)
            return false;
    }
    *common = shared;
    return true;
}

bool qd_slice_overlaps(const qd_slice *a, const qd_slice *b) {
    qd_slice common;
    return qd_slice_common(a, b, &common);
}

/* What two slices share, seen as runs of elements that lie side by side in both: `run` elements
 * each, one for every index of the dimensions before `outer`. */
typedef struct run_walk {
    qd_slice common;
    int outer;
    int64_t run;
    int64_t index[QD_MAX_DIMS]; /* within what is common */
} run_walk;

static bool walk_runs(const qd_slice *a, const qd_slice *b, run_walk *walk) {
    *walk = (run_walk){.outer = a->whole.dims, .run = 1};
    if (!qd_slice_common(a, b, &walk->common))
        return false;
    bool side_by_side = true;
    for (int d = walk->outer - 1; d >= 0 && side_by_side; d--) {
        int64_t extent = walk->common.extent[d];
        walk->run *= extent;
        walk->outer = d;
        side_by_side = extent == a->extent[d] && extent == b->extent[d];
    }
    return true;
}

/* Where the current run begins in the elements of a slice that contains it. */
static int64_t run_begin(const run_walk *walk, const qd_slice *in) {
    int64_t begin = 0;
    for (int d = 0; d < in->whole.dims; d++)
        begin = begin * in->extent[d] + walk->common.offset[d] + walk->index[d] - in->offset[d];
    return begin;
}

static bool next_run(run_walk *walk) {
    for (int d = walk->outer - 1; d >= 0; d--) {
        if (++walk->index[d] < walk->common.extent[d])
            return true;
        walk->index[d] = 0;
    }
    return false;
}

void qd_slice_copy(const qd_slice *from, const float *source, const qd_slice *to, float *target) {
    run_walk walk;
    if (!walk_runs(from, to, &walk))
        return;
    do {
        memcpy(target + run_begin(&walk, to), source + run_begin(&walk, from),
               (size_t)walk.run * sizeof *target);
    } while (next_run(&walk));
}

bool qd_slice_is_of(const qd_slice *slice, const qd_shape *shape) {
    return qd_shape_equals(&slice->whole, shape);
}
