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

bool qd_slice_overlaps(const qd_slice *a, const qd_slice *b) {
    for (int d = 0; d < a->whole.dims; d++)
        if (a->offset[d] + a->extent[d] <= b->offset[d] ||
            b->offset[d] + b->extent[d] <= a->offset[d])
            return false;
    return true;
}

/* A slice seen as runs of elements that lie side by side in the whole as well: `run` elements
 * each, one for every index of the dimensions before `outer`. */
typedef struct run_walk {
    const qd_slice *slice;
    int outer;
    int64_t run;
    int64_t stride[QD_MAX_DIMS]; /* of the whole, in elements */
    int64_t index[QD_MAX_DIMS];  /* within the slice */
} run_walk;

static run_walk walk_runs(const qd_slice *slice) {
    run_walk walk = {.slice = slice, .outer = slice->whole.dims, .run = 1};
    int64_t stride = 1;
    bool side_by_side = true;
    for (int d = slice->whole.dims - 1; d >= 0; d--) {
        walk.stride[d] = stride;
        stride *= slice->whole.dim[d];
        if (!side_by_side)
            continue;
        walk.run *= slice->extent[d];
        walk.outer = d;
        side_by_side = slice->extent[d] == slice->whole.dim[d];
    }
    return walk;
}

/* First element of the current run in the whole. */
static int64_t run_begin(const run_walk *walk) {
    int64_t begin = 0;
    for (int d = 0; d < walk->slice->whole.dims; d++)
        begin += (walk->slice->offset[d] + walk->index[d]) * walk->stride[d];
    return begin;
}

static bool next_run(run_walk *walk) {
    for (int d = walk->outer - 1; d >= 0; d--) {
        if (++walk->index[d] < walk->slice->extent[d])
            return true;
        walk->index[d] = 0;
    }
    return false;
}

void qd_slice_take(const qd_slice *slice, const float *whole, float *part) {
    run_walk walk = walk_runs(slice);
    do {
        memcpy(part, whole + run_begin(&walk), (size_t)walk.run * sizeof *part);
        part += walk.run;
    } while (next_run(&walk));
}

void qd_slice_put(const qd_slice *slice, const float *part, float *whole) {
    run_walk walk = walk_runs(slice);
    do {
        memcpy(whole + run_begin(&walk), part, (size_t)walk.run * sizeof *part);
        part += walk.run;
    } while (next_run(&walk));
}

bool qd_slice_is_of(const qd_slice *slice, const qd_shape *shape) {
    return qd_shape_equals(&slice->whole, shape);
}
