#include "worker/checkpoint_deal.h"

/* Elements of one index of dimension 0 of what is held, and how many such there are. */
static void row_size(const qd_slice *slice, int64_t *elements, int64_t *rows) {
    *elements = 1;
    *rows = slice->whole.dims > 0 ? slice->extent[0] : 1;
    for (int d = 1; d < slice->whole.dims; d++)
        *elements *= slice->extent[d];
}

static int64_t total_elements(const qd_state_tensor *tensors, int count, int replicas) {
    int64_t total = 0;
    for (int i = 0; i < count; i++)
        if (tensors[i].replicas == replicas)
            total += qd_slice_elements(&tensors[i].slice);
    return total;
}

/* Where the cut before writer `index` falls: elements of all tensors, were they not rounded. */
static int64_t cut_before(int64_t total, int index, int writers) {
    return total / writers * index + total % writers * index / writers;
}

/* The row of a tensor at which a cut `at` elements behind its beginning falls. Grows with `at`,
 * so that cuts keep their order. */
static int64_t row_at(int64_t at, int64_t elements, int64_t rows) {
    if (at <= 0)
        return 0;
    int64_t row = at / elements + (at % elements * 2 >= elements);
    return row < rows ? row : rows;
}

/* The share of writer `index` of `writers` of the tensors of equal `replicas`. */
static int deal_equals(const qd_state_tensor *tensors, int count, int replicas, int index,
                       int writers, qd_checkpoint_piece *pieces) {
    int64_t total = total_elements(tensors, count, replicas);
    int64_t from = cut_before(total, index, writers), to = cut_before(total, index + 1, writers);
    int64_t begin = 0, elements, rows;
    int dealt = 0;
    for (int i = 0; i < count; i++) {
        if (tensors[i].replicas != replicas)
            continue;
        row_size(&tensors[i].slice, &elements, &rows);
        int64_t first = row_at(from - begin, elements, rows);
        int64_t end = row_at(to - begin, elements, rows);
        begin += elements * rows;
        if (first == end)
            continue;
        qd_checkpoint_piece *piece = &pieces[dealt++];
        *piece = (qd_checkpoint_piece){.tensor = i, .slice = tensors[i].slice};
        piece->slice.offset[0] += first;
        piece->slice.extent[0] = end - first;
    }
    return dealt;
}

static bool is_first_of_its_replicas(const qd_state_tensor *tensors, int i) {
    for (int other = 0; other < i; other++)
        if (tensors[other].replicas == tensors[i].replicas)
            return false;
    return true;
}

int qd_checkpoint_deal(const qd_state_tensor *tensors, int count, int index, int writers,
                       qd_checkpoint_piece *pieces) {
    int dealt = 0;
    for (int i = 0; i < count; i++) {
        const qd_state_tensor *t = &tensors[i];
        if (t->replicas >= 0 && is_first_of_its_replicas(tensors, i))
            dealt += deal_equals(tensors, count, t->replicas, t->replicas ? t->replica : index,
                                 t->replicas ? t->replicas : writers, pieces + dealt);
    }
    return dealt;
}
