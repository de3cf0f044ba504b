#include "models/op.h"

#include <inttypes.h>

#include "runtime/error.h"

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

bool qd_rows_are_shared(const qd_graph *graph, const qd_value *value) {
    return value->by_rows && graph->shares_rows;
}

int64_t qd_rows_whole(const qd_value *value) {
    const qd_shape *shape = qd_value_whole(value);
    return qd_shape_elements(shape) / shape->dim[shape->dims - 1];
}

int qd_rows_slots(const qd_graph *graph, const qd_value *value) {
    return value->by_rows ? graph->tensor_slots : 1;
}

/* The same answer on all members. */
static int check_rows(const qd_graph *graph, const qd_node *node, int64_t rows) {
    int members = graph->tensor_members, most = 1;
    if (qd_cut_feeds_all(graph, members, rows, 1))
        return 0;
    while (most + 1 < members && qd_cut_feeds_all(graph, most + 1, rows, 1))
        most++;
    return qd_error_set(QD_ECONFIG,
                        "%s: the %" PRId64
                        " token(s) of a micro-batch do not give each of %d ranks "
                        "one; use layout.tp %d or less, or layout.sequence_parallel false",
                        node->name, rows, members, most);
}

int qd_cut_deal_rows(const qd_graph *graph, const qd_node *node, qd_value *output) {
    int64_t first, end, rows, width = output->shape.dim[output->shape.dims - 1];
    if (!graph->deals_rows)
        return 0;
    output->by_rows = true;
    output->whole = output->shape;
    rows = qd_rows_whole(output);
    if (!graph->shares_rows)
        return 0;
    int rc = check_rows(graph, node, rows);
    qd_cut_held(graph, rows, 1, &first, &end);
    output->first_row = first;
    output->shape = (qd_shape){.dims = 2, .dim = {end - first, width}};
    return rc;
}

bool qd_cut_feeds_all(const qd_graph *graph, int members, int64_t extent, int64_t unit) {
    qd_graph of = *graph;
    of.tensor_members = members;
    for (of.tensor_member = 0; of.tensor_member < members; of.tensor_member++) {
        int64_t first, end;
        qd_cut_held(&of, extent, unit, &first, &end);
        if (first == end)
            return false;
    }
    return true;
}

int qd_cut_scratch_parts(int slots) {
    int parts = 1;
    while (slots >>= 1)
        parts++;
    return parts;
}
