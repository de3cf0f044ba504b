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

struct qd_engine {
    qd_job job;
    int first_slot, end_slot;
    int threads;
    const qd_backend *backend;
    qd_backend_context *context;
    qd_graph *graph;
    qd_timeline *timeline; /* of a micro-batch */
    qd_memory_plan *plan;
    char *arena; /* plan->bytes */

    /* All pointers below lead into the arena. */
    float *params;
    float *optimizer_state[QD_OPTIMIZER_MAX_VECTORS];
    float **vectors;       /* [plan->gradient_slots] */
    qd_operands *operands; /* [node_count]; param_grads and param_adds change with each run */

    qd_run_state run;
    bool stale; /* the parameters have changed since they were narrowed */
    qd_tree_stack stack;
    float totals[QD_TOTALS]; /* to be added to the first leaf */
    double *squares;         /* [param_count] of each trained parameter's gradient; else 0 */
    double *slot_squares;    /* of those that tensor slots deal out: engine_norm.c */
    float *greatest;         /* [members][losses][2] where logits are shared; else NULL */
    const qd_tensor_exchange *exchange; /* NULL: all tensor slots are here */
    double gradient_norm;               /* of the last update */
    double rate_factor;                 /* of the learning rate, beside the schedule's */
};

/* Where an offset of the plan lies in the arena; NULL for SIZE_MAX, the offset of what is not
 * there. */
static inline void *qd_engine_at(const qd_engine *engine, size_t offset) {
    return offset == SIZE_MAX ? NULL : engine->arena + offset;
}

/* Their memory; freed by the engine's destroy. QD_ENOMEM. */
int qd_engine_norm_create(qd_engine *engine);
void qd_engine_norm_destroy(qd_engine *engine);
int qd_engine_score_create(qd_engine *engine);

/* The square of the length of the gradient that stands in vectors[0]. */
int qd_engine_take_squares(qd_engine *engine, double *squares);

/* Of the first `valid` samples: sum of the losses and how many answers are right, once the device
 * has been waited for. targets: on the host. */
int qd_engine_score(qd_engine *engine, const int32_t *targets, int64_t valid, double *loss_sum,
                    int64_t *correct);

#endif
