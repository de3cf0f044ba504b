/*
 * capability.h: what this engine can of what a planner may choose. The one place that says so: the
 * layouts that `layout: auto` may come to (models/planner.h) follow from it.
 */
#ifndef QD_WORKER_CAPABILITY_H
#define QD_WORKER_CAPABILITY_H

#include "models/job.h"
#include "models/planner.h"

/* Bounds pins to layouts that the engine can run the job with. */
static inline void qd_engine_bound(const qd_job *job, qd_plan_pins *pins) {
    bool whole_matrices =
        job->optimizer.kind == QD_OPTIMIZER_LAMB || job->optimizer.kind == QD_OPTIMIZER_MUON;
    if (whole_matrices)
        pins->most_tp = 1;
}

#endif
