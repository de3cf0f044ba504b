#include "models/op.h"

int qd_op_tensor_slots(const qd_graph *graph, const qd_node *node) {
    const qd_op_attributes *a = &node->attributes;
    bool cut = (node->op == &qd_op_linear && a->linear.cut != QD_CUT_NONE) ||
               (node->op == &qd_op_cross_entropy && a->cross_entropy.cut);
    return cut ? graph->tensor_slots : 1;
}

void qd_cut_range(int slots, int64_t extent, int64_t unit, int slot, int64_t *first, int64_t *end) {
    int64_t width = unit > 0 ? unit : 1, units = extent / width;
    if (slots == 1) {
        *first = 0;
        *end = extent;
        return;
    }
    *first = slot * units / slots * width;
    *end = (slot + 1) * units / slots * width;
}

int qd_cut_scratch_parts(int slots) {
    int parts = 1;
    while (slots >>= 1)
        parts++;
    return parts;
}
