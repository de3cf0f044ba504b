/* Of a rule that adapts (LAMB): lengths of whole parameters and of their moves, cell by cell. */
#include <stdlib.h>

#include "runtime/error.h"
#include "worker/engine_internal.h"

int qd_engine_lengths_create(qd_engine *e) {
    const qd_row_blocks *blocks = e->buckets->blocks;
    size_t count = (size_t)blocks->count;
    if (!qd_optimizer_facts_of(&e->job.optimizer)->adapts)
        return 0;
    e->lengths = calloc(2 * (size_t)blocks->cell[count] + 1, sizeof(double));
    e->param_lengths = calloc(2 * (size_t)e->graph->param_count + 1, sizeof(double));
    e->pairs = calloc(count + 1, sizeof(int64_t));
    if (!e->lengths || !e->param_lengths || !e->pairs)
        return qd_error_set(QD_ENOMEM, "no memory for the lengths of %zu blocks of rows", count);
    for (size_t k = 0; k <= count; k++)
        e->pairs[k] = 2 * blocks->cell[k];
    return 0;
}

void qd_engine_lengths_destroy(qd_engine *e) {
    free(e->lengths);
    free(e->param_lengths);
    free(e->pairs);
}

/* Rows are measured one by one, so that a cell comes to the same sum however far apart they lie. */
static int measure_cell(qd_engine *e, const qd_engine_cell *cell, void *of) {
    double *lengths = e->lengths + 2 * cell->number, weights, moves;
    int rc = 0;
    lengths[0] = lengths[1] = 0;
    if (e->graph->params[cell->param].kind != QD_PARAM_TRAINED)
        return 0;
    for (int64_t row = 0; row < cell->rows && !rc; row++) {
        qd_engine_piece piece = *cell->piece;
        piece.at = cell->at + row * cell->stride;
        piece.home += piece.at - cell->piece->at;
        piece.count = cell->columns;
        qd_optimizer_tensor tensor = qd_engine_tensor_of(e, &piece);
        rc = e->backend->measure(e->context, &e->job.optimizer, of, &tensor, &weights, &moves);
        if (!rc)
            rc = e->backend->wait(e->context);
        lengths[0] += weights;
        lengths[1] += moves;
    }
    return rc;
}

static int measure_piece(qd_engine *e, const qd_engine_piece *piece, void *of) {
    return qd_engine_visit_cells(e, piece, measure_cell, of);
}

int qd_engine_measure_moves(qd_engine *e, const qd_optimizer_scalars *scalars) {
    qd_optimizer_scalars of = *scalars;
    int rc = qd_engine_visit_pieces(e, measure_piece, &of);
    return rc ? rc : qd_engine_sum_cells(e, e->lengths, 2, e->pairs, e->param_lengths);
}

double qd_engine_ratio(const qd_engine *e, int param) {
    return qd_optimizer_ratio(e->param_lengths[2 * param], e->param_lengths[2 * param + 1]);
}
