#include "worker/cpu/kernels/tensor_slots.h"

#include <string.h>

#include "collectives/tree.h"
#include "worker/cpu/kernels/kernels.h"

int QD_CPU(sum_slots)(int slots, int64_t extent, int64_t unit, qd_slot_run *run,
                      const void *context, float *sum, int64_t count, bool adds, float *scratch) {
    qd_tree_stack stack;
    int into, from;
    qd_tree_stack_init(&stack, slots, 0, slots);
    for (int slot = 0; slot < slots; slot++) {
        int64_t first, end;
        qd_cut_range(slots, extent, unit, slot, &first, &end);
        float *part = scratch + qd_tree_stack_top(&stack) * count;
        int rc = 0;
        if (first == end) /* an empty product is zero; a library may leave it out */
            memset(part, 0, (size_t)count * sizeof *part);
        else
            rc = run(context, first, end, part);
        if (rc)
            return rc;
        while (qd_tree_stack_push_next(&stack, &into, &from))
            QD_CPU(add_floats)(scratch + into * count, scratch + from * count, count);
    }
    QD_CPU(hand_on)(sum, scratch, count, adds);
    return 0;
}
