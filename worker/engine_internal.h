/* engine_internal.h: what the files of the engine share; for worker/engine*.c only. */
#ifndef QD_WORKER_ENGINE_INTERNAL_H
#define QD_WORKER_ENGINE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "collectives/tree.h"
#include "models/memory_plan.h"
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
    double gradient_norm;    /* of the last update */
    double rate_factor;      /* of the learning rate, beside the schedule's */
};

/* Where an offset of the plan lies in the arena; NULL for SIZE_MAX, the offset of what is not
 * there. */
static inline void *qd_engine_at(const qd_engine *engine, size_t offset) {
    return offset == SIZE_MAX ? NULL : engine->arena + offset;
}

#endif
