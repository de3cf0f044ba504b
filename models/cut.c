#include "models/op.h"

/* Whether the members of a tensor group hold rows of the table. */
static bool cuts_table(const qd_graph *graph, const qd_node *node) {
    return node->op == &qd_op_embedding && graph->params[node->params[0]].cut_dim == 0;
}

int qd_op_tensor_slots(const qd_graph *graph, const qd_node *node) {
    const qd_op_attributes *a = &node->attributes;
    bool cut = (node->op == &qd_op_linear && a->linear.cut != QD_CUT_NONE) ||
               (node->op == &qd_op_cross_entropy && a->cross_entropy.cut) ||
               cuts_table(graph, node);
    return cut ? graph->tensor_slots : 1;
}

bool qd_op_is_shared(const qd_graph *graph, const qd_node *node) {
    return graph->tensor_members > 1 && qd_op_tensor_slots(graph, node) > 1;
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

void qd_cut_slots(const qd_graph *graph, int *first, int *end) {
    *first = graph->tensor_member * graph->tensor_slots / graph->tensor_members;
    *end = (graph->tensor_member + 1) * graph->tensor_slots / graph->tensor_members;
}

void qd_cut_held(const qd_graph *graph, int64_t extent, int64_t unit, int64_t *first,
                 int64_t *end) {
    int first_slot, end_slot;
    int64_t ignored;
    qd_cut_slots(graph, &first_slot, &end_slot);
    qd_cut_range(graph->tensor_slots, extent, unit, first_slot, first, &ignored);
    qd_cut_range(graph->tensor_slots, extent, unit, end_slot - 1, &ignored, end);
}

int qd_cut_scratch_parts(int slots) {
    int parts = 1;
    while (slots >>= 1)
        parts++;
    return parts;
}
