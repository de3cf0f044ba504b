/*
 * capability.h: what this engine can of what a planner may choose. The one place that says so: the
 * layouts that `layout: auto` may come to (models/planner.h) follow from it.
 */
#ifndef QD_WORKER_CAPABILITY_H
#define QD_WORKER_CAPABILITY_H

#include "models/job.h"
#include "models/planner.h"

enum {
    QD_ENGINE_MOST_STAGES = 1, /* of a pipeline */
    QD_ENGINE_MOST_ZERO = 2,
};

/* Bounds pins to layouts that the engine can run the job with. */
static inline void qd_engine_bound(const qd_job *job, qd_plan_pins *pins) {
    bool whole_matrices =
        job->optimizer.kind == QD_OPTIMIZER_LAMB || job->optimizer.kind == QD_OPTIMIZER_MUON;
    pins->most_pp = QD_ENGINE_MOST_STAGES;
    pins->most_zero = QD_ENGINE_MOST_ZERO;
    pins->most_tp = whole_matrices ? 1 : QD_PLAN_FREE;
}

#endif
