/*
 * row_blocks.h: the flat parameter vector cut into runs of whole rows of one parameter each (a row:
 * one index of dimension 0): what gradients are measured by, and what shards and buckets are made
 * of. The cut follows from the job's model and update rule alone, so that a sum taken block by
 * block, and then over the blocks, is the same bits however blocks are dealt out. Pure.
 *
 * Where tensor slots deal a parameter out, its blocks are runs of what a member holds of it. All
 * members of a tensor group cut it into as many, and buckets and shards (models/buckets.h,
 * shards.h) follow from the fewest elements that one of them has of each, so that the same blocks
 * are in the same bucket and shard on all of them: members that hold parts of one matrix (Muon)
 * update them at the same time.
 *
 * Such a parameter is measured by smaller cells, each a row of one slot, which are the same on any
 * grid: of a block, row after row, in each the slots that the member has, where they share rows.
 * All other blocks are one cell.
 */
#ifndef QD_MODELS_ROW_BLOCKS_H
#define QD_MODELS_ROW_BLOCKS_H

#include <stdint.h>

#include "models/graph.h"
#include "models/job.h"

/* Elements of a block, at least, where the parameter has so many: few enough to deal out evenly,
 * enough for a double each to weigh nothing. */
enum { QD_ROW_BLOCK_ELEMENTS = 1024 };

typedef struct qd_row_blocks {
    int count;
    int params;
    int *first;        /* [params + 1] those of parameter p are first[p] .. first[p + 1] - 1 */
    int *param;        /* [count] whose rows they are */
    int64_t *offset;   /* [count + 1] where each begins in the flat vector, on 64 bytes; it reaches
                          to the next one, the padding behind a parameter included */
    int64_t *elements; /* [count] without the padding */
    int64_t *place; /* [count + 1] as offset, of the least that a tensor member holds of each: what
                       buckets and shards are cut by */
    int64_t *cell;  /* [count + 1] where each one's cells begin */
} qd_row_blocks;

/* A parameter that the rule needs whole (a matrix that Muon makes orthogonal) is one block. Owner
 * of *blocks: the caller (qd_row_blocks_destroy). QD_ENOMEM. */
int qd_row_blocks_create(const qd_optimizer_spec *optimizer, const qd_graph *graph,
                         qd_row_blocks **blocks);
void qd_row_blocks_destroy(qd_row_blocks *blocks);

/* Whether a parameter is measured by rows of slots. */
bool qd_row_blocks_has_cells(const qd_graph *graph, const qd_param *param);

#endif
