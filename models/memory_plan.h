/*
 * memory_plan.h: where every buffer of a worker's engine lies in its one arena, laid out before
 * anything runs (DESIGN 3.9). Pure arithmetic on a graph: the engine places its buffers by it,
 * and `quadrille plan` prints its size. Every buffer starts on a multiple of
 * QD_ALIGN_BYTES (runtime/align.h).
 */
#ifndef QD_MODELS_MEMORY_PLAN_H
#define QD_MODELS_MEMORY_PLAN_H

#include "models/graph.h"
#include "models/job.h"
#include "models/segments.h"
#include "models/timeline.h"
#include "models/windows.h"

enum { QD_MEMORY_TOTALS = 16 }; /* floats kept behind the gradients of a vector for its totals */

typedef struct qd_memory_plan {
    size_t params;          /* offset of the flat parameter vector, float; where parameters are kept
                               by shards, of shard_elements floats */
    size_t optimizer_state; /* offset of optimizer_vectors vectors of shard_elements floats */
    int optimizer_vectors;
    int64_t shard_elements;    /* of each of them */
    size_t gradients;          /* offset of gradient_slots vectors of gradient_elements floats */
    int gradient_slots;        /* partial sums a member may hold at once while adding slots up;
                                  where gradients are not kept without those of the last slot */
    int64_t gradient_elements; /* param_elements and the totals behind them, rounded to 16 */
    bool keeps_gradients;      /* else: */
    size_t shard_gradients; /* offset of shard_elements floats: the sums of this member's shard */
    size_t last_totals;     /* offset of the totals of the last slot */
    size_t *flight;         /* [segments] offset of a segment of the last slot's gradients */
    size_t narrow_params;   /* offset of the parameters in bf16, for products; SIZE_MAX: none, or
                               they are in the windows */
    size_t *window;         /* [windows] offset of what is gathered, float */
    size_t *narrow_window;  /* [windows] and of the same in bf16; SIZE_MAX: none */
    size_t spare;   /* offset of gradients that nobody wants: of parameters of a node that is asked
                       for its inputs' half of backward, and makes both; SIZE_MAX: none */
    size_t scratch; /* offset of what operators, and the updates of parameters, use while
                       they run, one after another */
    size_t *value;  /* [value_count] offset of each value */
    size_t *value_grad; /* [value_count] offset of its gradient; SIZE_MAX: none */
    size_t *saved;      /* [node_count] what forward leaves for backward; SIZE_MAX: none */
    size_t pool;        /* offset of what belongs to a micro-batch: values, gradients, saved; with
                           several in flight what does not outlast an action lies before it */
    size_t pool_bytes;  /* of one in flight; they lie one behind the other */
    size_t bytes;       /* size of the arena */
} qd_memory_plan;

/* Lays out the engine of a member that holds slot_count data slots and does with each micro-batch
 * what the graph's timeline says. Owner of *plan: the caller (qd_memory_plan_destroy). QD_ENOMEM.
 */
int qd_memory_plan_create(const qd_job *job, const qd_graph *graph, const qd_timeline *timeline,
                          int slot_count, qd_memory_plan **plan);

/* What a member holds. */
typedef struct qd_memory_member {
    int64_t elements;            /* of its shards (models/shards.h) */
    const qd_segments *segments; /* NULL: gradients are kept */
    const qd_windows *windows;   /* NULL: parameters are */
    int in_flight; /* micro-batches that are between forward and backward at once; 1 without a
                      pipeline */
} qd_memory_member;

/*
 * The same for a member that holds a shard of what the optimizer keeps and, where segments are
 * given, of gradients, and where windows are, of parameters. Of gradients a member of one slot, run
 * whole, needs its shard and what is in flight; one of several slots also the partial sums of all
 * but the last; with micro-batches, which add to the same gradients one after the other, or where
 * that would save nothing, it keeps them all.
 */
int qd_memory_plan_create_sharded(const qd_job *job, const qd_graph *graph,
                                  const qd_timeline *timeline, int slot_count,
                                  const qd_memory_member *member, qd_memory_plan **plan);
void qd_memory_plan_destroy(qd_memory_plan *plan);

/* ---- the same arithmetic for who asks before there is a plan (models/planner.h) ---- */

typedef enum { QD_MEMORY_VALUE, QD_MEMORY_VALUE_GRAD, QD_MEMORY_SAVED } qd_memory_content;

/* Places in a timeline, both ends included. */
typedef struct qd_memory_span {
    int first, last;
} qd_memory_span;

/* A buffer of the pool that values, their gradients and what nodes save lie in, and when it is
 * needed: what is recomputed twice, once in forward and once from the recomputation on. */
typedef struct qd_memory_buffer {
    qd_memory_content content;
    int of; /* value, or node that saves */
    size_t bytes;
    qd_memory_span spans[2];
    int span_count;
} qd_memory_buffer;

/* All buffers of a graph's pool. QD_ENOMEM. Owner of *buffers: the caller (free). */
int qd_memory_buffers(const qd_graph *graph, const qd_timeline *timeline,
                      qd_memory_buffer **buffers, int *count);

/* Vectors of partial sums that a member of slot_count of `slots` data slots may hold at once. */
int qd_memory_partial_sums(int64_t slots, int slot_count);

#endif
