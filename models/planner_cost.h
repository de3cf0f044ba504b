/*
 * planner_cost.h: the step time and the memory of one layout, from what its parts take. Inside of
 * models/planner*.c; the formulas stand in models/planner.h.
 */
#ifndef QD_MODELS_PLANNER_COST_H
#define QD_MODELS_PLANNER_COST_H

#include "models/planner.h"
#include "models/planner_parts.h"

enum { QD_PLAN_BUCKET_BYTES = 32 << 20 }; /* of gradients that leave together */

/* A rank of the pipeline: its parts together. */
typedef struct qd_plan_stage {
    qd_part_cost sum;            /* greatest of scratch and largest_unit */
    double most_kept, most_peak; /* of a chunk */
    double seconds;              /* of a micro-batch */
} qd_plan_stage;

/* What all layouts of one pipeline on one number of tensor ranks have in common. */
typedef struct qd_plan_case {
    const qd_profile *profile;
    const qd_hardware *hardware;
    const qd_plan_host *host; /* NULL: none */
    int pp, chunks;
    qd_plan_stage *stages; /* [pp] */
    int dearest, largest;  /* stages: of most seconds, of most parameters */
    double all_s;          /* seconds of all stages */
    double least_weight_s; /* of the stages' weight gradients */
    double most_taken;     /* bytes that a stage is handed */
    double shared;         /* elements that the first and the last stage both hold */
} qd_plan_case;

/* Fills it from the parts [pp * chunks] of a cut; profile, hardware, host, pp, chunks and
 * room for stages are set. */
void qd_plan_case_begin(qd_plan_case *c, const qd_part_cost *parts, const qd_pipeline_stages *cut,
                        int tp);

/* Micro-batches that the fullest data rank runs in a step. */
int64_t qd_plan_micro_batches(const qd_plan_layout *layout);

/* Fill plan->layout, time, step_s, traffic, samples_per_s and mfu; and memory, memory_bytes and
 * fits. */
void qd_plan_predict_time(const qd_plan_case *c, const qd_plan_layout *layout, qd_plan *plan);
void qd_plan_predict_memory(const qd_plan_case *c, const qd_plan_layout *layout, qd_plan *plan);

#endif
