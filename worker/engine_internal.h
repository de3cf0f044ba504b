/* engine_internal.h: what the files of the engine share; for worker/engine*.c only. */
#ifndef QD_WORKER_ENGINE_INTERNAL_H
#define QD_WORKER_ENGINE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "collectives/tree.h"
#include "models/memory_plan.h"
#include "models/op.h"
#include "models/timeline.h"
#include "worker/engine.h"
#include "worker/optimizer.h"

/* Additions that the step's last slot makes possible, known before it runs, so that they can be
 * done bucket by bucket. */
typedef struct qd_engine_merges {
    int into[QD_TREE_MAX_COVER], from[QD_TREE_MAX_COVER];
    int count;
    int leaf;            /* partial sum that the slot is computed into */
    qd_tree_stack after; /* the stack once it is done */
    bool running;        /* the slot is, or has been, run */
    int finished;        /* buckets whose sums are final here, in their order */
} qd_engine_merges;

/* What a micro-batch, or the micro-batches of a slot, come to. */
typedef struct qd_engine_results {
    double loss, weight;
    int64_t correct;
} qd_engine_results;

struct qd_engine {
    qd_job job;
    int first_slot, end_slot;
    int in_flight; /* micro-batches between forward and backward at once, each in a pool of its own
                    */
    int threads;
    qd_listener listener;
    const qd_backend *backend;
    qd_backend_context *context;
    qd_graph *graph;
    qd_timeline *timeline; /* of a micro-batch */
    qd_memory_plan *plan;
    qd_buckets *buckets;
    qd_shards *shards;     /* where nothing is kept by shards: of one member, who holds all */
    qd_segments *segments; /* NULL: gradients are kept */
    qd_windows *windows;   /* NULL: parameters are */
    int index;             /* of this member among those of shards */
    qd_exchange *exchange; /* NULL: not connected */
    const qd_tensor_exchange *tensor_exchange; /* NULL: all tensor slots are here */
    char *arena;                               /* plan->bytes */

    /* All pointers below lead into the arena. */
    float *params;          /* all, or this member's shard of them */
    float *shard_gradients; /* where gradients are not kept */
    float *optimizer_state[QD_OPTIMIZER_MAX_VECTORS];
    float **vectors;       /* [plan->gradient_slots] */
    qd_operands *operands; /* [in_flight][node_count]; param_grads and param_adds change with each
                              run */
    int pool;              /* that is in use, of in_flight */

    /* Of the whole model, where this is a part of it. */
    size_t input_bytes; /* of a micro-batch */
    int64_t targets_per_sample, losses_per_sample;
    bool is_weighted; /* the mean of losses */

    qd_state_tensor *state; /* [state_count] */
    int state_count;
    qd_run_state run;
    float **flight; /* [buckets] of the last slot's gradients, where they are not kept */
    bool *fresh;    /* [buckets] the parameters are here, and narrowed */
    size_t *wide,
        *narrow;    /* [buckets] offsets of the window that a bucket's were last gathered into */
    int64_t *home;  /* [buckets] where this member's piece of each begins in its shard */
    int *bucket_of; /* [param_count] the first that has rows of it */
    qd_tree_stack stack;
    qd_engine_merges merges;    /* of the step's last slot */
    float totals[QD_TOTALS];    /* to be added to the first leaf */
    qd_engine_results *results; /* [in_flight] */
    qd_engine_results leaf;     /* of the slot whose gradients are being added up */
    double *squares;            /* of the gradient, by the cells of row_blocks.h; of statistics 0 */
    double *param_squares;      /* [param_count] */
    double *slot_sums;          /* of what tensor slots deal out, by slots: engine_cells.c */
    double *lengths;            /* [cells][2] of a rule that adapts: squares of weights and moves */
    int64_t *pairs;             /* [row blocks + 1] where each block's begin */
    double *param_lengths;      /* [param_count][2] */
    float *greatest;            /* [members][losses][2] where logits are shared; else NULL */
    double gradient_norm;       /* of the last update */
    double rate_factor;         /* of the learning rate, beside the schedule's */
};

/* Makes the list of state tensors. QD_ENOMEM. */
int qd_engine_list_state(qd_engine *engine, const qd_engine_place *place);

/* ---- engine_buckets.c ---- */

/* Before the last slot. */
void qd_engine_plan_merges(qd_engine *engine);

/* Adds up and sends the buckets that are final once this pass of the timeline is done. */
int qd_engine_finish_buckets(qd_engine *engine, int pass);

/* The same for the totals, which stand in the leaf; the slot is done then. */
int qd_engine_finish_totals(qd_engine *engine);

/* Where element `offset` of the flat vector, or the totals, lie in a partial sum. */
float *qd_engine_part(const qd_engine *engine, int part, int64_t offset);
float *qd_engine_totals_of(const qd_engine *engine, int part);

/* Before a pass of the last slot: waits for the segments whose memory is written anew. */
int qd_engine_free_segments(qd_engine *engine, int pass);

/* The sum over all slots, from a place of the flat vector on that lies at `home` of the shard. */
float *qd_engine_sum_at(const qd_engine *engine, int64_t at, int64_t home);

/* Rounds elements [from, to) of a partial sum that is a node of the tree over slots, where they
 * travel in bf16. */
int qd_engine_round(qd_engine *engine, int part, int64_t from, int64_t to);

/* Clears what lies between parameters in blocks [first, end) of a partial sum, which is added,
 * travels and is updated along with the rest. */
int qd_engine_clear_gaps(const qd_engine *engine, int part, int first, int end);

/* ---- engine_params.c ---- */

/* Where what this member updates lies: at `at` of the flat vector, and at `home` of its shard. */
float *qd_engine_params_at(const qd_engine *engine, int64_t at, int64_t home);

/* Before and after a pass of the timeline: begins to gather what it, or one soon, reads; sees to it
 * that nothing writes to what it was the last to read. Nothing where parameters are kept. */
int qd_engine_open_windows(qd_engine *engine, int pass);
int qd_engine_close_windows(qd_engine *engine, int pass);

/* Sees to it that the parameters of a node are here, and narrowed. */
int qd_engine_need(qd_engine *engine, int node);

/* They have changed. */
void qd_engine_forget_params(qd_engine *engine);

/* What makes means of the sums over the batch. */
double qd_engine_mean_factor(const qd_engine *engine);

/* Where an offset of the plan lies in the arena, what belongs to a micro-batch in the pool in use;
 * NULL for SIZE_MAX, the offset of what is not there. */
static inline void *qd_engine_at(const qd_engine *engine, size_t offset) {
    if (offset == SIZE_MAX)
        return NULL;
    if (offset >= engine->plan->pool)
        offset += (size_t)engine->pool * engine->plan->pool_bytes;
    return engine->arena + offset;
}

static inline qd_operands *qd_engine_operands(const qd_engine *engine, int node) {
    return &engine->operands[engine->pool * engine->graph->node_count + node];
}

/* ---- engine_pieces.c ---- */

/* A run of a bucket's row blocks that belong to one parameter and to this member. */
typedef struct qd_engine_piece {
    int param;
    int first, end; /* row blocks */
    int64_t at;     /* of its first element in the flat vector */
    int64_t home;   /* and in this member's shard */
    int64_t count;
} qd_engine_piece;

/* Calls `visit` for each piece of a bucket (of all buckets) that is this member's, as they lie in
 * the vector, until one fails. */
typedef int qd_engine_visit(qd_engine *engine, const qd_engine_piece *piece, void *of);
int qd_engine_visit_bucket(qd_engine *engine, int bucket, qd_engine_visit *visit, void *of);
int qd_engine_visit_pieces(qd_engine *engine, qd_engine_visit *visit, void *of);

/* The sum over all slots of a piece's gradient. */
float *qd_engine_piece_gradient(const qd_engine *engine, const qd_engine_piece *piece);

/* Numbers of row blocks, those of block k being [first[k], first[k + 1]): each member has those of
 * its pieces once the device has been waited for; afterwards all members have all. */
int qd_engine_share(qd_engine *engine, double *numbers, const int64_t *first);

/* ---- engine_cells.c ---- */

enum { QD_CELL_NUMBERS = 2 }; /* that are summed at once, at most */

/* Its memory; freed by the engine's destroy. QD_ENOMEM. */
int qd_engine_cells_create(qd_engine *engine);
void qd_engine_cells_destroy(qd_engine *engine);

/* A cell (models/row_blocks.h) of a piece. */
typedef struct qd_engine_cell {
    const qd_engine_piece *piece;
    int param;
    int64_t number;                /* of all cells */
    int64_t at;                    /* of its first element in the flat vector */
    int64_t rows, columns, stride; /* rows of so many elements, `stride` apart */
} qd_engine_cell;

/* Calls `visit` for each cell of a piece, until one fails. */
typedef int qd_engine_visit_cell(qd_engine *engine, const qd_engine_cell *cell, void *of);
int qd_engine_visit_cells(qd_engine *engine, const qd_engine_piece *piece,
                          qd_engine_visit_cell *visit, void *of);

/* Of cells[cells][each], of which each member has those of its pieces (begins: as in
 * qd_engine_share), the sums of each parameter, to sums[param_count][each]. All members call it. */
int qd_engine_sum_cells(qd_engine *engine, double *cells, int each, const int64_t *begins,
                        double *sums);

/* ---- engine_norm.c ---- */

/* Its memory; freed by the engine's destroy. QD_ENOMEM. */
int qd_engine_norm_create(qd_engine *engine);
void qd_engine_norm_destroy(qd_engine *engine);

/* ---- engine_lengths.c ---- */

/* Its memory, where the rule adapts; freed by the engine's destroy. QD_ENOMEM. */
int qd_engine_lengths_create(qd_engine *engine);
void qd_engine_lengths_destroy(qd_engine *engine);

/* Of a rule that adapts: takes the gradients into its moments, and measures weights and moves. */
int qd_engine_measure_moves(qd_engine *engine, const qd_optimizer_scalars *scalars);

/* What moves of a parameter are multiplied by then. */
double qd_engine_ratio(const qd_engine *engine, int param);

/* ---- engine_matrices.c ---- */

/* Whether Muon makes a parameter orthogonal of which other tensor members have parts. */
bool qd_engine_shares_matrix(const qd_engine *engine, int param);

/* Moves all such that are this member's. All members of a tensor group call it. */
int qd_engine_move_matrices(qd_engine *engine, const qd_optimizer_scalars *scalars);

/* ---- engine_update.c ---- */

/* A piece, as an update rule is told of it. */
qd_optimizer_tensor qd_engine_tensor_of(const qd_engine *engine, const qd_engine_piece *piece);

/* ---- engine_score.c ---- */

/* Its memory; freed by the engine's destroy. QD_ENOMEM. */
int qd_engine_score_create(qd_engine *engine);

/* Of the first `valid` samples: sum of the losses and how many answers are right, once the device
 * has been waited for. targets: on the host. */
int qd_engine_score(qd_engine *engine, const int32_t *targets, int64_t valid, double *loss_sum,
                    int64_t *correct);

#endif
