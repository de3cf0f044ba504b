#include "models/row_blocks.h"

#include <stdlib.h>

#include "models/op.h"
#include "models/optimizer.h"
#include "runtime/align.h"
#include "runtime/error.h"

/* The fewest rows of so many elements that end on 64 bytes. */
static int64_t aligned_rows(int64_t row_elements) {
    int64_t rows = QD_ALIGN_FLOATS;
    while (rows > 1 && rows / 2 * row_elements % QD_ALIGN_FLOATS == 0)
        rows /= 2;
    return rows;
}

/* Elements of a block of a parameter, all but its last. */
static int64_t block_elements(const qd_optimizer_spec *optimizer, const qd_graph *graph, int p) {
    const qd_shape *shape = &graph->params[p].shape;
    int64_t elements = qd_shape_elements(shape), rows = shape->dims > 0 ? shape->dim[0] : 1;
    if (qd_optimizer_orthogonalizes(optimizer, graph, p))
        return elements;
    int64_t step = aligned_rows(elements / rows) * (elements / rows);
    return (QD_ROW_BLOCK_ELEMENTS + step - 1) / step * step;
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

static int64_t count_blocks(int64_t elements, int64_t of_a_block) {
    return (elements + of_a_block - 1) / of_a_block;
}

static void cut(qd_row_blocks *b, const qd_graph *graph, int p, int64_t of_a_block) {
    const qd_param *param = &graph->params[p];
    int64_t elements = qd_shape_elements(&param->shape);
    for (int64_t at = 0; at < elements; at += of_a_block) {
        b->param[b->count] = p;
        b->offset[b->count] = param->offset + at;
        int64_t own = elements - at < of_a_block ? elements - at : of_a_block;
        b->cell[b->count + 1] = b->cell[b->count] + cells_of(graph, param, own);
        b->elements[b->count++] = own;
    }
}

int qd_row_blocks_create(const qd_optimizer_spec *optimizer, const qd_graph *graph,
                         qd_row_blocks **out) {
    int64_t count = 0;
    for (int p = 0; p < graph->param_count; p++)
        count += count_blocks(qd_shape_elements(&graph->params[p].shape),
                              block_elements(optimizer, graph, p));
    qd_row_blocks *b = calloc(1, sizeof *b);
    if (b) {
        b->first = calloc((size_t)graph->param_count + 1, sizeof *b->first);
        b->param = calloc((size_t)count + 1, sizeof *b->param);
        b->offset = calloc((size_t)count + 1, sizeof *b->offset);
        b->elements = calloc((size_t)count + 1, sizeof *b->elements);
        b->cell = calloc((size_t)count + 1, sizeof *b->cell);
    }
    if (!b || !b->first || !b->param || !b->offset || !b->elements || !b->cell) {
        qd_row_blocks_destroy(b);
        return qd_error_set(QD_ENOMEM, "no memory for %lld blocks of rows", (long long)count);
    }
    b->params = graph->param_count;
    for (int p = 0; p < graph->param_count; p++) {
        b->first[p] = b->count;
        cut(b, graph, p, block_elements(optimizer, graph, p));
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
    free(blocks->cell);
    free(blocks);
}
