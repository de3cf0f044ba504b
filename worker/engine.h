/*
 * engine.h: runs the graph of a job on a device: weights, forward and backward of one data slot
 * at a time, sums over slots, update, evaluation. It knows its own slots only; what it exchanges
 * with other members goes through worker/exchange.h.
 *
 * All buffers lie in one arena laid out by models/memory_plan.h; after create, nothing is
 * allocated. Calls come from one thread.
 */
#ifndef QD_WORKER_ENGINE_H
#define QD_WORKER_ENGINE_H

#include <stdint.h>

#include "models/graph.h"
#include "models/job.h"
#include "worker/backend.h"
#include "worker/data/batch.h"
#include "worker/exchange.h"
#include "worker/listener.h"
#include "worker/state.h"

typedef struct qd_engine qd_engine;

/* Behind the gradients each vector carries QD_TOTALS totals, summed in the same tree. The engine
 * knows these; those from QD_TOTAL_FREE on are the caller's to name and to add to. */
enum {
    QD_TOTAL_LOSS,    /* the mean loss, once it is summed over all slots */
    QD_TOTAL_WEIGHT,  /* what the targets count in that mean (models/loss_mean.h) */
    QD_TOTAL_CORRECT, /* targets whose arg-max is the target; exact below 2^24 */
    QD_TOTAL_FREE,
    QD_TOTALS = QD_TOTAL_FREE + 6
};

/*
 * An engine for the data slots [first_slot, end_slot) of job, weights at their initial values,
 * optimizer state zero. threads (>= 1) are the backend's to compute with. The job is copied.
 * QD_ECONFIG (names the layer), QD_ENOMEM, QD_EINTERNAL.
 */
int qd_engine_create(const qd_job *job, int first_slot, int end_slot, const qd_backend *backend,
                     int threads, qd_engine **engine);
void qd_engine_destroy(qd_engine *engine);

/* Where an engine stands in its gang. */
typedef struct qd_engine_place {
    int first_slot, end_slot;
    int index, members;                /* along the data axis */
    int tensor_member, tensor_members; /* along the tensor axis */
    int part, parts; /* of the model, cut for a pipeline (models/part_graph.h); parts 0 or 1: all */
    int in_flight; /* micro-batches between forward and backward at once, at most; 0 counts as 1 */
    bool halves;   /* backward is called in its halves */
    qd_listener listener; /* while values are drawn, which takes seconds for each 100 M of them */
} qd_engine_place;

/*
 * The same for a member of a gang: what the job's layout.zero says is kept by shards is, here, this
 * member's; of what tensor slots cut it holds its part. Before the first step it is connected to
 * the others, along each axis on which there are any.
 */
int qd_engine_create_member(const qd_job *job, const qd_engine_place *place,
                            const qd_backend *backend, int threads, qd_engine **engine);

/* The buckets and shards of the gang, to make an exchange of; and the exchange, from now on used in
 * every step: the last slot's run starts sums, qd_engine_update ends them. Not the engine's to
 * destroy. */
const qd_buckets *qd_engine_buckets(const qd_engine *engine);
const qd_shards *qd_engine_shards(const qd_engine *engine);
void qd_engine_connect(qd_engine *engine, qd_exchange *exchange);

/* What the others of a tensor group have computed, exchange gets from them. It must stay there. */
void qd_engine_connect_tensor(qd_engine *engine, const qd_tensor_exchange *exchange);

/* After the last slot, connected or not: waits for the totals, which qd_engine_total then tells. */
int qd_engine_finish_sums(qd_engine *engine);

/* Waits for parameters that are still on their way from other members: before the state is read. */
int qd_engine_settle(qd_engine *engine);

/* Back to how create left it: initial weights, optimizer state zero. QD_EINTERNAL. */
int qd_engine_reset(qd_engine *engine);

const qd_graph *qd_engine_graph(const qd_engine *engine);

/* Bytes of the arena; equals the memory plan's. */
size_t qd_engine_arena_bytes(const qd_engine *engine);

/* Begins step number `step` (1 for the first): forgets sums of the last one. */
void qd_engine_begin_step(qd_engine *engine, int64_t step);

/* Forward and backward of the next slot, all its micro-batches; adds its gradients (of the mean
 * loss over the global batch) and totals to the partial sums. Call once for each slot, in order.
 * QD_EDATA (a target that is no class), QD_EINTERNAL. */
int qd_engine_run_slot(qd_engine *engine, const qd_batch *batch);

/*
 * The same in steps, for a part of a pipeline: forward of micro-batch number `micro_batch` of this
 * member's slots, counted slot after slot from 0, and later its backward. Each goes in order, with
 * as many forwards ahead as place.in_flight says. batch: the slot's; empty for a part that reads no
 * data. Before forward, what the part before has handed over stands in qd_engine_taken; before
 * backward, what the next part hands back in the gradients of qd_engine_handed.
 */
int qd_engine_forward(qd_engine *engine, int64_t micro_batch, const qd_batch *batch);
int qd_engine_backward(qd_engine *engine, int64_t micro_batch);

/* Its halves, where place.halves says so; the weights' may come later, each in order. */
int qd_engine_backward_input(qd_engine *engine, int64_t micro_batch);
int qd_engine_backward_weight(qd_engine *engine, int64_t micro_batch);

/* Where parameters are kept by shards (layout.zero 3), all members gather them for every
 * micro-batch. One that has none while others do takes part in what they gather for theirs, and
 * computes nothing. Errors of collectives/operation.h. */
typedef enum qd_engine_stretch {
    QD_ENGINE_FORWARD,
    QD_ENGINE_BACKWARD,
    QD_ENGINE_BACKWARD_INPUT,
    QD_ENGINE_BACKWARD_WEIGHT,
} qd_engine_stretch;
int qd_engine_attend(qd_engine *engine, qd_engine_stretch stretch);

/* What goes from part to part for a micro-batch: value, and where it has one, its gradient. */
typedef struct qd_handover {
    void *value;
    float *gradient; /* NULL: none */
    size_t bytes;    /* of each */
} qd_handover;

/* Entry i of 0 .. taken_count - 1 (handed_count - 1) of the graph. In evaluation: micro-batch 0. */
qd_handover qd_engine_taken(qd_engine *engine, int64_t micro_batch, int i);
qd_handover qd_engine_handed(qd_engine *engine, int64_t micro_batch, int i);

/* Adds value to a total of this member, once, in its first slot's leaf: call between
 * begin_step and run_slot of the first slot. */
void qd_engine_add_total(qd_engine *engine, int total, float value);

/* Of an engine that is not connected, the partial sums after the last slot: *parts points to *count
 * vectors of qd_engine_vector_elements floats (the nodes of qd_tree_cover over this member's
 * slots). Owned by the engine. */
void qd_engine_parts(qd_engine *engine, float *const **parts, int *count);
int64_t qd_engine_vector_elements(const qd_engine *engine);

/* Applies the optimizer to the sum over all slots (not connected: that now stands in parts[0]): in
 * the step that was begun, of a run of total_steps (the learning rate may follow a schedule over
 * it). QD_EDATA when the gradient is not finite; nothing is changed then. QD_EINTERNAL. */
int qd_engine_update(qd_engine *engine, int64_t total_steps);

/*
 * The same in steps, for a part of a pipeline. measure waits for all sums and takes the squares of
 * the gradient's length, of each parameter of the graph; those of all parts' parameters, each once
 * and added up in the order of the whole graph, are what apply wants, and the totals by then are
 * those of the whole model (qd_engine_set_totals).
 */
int qd_engine_measure(qd_engine *engine);
const double *qd_engine_squares(const qd_engine *engine);
int qd_engine_apply(qd_engine *engine, int64_t total_steps, double squares);

/* The totals as they stand in the sum, [QD_TOTALS]. QD_EINTERNAL. */
int qd_engine_get_totals(qd_engine *engine, float *totals);
int qd_engine_set_totals(qd_engine *engine, const float *totals);

/* On the device: to[i] = from[i] (bytes of any kind); into[i] += from[i]. */
int qd_engine_copy(qd_engine *engine, void *to, const void *from, size_t bytes);
int qd_engine_add(qd_engine *engine, float *into, const float *from, int64_t count);

/* What this member has of the sum over all slots of a parameter's gradient, on the device, run by
 * run: the first has number 0. NULL: there are no more. */
float *qd_engine_gradient(qd_engine *engine, int param, int run, int64_t *count);

/* What learning rates are multiplied by beside the schedule, from the next update on; at first 1.
 */
void qd_engine_set_rate_factor(qd_engine *engine, double factor);

/* Length of the gradient of the last update, before it was clipped: over all trained parameters,
 * those of the mean loss alone. */
double qd_engine_gradient_norm(const qd_engine *engine);

/* A total of the sum; the loss as the mean over what counts in it. Not a
 * number where the device cannot be read. */
float qd_engine_total(const qd_engine *engine, int total);

/* Forward only, with the current weights, over a batch of the graph's size (one micro-batch), of
 * which the first `valid` samples count. Adds the sum of their targets' losses (in order, in
 * double; what to divide it by says models/loss_mean.h) and how many were right. QD_EDATA (a target
 * that is no class), QD_EINTERNAL. */
int qd_engine_evaluate(qd_engine *engine, const qd_batch *batch, int64_t valid, double *loss_sum,
                       int64_t *correct);

/* Copies `count` logits of the last evaluation, [samples, .., classes], from element `first` on.
 * QD_EINTERNAL. */
int qd_engine_logits(const qd_engine *engine, int64_t first, int64_t count, float *logits);

/*
 * Everything a checkpoint must hold: parameters and optimizer state ("momentum", or "m" and "v").
 * Where that is kept by shards, a tensor may occur several times, each time with other rows. Tensor
 * i of 0 .. count-1; its data points into the engine and may be read (to save) or written
 * (to load) between steps.
 */
int qd_engine_state_count(const qd_engine *engine);
void qd_engine_state(qd_engine *engine, int i, qd_state_tensor *tensor);

/* A member of a gang, whose engine need not be there. */
typedef struct qd_member {
    const qd_job *job;
    const qd_graph *graph;
    const qd_buckets *buckets;
    const qd_shards *shards;
    int index, members; /* along the data axis; of the tensor axis the graph tells */
} qd_member;

/* Name and slice of each of its state tensors; data is NULL. places: where each begins in its
 * vector, or in this member's shard of it. tensors, places: [as many as are returned] or NULL. */
int qd_member_state(const qd_member *member, qd_state_tensor *tensors, int64_t *places);

#endif
