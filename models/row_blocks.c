#include "models/row_blocks.h"

#include <stdlib.h>

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

static int64_t count_blocks(int64_t elements, int64_t of_a_block) {
    return (elements + of_a_block - 1) / of_a_block;
}

static void cut(qd_row_blocks *b, const qd_param *param, int p, int64_t of_a_block) {
    int64_t elements = qd_shape_elements(&param->shape);
    for (int64_t at = 0; at < elements; at += of_a_block) {
        b->param[b->count] = p;
        b->offset[b->count] = param->offset + at;
        b->elements[b->count++] = elements - at < of_a_block ? elements - at : of_a_block;
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
    }
    if (!b || !b->first || !b->param || !b->offset || !b->elements) {
        qd_row_blocks_destroy(b);
        return qd_error_set(QD_ENOMEM, "no memory for %lld blocks of rows", (long long)count);
    }
    b->params = graph->param_count;
    for (int p = 0; p < graph->param_count; p++) {
        b->first[p] = b->count;
        cut(b, &graph->params[p], p, block_elements(optimizer, graph, p));
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
    free(blocks);
}
