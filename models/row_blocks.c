#include "models/row_blocks.h"

#include <stdlib.h>

#include "models/op.h"
#include "models/optimizer.h"
#include "runtime/align.h"
#include "runtime/error.h"

/* How a parameter is cut into blocks. */
typedef struct cutting {
    int64_t count;
    int64_t rows;               /* of a block, all but its last */
    int64_t elements;           /* of a row */
    int64_t least, least_whole; /* elements of a row, and of all, of the member that has fewest */
} cutting;

/* The fewest rows of so many elements that end on 64 bytes. */
static int64_t aligned_rows(int64_t row_elements) {
    int64_t rows = QD_ALIGN_FLOATS;
    while (rows > 1 && rows / 2 * row_elements % QD_ALIGN_FLOATS == 0)
        rows /= 2;
    return rows;
}

/* What member `member` of the tensor group holds of a parameter: rows, and elements of each. */
static void held_by(const qd_graph *graph, const qd_param *param, int member, int64_t *rows,
                    int64_t *elements) {
    qd_graph of = {.tensor_slots = graph->tensor_slots,
                   .tensor_members = graph->tensor_members,
                   .tensor_member = member};
    qd_shape shape = param->shape;
    if (param->cut_dim >= 0) {
        int64_t first, end;
        qd_cut_held(&of, param->whole.dim[param->cut_dim], param->cut_unit, &first, &end);
        shape.dim[param->cut_dim] = end - first;
    }
    *rows = shape.dims > 0 ? shape.dim[0] : 1;
    *elements = qd_shape_elements(&shape) / *rows;
}

/* As many blocks on all members of a tensor group, which end on 64 bytes on each. */
static cutting cutting_of(const qd_optimizer_spec *optimizer, const qd_graph *graph, int p) {
    const qd_param *param = &graph->params[p];
    int64_t rows, elements, step = 1, least_rows = INT64_MAX;
    cutting c = {.least = INT64_MAX};
    for (int member = 0; member < graph->tensor_members; member++) {
        held_by(graph, param, member, &rows, &elements);
        int64_t aligned = aligned_rows(elements);
        step = aligned > step ? aligned : step;
        least_rows = rows < least_rows ? rows : least_rows;
        c.least = elements < c.least ? elements : c.least;
    }
    held_by(graph, param, graph->tensor_member, &rows, &c.elements);
    c.least_whole = least_rows * c.least;
    if (qd_optimizer_orthogonalizes(optimizer, graph, p)) {
        c.rows = rows;
        c.count = 1;
        return c;
    }
    int64_t smallest = step * c.least;
    c.rows = (QD_ROW_BLOCK_ELEMENTS + smallest - 1) / smallest * step;
    c.count = (least_rows + c.rows - 1) / c.rows;
    return c;
}

bool qd_row_blocks_has_cells(const qd_graph *graph, const qd_param *param) {
    return param->kind == QD_PARAM_TRAINED && param->cut_dim >= 0 && graph->tensor_slots > 1;
}

static int64_t cells_of(const qd_graph *graph, const qd_param *param, int64_t elements) {
    if (!qd_row_blocks_has_cells(graph, param))
        return 1;
    int64_t rows = elements / (qd_shape_elements(&param->shape) / param->shape.dim[0]);
    int first, end;
    qd_cut_slots(graph, &first, &end);
    return param->cut_dim == 0 ? rows : rows * (end - first);
}

static void cut(qd_row_blocks *b, const qd_graph *graph, int p, cutting c) {
    const qd_param *param = &graph->params[p];
    int64_t elements = qd_shape_elements(&param->shape), place = b->place[b->count];
    for (int64_t i = 0; i < c.count; i++) {
        int64_t at = i * c.rows * c.elements;
        int64_t own = i + 1 < c.count ? c.rows * c.elements : elements - at;
        b->param[b->count] = p;
        b->offset[b->count] = param->offset + at;
        b->place[b->count] = place + i * c.rows * c.least;
        b->cell[b->count + 1] = b->cell[b->count] + cells_of(graph, param, own);
        b->elements[b->count++] = own;
    }
    b->place[b->count] = place + qd_align_floats(c.least_whole);
}

int qd_row_blocks_create(const qd_optimizer_spec *optimizer, const qd_graph *graph,
                         qd_row_blocks **out) {
    int64_t count = 0;
    for (int p = 0; p < graph->param_count; p++)
        count += cutting_of(optimizer, graph, p).count;
    qd_row_blocks *b = calloc(1, sizeof *b);
    if (b) {
        b->first = calloc((size_t)graph->param_count + 1, sizeof *b->first);
        b->param = calloc((size_t)count + 1, sizeof *b->param);
        b->offset = calloc((size_t)count + 1, sizeof *b->offset);
        b->elements = calloc((size_t)count + 1, sizeof *b->elements);
        b->place = calloc((size_t)count + 1, sizeof *b->place);
        b->cell = calloc((size_t)count + 1, sizeof *b->cell);
    }
    if (!b || !b->first || !b->param || !b->offset || !b->elements || !b->place || !b->cell) {
        qd_row_blocks_destroy(b);
        return qd_error_set(QD_ENOMEM, "no memory for %lld blocks of rows", (long long)count);
    }
    b->params = graph->param_count;
    for (int p = 0; p < graph->param_count; p++) {
        b->first[p] = b->count;
        cut(b, graph, p, cutting_of(optimizer, graph, p));
    }
    b->first[graph->param_count] = b->count;
    b->offset[b->count] = graph->param_elements;
    *out = b;
    return 0;
}

void qd_row_blocks_destroy(qd_row_blocks *blocks) {
    if (!blocks)
        return;
    free(blocks->first);
    free(blocks->param);
    free(blocks->offset);
    free(blocks->elements);
    free(blocks->place);
    free(blocks->cell);
    free(blocks);
}
