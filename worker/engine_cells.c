/*
 * Numbers that are summed over a parameter, the same bits on every grid and whoever holds which
 * shard: taken cell by cell (models/row_blocks.h) and added in a tree; of a parameter that tensor
 * slots deal out those of each slot, then the slots', in their tree, wherever they are.
 */
#include <stdlib.h>

#include "runtime/error.h"
#include "worker/engine_internal.h"

/* Slots of one member, at most. */
static int most_slots(const qd_graph *g) {
    return (g->tensor_slots + g->tensor_members - 1) / g->tensor_members;
}

/* Numbers of a member's slots: [parameters with cells][most slots]. */
static size_t member_numbers(const qd_graph *g) {
    int count = 0;
    for (int p = 0; p < g->param_count; p++)
        count += qd_row_blocks_has_cells(g, &g->params[p]);
    return (size_t)count * (size_t)most_slots(g);
}

int qd_engine_cells_create(qd_engine *e) {
    size_t slots = member_numbers(e->graph) * (size_t)e->graph->tensor_members;
    e->slot_sums = calloc(QD_CELL_NUMBERS * slots + 1, sizeof(double));
    return e->slot_sums ? 0 : qd_error_set(QD_ENOMEM, "no memory for %zu sums of slots", slots);
}

void qd_engine_cells_destroy(qd_engine *e) {
    free(e->slot_sums);
}

/* ---- each ---- */

/* The part [*first, *end) of its cut dimension that a slot has, counted in what this graph holds.
 */
static void slot_range(const qd_graph *g, const qd_param *param, int slot, int64_t *first,
                       int64_t *end) {
    qd_cut_range(g->tensor_slots, param->whole.dim[param->cut_dim], param->cut_unit, slot, first,
                 end);
    *first -= param->cut_first;
    *end -= param->cut_first;
}

/* A row, slot by slot. */
static int visit_row(qd_engine *e, const qd_param *param, qd_engine_cell cell,
                     qd_engine_visit_cell *visit, void *of) {
    int first_slot, end_slot, rc = 0;
    int64_t inner = 1, held = param->shape.dim[param->cut_dim], row = cell.at;
    cell.rows = 1;
    for (int d = 1; d < param->cut_dim; d++)
        cell.rows *= param->shape.dim[d];
    for (int d = param->cut_dim + 1; d < param->shape.dims; d++)
        inner *= param->shape.dim[d];
    cell.stride = held * inner;
    qd_cut_slots(e->graph, &first_slot, &end_slot);
    for (int slot = first_slot; slot < end_slot && !rc; slot++, cell.number++) {
        int64_t first, end;
        slot_range(e->graph, param, slot, &first, &end);
        cell.at = row + first * inner;
        cell.columns = (end - first) * inner;
        rc = visit(e, &cell, of);
    }
    return rc;
}

/* Rows of a block that slots deal out; where they deal out rows, each row is one's alone. */
static int visit_rows(qd_engine *e, const qd_param *param, qd_engine_cell cell,
                      qd_engine_visit_cell *visit, void *of) {
    int64_t row = qd_shape_elements(&param->shape) / param->shape.dim[0];
    int64_t end = cell.at + cell.columns;
    int first_slot, end_slot, rc = 0;
    qd_cut_slots(e->graph, &first_slot, &end_slot);
    cell.columns = row;
    for (; cell.at < end && !rc; cell.at += row) {
        rc = param->cut_dim == 0 ? visit(e, &cell, of) : visit_row(e, param, cell, visit, of);
        cell.number += param->cut_dim == 0 ? 1 : end_slot - first_slot;
    }
    return rc;
}

int qd_engine_visit_cells(qd_engine *e, const qd_engine_piece *p, qd_engine_visit_cell *visit,
                          void *of) {
    const qd_row_blocks *blocks = e->buckets->blocks;
    const qd_param *param = &e->graph->params[p->param];
    bool has_cells = qd_row_blocks_has_cells(e->graph, param);
    int rc = 0;
    for (int k = p->first; k < p->end && !rc; k++) {
        qd_engine_cell cell = {.piece = p,
                               .param = p->param,
                               .number = blocks->cell[k],
                               .at = blocks->offset[k],
                               .rows = 1,
                               .columns = blocks->elements[k]};
        rc = has_cells ? visit_rows(e, param, cell, visit, of) : visit(e, &cell, of);
    }
    return rc;
}

/* ---- summed ---- */

/* Of numbers [first, end), `stride` apart, added in the tree of collectives/tree.h; of none: 0. */
static double tree_sum(const double *numbers, int64_t stride, int64_t first, int64_t end) {
    if (end - first <= 1)
        return end > first ? numbers[first * stride] : 0;
    int64_t middle = first + (int64_t)qd_tree_split(0, (int)(end - first));
    return tree_sum(numbers, stride, first, middle) + tree_sum(numbers, stride, middle, end);
}

/* What is summed: `each` numbers a cell. */
typedef struct summing {
    qd_engine *e;
    const double *cells;
    int each;
} summing;

/* Number `which` of the cells of one slot of a parameter: rows of its own, or its part of each row.
 */
static double sum_slot(const summing *s, int p, int slot, int which) {
    const qd_graph *g = s->e->graph;
    const qd_row_blocks *blocks = s->e->buckets->blocks;
    const qd_param *param = &g->params[p];
    const double *cells = s->cells + blocks->cell[blocks->first[p]] * s->each + which;
    int64_t first, end;
    if (param->cut_dim > 0) {
        int first_slot, end_slot;
        qd_cut_slots(g, &first_slot, &end_slot);
        return tree_sum(cells + (int64_t)(slot - first_slot) * s->each,
                        (int64_t)(end_slot - first_slot) * s->each, 0, param->shape.dim[0]);
    }
    slot_range(g, param, slot, &first, &end);
    return tree_sum(cells, s->each, first, end);
}

static void sum_own_slots(const summing *s) {
    const qd_graph *g = s->e->graph;
    int first_slot, end_slot;
    qd_cut_slots(g, &first_slot, &end_slot);
    double *own = s->e->slot_sums + member_numbers(g) * (size_t)(g->tensor_member * s->each);
    for (int p = 0; p < g->param_count; p++) {
        if (!qd_row_blocks_has_cells(g, &g->params[p]))
            continue;
        for (int slot = first_slot; slot < end_slot; slot++)
            for (int i = 0; i < s->each; i++)
                own[(slot - first_slot) * s->each + i] = sum_slot(s, p, slot, i);
        own += most_slots(g) * s->each;
    }
}

/* Number `which` of slots [first, end) of parameter number `p` of those with cells, in their tree.
 */
static double sum_slots(const summing *s, int p, int which, int first, int end) {
    const qd_graph *g = s->e->graph;
    if (end - first > 1) {
        int middle = qd_tree_split(first, end);
        return sum_slots(s, p, which, first, middle) + sum_slots(s, p, which, middle, end);
    }
    qd_graph of = {.tensor_slots = g->tensor_slots, .tensor_members = g->tensor_members};
    int first_slot, end_slot;
    for (;; of.tensor_member++) {
        qd_cut_slots(&of, &first_slot, &end_slot);
        if (first < end_slot)
            break;
    }
    const double *sums = s->e->slot_sums + member_numbers(g) * (size_t)(of.tensor_member * s->each);
    return sums[(p * most_slots(g) + first - first_slot) * s->each + which];
}

static void sum_params(const summing *s, double *sums) {
    const qd_graph *g = s->e->graph;
    const qd_row_blocks *blocks = s->e->buckets->blocks;
    int with_cells = 0;
    for (int p = 0; p < blocks->params; p++) {
        bool has_cells = qd_row_blocks_has_cells(g, &g->params[p]);
        for (int i = 0; i < s->each; i++)
            sums[p * s->each + i] =
                has_cells ? sum_slots(s, with_cells, i, 0, g->tensor_slots)
                          : tree_sum(s->cells + i, s->each, blocks->cell[blocks->first[p]],
                                     blocks->cell[blocks->first[p + 1]]);
        with_cells += has_cells;
    }
}

int qd_engine_sum_cells(qd_engine *e, double *cells, int each, const int64_t *begins,
                        double *sums) {
    const qd_graph *g = e->graph;
    summing s = {e, cells, each};
    int rc = qd_engine_share(e, cells, begins);
    if (rc)
        return rc;
    sum_own_slots(&s);
    if (g->tensor_members > 1)
        rc = e->tensor_exchange->gather(
            e->tensor_exchange->context, e->slot_sums,
            (int64_t)(member_numbers(g) * (size_t)each * sizeof(double)));
    if (!rc)
        sum_params(&s, sums);
    return rc;
}
