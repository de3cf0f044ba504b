#include "scheduler/simulator_ends.h"

#include <stdlib.h>

#include "runtime/error.h"

int qd_ends_init(qd_ends *ends, int jobs) {
    *ends = (qd_ends){.newest = calloc((size_t)jobs, sizeof *ends->newest)};
    return ends->newest ? 0 : QD_ENOMEM;
}

void qd_ends_fini(qd_ends *ends) {
    free(ends->heap);
    free(ends->newest);
    *ends = (qd_ends){0};
}

static bool before(const qd_end *a, const qd_end *b) {
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->job < b->job;
}

static void swap(qd_end *a, qd_end *b) {
    qd_end kept = *a;
    *a = *b;
    *b = kept;
}

static void sift_down(qd_ends *ends) {
    for (int at = 0;;) {
        int least = at;
        for (int child = 2 * at + 1; child <= 2 * at + 2 && child < ends->count; child++)
            if (before(&ends->heap[child], &ends->heap[least]))
                least = child;
        if (least == at)
            return;
        swap(&ends->heap[at], &ends->heap[least]);
        at = least;
    }
}

static void drop_first(qd_ends *ends) {
    ends->heap[0] = ends->heap[--ends->count];
    sift_down(ends);
}

/* So that the first one is always one that will come. */
static void drop_replaced(qd_ends *ends) {
    while (ends->count > 0 && ends->heap[0].serial != ends->newest[ends->heap[0].job])
        drop_first(ends);
}

int qd_ends_set(qd_ends *ends, qd_end end) {
    if (ends->count == ends->capacity) {
        int capacity = ends->capacity ? 2 * ends->capacity : 256;
        qd_end *heap = realloc(ends->heap, (size_t)capacity * sizeof *heap);
        if (!heap)
            return qd_error_set(QD_ENOMEM, "no memory for %d ends", capacity);
        ends->heap = heap;
        ends->capacity = capacity;
    }
    int at = ends->count++;
    end.serial = ends->newest[end.job] = ++ends->pushed;
    ends->heap[at] = end;
    for (; at > 0 && before(&ends->heap[at], &ends->heap[(at - 1) / 2]); at = (at - 1) / 2)
        swap(&ends->heap[at], &ends->heap[(at - 1) / 2]);
    drop_replaced(ends);
    return 0;
}

int64_t qd_ends_first_ns(const qd_ends *ends) {
    return ends->count > 0 ? ends->heap[0].at_ns : INT64_MAX;
}

bool qd_ends_pop(qd_ends *ends, int64_t now_ns, qd_end *end) {
    if (ends->count == 0 || ends->heap[0].at_ns > now_ns)
        return false;
    *end = ends->heap[0];
    drop_first(ends);
    drop_replaced(ends);
    return true;
}
