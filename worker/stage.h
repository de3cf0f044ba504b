/*
 * stage.h: what one member of a gang runs of a model: all of it, or a stage of a pipeline. A job's
 * slots.pipeline cuts the model into parts for good (models/part_graph.h), each with an engine of
 * its own, wherever it runs; a stage has the engines of its chunks and carries out its list of the
 * schedule's table (models/pipeline.h). So what is computed, and in which order gradients are added
 * up, does not depend on how many stages there are.
 *
 * A parameter that several parts read has a copy in each; after the sums over slots its gradients
 * are added up, the last part's first, and all copies move alike.
 *
 * Calls come from the thread that computes; all members make the same calls in the same order.
 * Errors are those of engine.h and collectives/operation.h.
 */
#ifndef QD_WORKER_STAGE_H
#define QD_WORKER_STAGE_H

#include "collectives/allreduce.h"
#include "models/grid.h"
#include "models/pipeline.h"
#include "runtime/span.h"
#include "worker/engine.h"

typedef struct qd_stage qd_stage;

typedef struct qd_stage_config {
    const qd_job *job; /* must outlive it */
    qd_grid grid;
    qd_grid_place place;
    int first_slot, end_slot; /* data slots of this member */
    const qd_backend *backend;
    int threads;
    qd_span_clock *spans;
    qd_listener listener; /* as in qd_engine_place */
} qd_stage_config;

/* Owner of *stage: the caller (qd_stage_destroy). Errors of qd_engine_create_member. */
int qd_stage_create(const qd_stage_config *config, qd_stage **stage);

/* Groups that carry its exchanges are to be destroyed before. NULL is fine. */
void qd_stage_destroy(qd_stage *stage);

/* Along the data axis; not called for one alone. starts: slots of the members, as in
 * qd_slot_ranges. */
int qd_stage_connect_data(qd_stage *stage, qd_group *group, const qd_slot_ranges *ranges);
/* Along the tensor axis; the exchange must outlive it. */
void qd_stage_connect_tensor(qd_stage *stage, const qd_tensor_exchange *exchange);
/* Along the pipeline axis: a group for each of the ways between stages (models/pipeline.h). */
void qd_stage_connect_pipeline(qd_stage *stage, qd_group *outputs, qd_group *gradients);

/* The whole model's graph, of this member's tensor slots. */
const qd_graph *qd_stage_whole(const qd_stage *stage);
size_t qd_stage_arena_bytes(const qd_stage *stage);

/* Chunks of the stage, and whether one reads samples or targets. */
int qd_stage_chunks(const qd_stage *stage);
bool qd_stage_reads_data(const qd_stage *stage, int chunk);

/* ---- a step ---- */

/* Where a stage gets the slots' batches from, and what it calls between actions. */
typedef struct qd_stage_feed {
    void *context;
    int (*next)(void *context, int chunk, qd_batch *batch); /* of the chunk's next slot */
    int (*between)(void *context);
} qd_stage_feed;

void qd_stage_begin_step(qd_stage *stage, int64_t step);
void qd_stage_add_total(qd_stage *stage, int total, float value);

/* Forward and backward of all slots. */
int qd_stage_run(qd_stage *stage, const qd_stage_feed *feed);

/* Waits for the sums over slots and puts the totals of all parts together. */
int qd_stage_finish_sums(qd_stage *stage);
float qd_stage_total(const qd_stage *stage, int total);
int qd_stage_update(qd_stage *stage, int64_t total_steps);
double qd_stage_gradient_norm(const qd_stage *stage);
void qd_stage_set_rate_factor(qd_stage *stage, double factor);

/* As qd_engine_evaluate. The last stage alone has the results; the others' are 0. */
int qd_stage_evaluate(qd_stage *stage, const qd_batch *batch, int64_t valid, double *loss_sum,
                      int64_t *correct);

/* ---- state ---- */

/* What the parts' engines keep, as in engine.h: those of all units, one after the other. */
int qd_stage_settle(qd_stage *stage);
int qd_stage_reset(qd_stage *stage);
int qd_stage_state_count(const qd_stage *stage);
void qd_stage_state(qd_stage *stage, int i, qd_state_tensor *tensor);

#endif
