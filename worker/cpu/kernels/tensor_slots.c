#include "worker/cpu/kernels/tensor_slots.h"

#include <string.h>

#include "collectives/tree.h"
#include "runtime/align.h"
#include "worker/cpu/kernels/kernels.h"

qd_slots QD_CPU(slots_of)(const qd_graph *graph, const qd_node *node, int64_t extent, int64_t unit,
                          const qd_tensor_exchange *exchange) {
    qd_slots slots = {.count = qd_op_tensor_slots(graph, node), .extent = extent, .unit = unit};
    int64_t end;
    slots.end = slots.count;
    if (slots.count == 1)
        return slots;
    qd_cut_slots(graph, &slots.first, &slots.end);
    qd_cut_held(graph, extent, unit, &slots.begin, &end);
    slots.exchange = qd_op_is_shared(graph, node) ? exchange : NULL;
    return slots;
}

qd_slots QD_CPU(slots_of_rows)(const qd_graph *graph, int value,
                               const qd_tensor_exchange *exchange) {
    const qd_value *v = &graph->values[value];
    qd_slots slots = {.count = qd_rows_slots(graph, v), .extent = qd_rows_whole(v), .unit = 1};
    slots.end = slots.count;
    if (!qd_rows_are_shared(graph, v))
        return slots;
    qd_cut_slots(graph, &slots.first, &slots.end);
    slots.begin = v->first_row;
    slots.exchange = exchange;
    return slots;
}

/* What other members have of the sum, to be found in the scratch or, of own rows that nothing is
 * added to, in `sum`. */
static int exchange(const qd_slots *slots, float *const *parts, int part_count, float *sum,
                    int64_t count, bool adds, float *scratch) {
    const qd_tensor_exchange *x = slots->exchange;
    const qd_rows *r = slots->rows;
    if (!r)
        return x->sum(x->context, parts, part_count, scratch, count);
    float *own = adds ? scratch + r->first * r->width : sum;
    int rc = x->sum_rows(x->context, parts, part_count, r->whole, r->width, own);
    if (!rc && adds)
        QD_CPU(hand_on)(sum, own, r->count * r->width, true);
    return rc;
}

int QD_CPU(sum_slots)(const qd_slots *slots, qd_slot_run *run, const void *context, float *sum,
                      int64_t count, bool adds, float *scratch) {
    qd_tree_stack stack;
    int into, from;
    int64_t stride = qd_align_floats(count);
    float *parts[QD_TREE_MAX_COVER];
    qd_tree_stack_init(&stack, slots->count, slots->first, slots->end);
    for (int slot = slots->first; slot < slots->end; slot++) {
        int64_t first, end;
        qd_slots_range(slots, slot, &first, &end);
        float *part = scratch + qd_tree_stack_top(&stack) * stride;
        int rc = 0;
        if (first == end) /* an empty product is zero; a library may leave it out */
            memset(part, 0, (size_t)count * sizeof *part);
        else
            rc = run(context, first, end, part);
        if (rc)
            return rc;
        while (qd_tree_stack_push_next(&stack, &into, &from))
            QD_CPU(add_floats)(scratch + into * stride, scratch + from * stride, count);
    }
    for (int i = 0; i < stack.count; i++)
        parts[i] = scratch + i * stride;
    int rc = slots->exchange ? exchange(slots, parts, stack.count, sum, count, adds, scratch) : 0;
    bool there = slots->exchange && slots->rows;
    if (!rc && sum != scratch && !there)
        QD_CPU(hand_on)(sum, scratch, count, adds);
    return rc;
}
