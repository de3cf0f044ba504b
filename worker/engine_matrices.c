/*
 * Matrices that Muon makes orthogonal, and of which each member of a tensor group has a part. Such
 * a matrix is one block (models/row_blocks.h), and tensor members cut shards alike: those of one
 * data member have their parts of the same matrices, in the same order. They take as many at a time
 * as there are members: each is sent one matrix's parts, makes it orthogonal, and sends back to
 * each its part. So the work is shared, and all it takes is the room for one matrix: parts stand
 * where their gradient was.
 */
#include "runtime/align.h"
#include "runtime/error.h"
#include "worker/engine_internal.h"

/* Matrix i is made orthogonal by member i. */
typedef struct batch {
    qd_engine_piece piece[QD_MAX_TENSOR_SLOTS];
    int count;
    const qd_optimizer_scalars *scalars;
} batch;

bool qd_engine_shares_matrix(const qd_engine *e, int param) {
    return e->graph->tensor_members > 1 && e->graph->params[param].cut_dim >= 0 &&
           qd_optimizer_orthogonalizes(&e->job.optimizer, e->graph, param);
}

/* The matrix that this member has whole, in two places of the scratch. */
typedef struct whole {
    const qd_param *param;
    int64_t rows, columns;
    float *matrix;
    float *parts; /* those of the members, where they are columns: each [rows][own columns] */
} whole;

static whole whole_of(const qd_engine *e, const qd_engine_piece *piece) {
    const qd_param *param = &e->graph->params[piece->param];
    whole w = {.param = param, .rows = param->whole.dim[0], .columns = param->whole.dim[1]};
    w.matrix = qd_engine_at(e, e->plan->scratch);
    w.parts = w.matrix + qd_align_floats(w.rows * w.columns);
    return w;
}

/* Where a member's part lies, and how many elements it has. Rows of a matrix lie together in it. */
static float *part_of(const qd_engine *e, const whole *w, int member, int64_t *count) {
    qd_graph of = {.tensor_slots = e->graph->tensor_slots,
                   .tensor_members = e->graph->tensor_members,
                   .tensor_member = member};
    bool cuts_rows = w->param->cut_dim == 0;
    int64_t first, end, across = cuts_rows ? w->columns : w->rows;
    qd_cut_held(&of, cuts_rows ? w->rows : w->columns, w->param->cut_unit, &first, &end);
    *count = (end - first) * across;
    return (cuts_rows ? w->matrix : w->parts) + first * across;
}

/* Columns between the matrix and the parts. */
static int copy_columns(qd_engine *e, const whole *w, bool into_matrix) {
    int rc = 0;
    int64_t column = 0;
    for (int t = 0; t < e->graph->tensor_members && w->param->cut_dim == 1; t++) {
        int64_t count;
        float *part = part_of(e, w, t, &count);
        int64_t columns = count / w->rows;
        for (int64_t r = 0; r < w->rows && !rc; r++) {
            float *in_matrix = w->matrix + r * w->columns + column, *in_part = part + r * columns;
            rc = e->backend->copy(e->context, into_matrix ? in_matrix : in_part,
                                  into_matrix ? in_part : in_matrix,
                                  (size_t)columns * sizeof(float));
        }
        column += columns;
    }
    return rc;
}

/* Parts go to whoever makes their matrix orthogonal, or come back. w: of this member's; NULL: it
 * has none. */
static int trade(qd_engine *e, const batch *b, const whole *w, bool back) {
    qd_tensor_message messages[2 * QD_MAX_TENSOR_SLOTS];
    int count = 0, me = e->graph->tensor_member;
    for (int i = 0; i < b->count; i++)
        if (i != me)
            messages[count++] =
                (qd_tensor_message){.peer = i,
                                    .sends = !back,
                                    .bytes = qd_engine_piece_gradient(e, &b->piece[i]),
                                    .count = b->piece[i].count * (int64_t)sizeof(float)};
    for (int t = 0; w && t < e->graph->tensor_members; t++) {
        int64_t elements;
        float *part = part_of(e, w, t, &elements);
        if (t != me)
            messages[count++] = (qd_tensor_message){.peer = t,
                                                    .sends = back,
                                                    .bytes = part,
                                                    .count = elements * (int64_t)sizeof(float)};
    }
    int rc = e->backend->wait(e->context);
    return rc ? rc : e->tensor_exchange->trade(e->tensor_exchange->context, messages, count);
}

/* This member's own part of the matrix that it has whole. */
static int copy_own(qd_engine *e, const batch *b, const whole *w, bool back) {
    const qd_engine_piece *piece = &b->piece[e->graph->tensor_member];
    float *gradient = qd_engine_piece_gradient(e, piece);
    int64_t count;
    float *part = part_of(e, w, e->graph->tensor_member, &count);
    return e->backend->copy(e->context, back ? gradient : part, back ? part : gradient,
                            (size_t)count * sizeof(float));
}

static int orthogonalize(qd_engine *e, whole *w) {
    float *scratch = w->matrix, *orthogonal;
    int rc = copy_columns(e, w, true);
    if (!rc)
        rc = e->backend->orthogonalize(e->context, w->rows, w->columns, scratch, &orthogonal);
    if (rc)
        return qd_error_context(rc, "update of %s", w->param->name);
    w->parts = orthogonal == w->matrix ? w->parts : w->matrix;
    w->matrix = orthogonal;
    return copy_columns(e, w, false);
}

static int move_parts(qd_engine *e, const batch *b) {
    int rc = 0;
    for (int i = 0; i < b->count && !rc; i++) {
        qd_optimizer_tensor tensor = qd_engine_tensor_of(e, &b->piece[i]);
        rc = e->backend->end_move(e->context, &e->job.optimizer, b->scalars, &tensor, tensor.grads);
    }
    return rc;
}

static int move_batch(qd_engine *e, batch *b) {
    bool has_whole = e->graph->tensor_member < b->count;
    whole own;
    int rc = 0;
    if (b->count == 0)
        return 0;
    if (has_whole) {
        own = whole_of(e, &b->piece[e->graph->tensor_member]);
        rc = copy_own(e, b, &own, false);
    }
    if (!rc)
        rc = trade(e, b, has_whole ? &own : NULL, false);
    if (!rc && has_whole)
        rc = orthogonalize(e, &own);
    if (!rc && has_whole)
        rc = copy_own(e, b, &own, true);
    if (!rc)
        rc = trade(e, b, has_whole ? &own : NULL, true);
    if (!rc)
        rc = move_parts(e, b);
    b->count = 0;
    return rc;
}

static int take_piece(qd_engine *e, const qd_engine_piece *piece, void *of) {
    batch *b = of;
    if (!qd_engine_shares_matrix(e, piece->param))
        return 0;
    qd_optimizer_tensor tensor = qd_engine_tensor_of(e, piece);
    int rc = e->backend->begin_move(e->context, &e->job.optimizer, b->scalars, &tensor,
                                    qd_engine_piece_gradient(e, piece));
    b->piece[b->count++] = *piece;
    return rc || b->count < e->graph->tensor_members ? rc : move_batch(e, b);
}

int qd_engine_move_matrices(qd_engine *e, const qd_optimizer_scalars *scalars) {
    batch b = {.scalars = scalars};
    if (e->graph->tensor_members == 1 || e->job.optimizer.kind != QD_OPTIMIZER_MUON)
        return 0;
    int rc = qd_engine_visit_pieces(e, take_piece, &b);
    return rc ? rc : move_batch(e, &b);
}
