/*
 * The length of the gradient, the same bits on every grid and whoever holds which shard: squares
 * are added cell by cell (models/row_blocks.h) in a tree; of a parameter that tensor slots deal out
 * those of each slot, then the slots', in their tree, wherever they are. Each parameter counts
 * once.
 */
#include <stdlib.h>

#include "runtime/error.h"
#include "worker/engine_internal.h"

/* Slots of one member, at most. */
static int most_slots(const qd_graph *g) {
    return (g->tensor_slots + g->tensor_members - 1) / g->tensor_members;
}

/* Of a member's squares by slots: [parameters with cells][most slots]. */
static size_t member_squares(const qd_graph *g) {
    int count = 0;
    for (int p = 0; p < g->param_count; p++)
        count += qd_row_blocks_has_cells(g, &g->params[p]);
    return (size_t)count * (size_t)most_slots(g);
}

int qd_engine_norm_create(qd_engine *e) {
    const qd_row_blocks *blocks = e->buckets->blocks;
    size_t slots = member_squares(e->graph) * (size_t)e->graph->tensor_members;
    size_t count = (size_t)blocks->count;
    e->squares = calloc((size_t)blocks->cell[count] + 1, sizeof(double));
    e->slot_squares = calloc(slots + 1, sizeof(double));
    e->param_squares = calloc((size_t)e->graph->param_count + 1, sizeof(double));
    e->lengths = calloc(2 * count + 1, sizeof(double));
    e->pairs = calloc(count + 1, sizeof(int64_t));
    if (!e->squares || !e->slot_squares || !e->param_squares || !e->lengths || !e->pairs)
        return qd_error_set(QD_ENOMEM, "no memory for the lengths of %zu blocks of rows", count);
    for (int k = 0; k <= blocks->count; k++)
        e->pairs[k] = 2 * (int64_t)k;
    return 0;
}

void qd_engine_norm_destroy(qd_engine *e) {
    free(e->squares);
    free(e->slot_squares);
    free(e->param_squares);
    free(e->lengths);
    free(e->pairs);
}

double qd_engine_tree_sum(const double *numbers, int64_t stride, int64_t first, int64_t end) {
    if (end - first <= 1)
        return end > first ? numbers[first * stride] : 0;
    int64_t middle = first + (int64_t)qd_tree_split(0, (int)(end - first));
    return qd_engine_tree_sum(numbers, stride, first, middle) +
           qd_engine_tree_sum(numbers, stride, middle, end);
}

/* ---- cells ---- */

/* The part [*first, *end) of its cut dimension that a slot has, counted in what this graph holds.
 */
static void slot_range(const qd_graph *g, const qd_param *param, int slot, int64_t *first,
                       int64_t *end) {
    qd_cut_range(g->tensor_slots, param->whole.dim[param->cut_dim], param->cut_unit, slot, first,
                 end);
    *first -= param->cut_first;
    *end -= param->cut_first;
}

/* A row, slot by slot; `row` is [dims behind the first]. */
static int square_row(qd_engine *e, const qd_param *param, const float *row, double *cells) {
    int first_slot, end_slot, rc = 0;
    int64_t outer = 1, inner = 1, held = param->shape.dim[param->cut_dim];
    for (int d = 1; d < param->cut_dim; d++)
        outer *= param->shape.dim[d];
    for (int d = param->cut_dim + 1; d < param->shape.dims; d++)
        inner *= param->shape.dim[d];
    qd_cut_slots(e->graph, &first_slot, &end_slot);
    for (int slot = first_slot; slot < end_slot && !rc; slot++) {
        int64_t first, end;
        slot_range(e->graph, param, slot, &first, &end);
        rc = e->backend->norm_squared(e->context, row + first * inner, outer, (end - first) * inner,
                                      held * inner, cells++);
    }
    return rc;
}

/* Rows of a block that slots deal out; where they deal out rows, each row is one's alone. */
static int square_rows(qd_engine *e, const qd_param *param, const float *at, int64_t elements,
                       double *cells) {
    int64_t row = qd_shape_elements(&param->shape) / param->shape.dim[0];
    int first_slot, end_slot, rc = 0;
    qd_cut_slots(e->graph, &first_slot, &end_slot);
    int64_t step = param->cut_dim == 0 ? 1 : end_slot - first_slot;
    for (int64_t from = 0; from < elements && !rc; from += row, cells += step)
        rc = param->cut_dim == 0 ? e->backend->norm_squared(e->context, at + from, 1, row, 0, cells)
                                 : square_row(e, param, at + from, cells);
    return rc;
}

static int square_piece(qd_engine *e, const qd_engine_piece *p, void *of) {
    const qd_row_blocks *blocks = e->buckets->blocks;
    const qd_param *param = &e->graph->params[p->param];
    int rc = 0;
    (void)of;
    for (int k = p->first; k < p->end && !rc; k++) {
        double *cells = e->squares + blocks->cell[k];
        const float *at = qd_engine_piece_gradient(e, p) + blocks->offset[k] - p->at;
        *cells = 0;
        if (qd_row_blocks_has_cells(e->graph, param))
            rc = square_rows(e, param, at, blocks->elements[k], cells);
        else if (param->kind == QD_PARAM_TRAINED)
            rc = e->backend->norm_squared(e->context, at, 1, blocks->elements[k], 0, cells);
    }
    return rc;
}

/* ---- slots ---- */

/* The cells of one slot of a parameter: rows of its own, or its part of each row. */
static double sum_slot(const qd_engine *e, int p, int slot, int first_slot, int end_slot) {
    const qd_row_blocks *blocks = e->buckets->blocks;
    const qd_param *param = &e->graph->params[p];
    const double *cells = e->squares + blocks->cell[blocks->first[p]];
    int64_t first, end;
    if (param->cut_dim > 0)
        return qd_engine_tree_sum(cells + slot - first_slot, end_slot - first_slot, 0,
                                  param->shape.dim[0]);
    slot_range(e->graph, param, slot, &first, &end);
    return qd_engine_tree_sum(cells, 1, first, end);
}

static void sum_own_slots(qd_engine *e) {
    const qd_graph *g = e->graph;
    int first_slot, end_slot;
    qd_cut_slots(g, &first_slot, &end_slot);
    double *own = e->slot_squares + member_squares(g) * (size_t)g->tensor_member;
    for (int p = 0; p < g->param_count; p++) {
        if (!qd_row_blocks_has_cells(g, &g->params[p]))
            continue;
        for (int slot = first_slot; slot < end_slot; slot++)
            own[slot - first_slot] = sum_slot(e, p, slot, first_slot, end_slot);
        own += most_slots(g);
    }
}

/* Of slots [first, end) of parameter number `which` of those with cells, in their tree. */
static double sum_slots(const qd_engine *e, int which, int first, int end) {
    const qd_graph *g = e->graph;
    if (end - first > 1) {
        int middle = qd_tree_split(first, end);
        return sum_slots(e, which, first, middle) + sum_slots(e, which, middle, end);
    }
    qd_graph of = {.tensor_slots = g->tensor_slots, .tensor_members = g->tensor_members};
    int first_slot, end_slot;
    for (;; of.tensor_member++) {
        qd_cut_slots(&of, &first_slot, &end_slot);
        if (first < end_slot)
            break;
    }
    const double *squares = e->slot_squares + member_squares(g) * (size_t)of.tensor_member;
    return squares[which * most_slots(g) + first - first_slot];
}

int qd_engine_measure(qd_engine *e) {
    const qd_graph *g = e->graph;
    const qd_row_blocks *blocks = e->buckets->blocks;
    int rc = qd_engine_finish_sums(e), which = 0;
    if (!rc)
        rc = qd_engine_visit_pieces(e, square_piece, NULL);
    if (!rc)
        rc = qd_engine_share(e, e->squares, blocks->cell);
    if (!rc)
        sum_own_slots(e);
    if (!rc && g->tensor_members > 1)
        rc = e->tensor_exchange->gather(e->tensor_exchange->context, e->slot_squares,
                                        (int64_t)(member_squares(g) * sizeof(double)));
    if (rc)
        return rc;
    for (int p = 0; p < blocks->params; p++)
        e->param_squares[p] =
            qd_row_blocks_has_cells(g, &g->params[p])
                ? sum_slots(e, which++, 0, g->tensor_slots)
                : qd_engine_tree_sum(e->squares, 1, blocks->cell[blocks->first[p]],
                                     blocks->cell[blocks->first[p + 1]]);
    return 0;
}

const double *qd_engine_squares(const qd_engine *e) {
    return e->param_squares;
}
