/* The length of the gradient, by the squares of each parameter's cells. Each parameter counts once.
 */
#include <stdlib.h>

#include "runtime/error.h"
#include "worker/engine_internal.h"

int qd_engine_norm_create(qd_engine *e) {
    const qd_row_blocks *blocks = e->buckets->blocks;
    e->squares = calloc((size_t)blocks->cell[blocks->count] + 1, sizeof(double));
    e->param_squares = calloc((size_t)e->graph->param_count + 1, sizeof(double));
    if (!e->squares || !e->param_squares)
        return qd_error_set(QD_ENOMEM, "no memory for the squares of %d blocks of rows",
                            blocks->count);
    return 0;
}

void qd_engine_norm_destroy(qd_engine *e) {
    free(e->squares);
    free(e->param_squares);
}

static int square_cell(qd_engine *e, const qd_engine_cell *cell, void *of) {
    const float *at = qd_engine_piece_gradient(e, cell->piece) + cell->at - cell->piece->at;
    (void)of;
    e->squares[cell->number] = 0;
    if (e->graph->params[cell->param].kind != QD_PARAM_TRAINED)
        return 0;
    return e->backend->norm_squared(e->context, at, cell->rows, cell->columns, cell->stride,
                                    &e->squares[cell->number]);
}

static int square_piece(qd_engine *e, const qd_engine_piece *piece, void *of) {
    return qd_engine_visit_cells(e, piece, square_cell, of);
}

int qd_engine_measure(qd_engine *e) {
    int rc = qd_engine_finish_sums(e);
    if (!rc)
        rc = qd_engine_visit_pieces(e, square_piece, NULL);
    return rc ? rc
              : qd_engine_sum_cells(e, e->squares, 1, e->buckets->blocks->cell, e->param_squares);
}

const double *qd_engine_squares(const qd_engine *e) {
    return e->param_squares;
}
