/*
 * planner_candidates.h: which numbers the planner's search tries for each dimension of a layout.
 * Inside of models/planner*.c.
 */
#ifndef QD_MODELS_PLANNER_CANDIDATES_H
#define QD_MODELS_PLANNER_CANDIDATES_H

#include "models/planner_search.h"

enum { QD_PLAN_MOST_COUNTS = 512, QD_PLAN_MOST_PIPELINES = 3 * QD_PLAN_MOST_COUNTS };

/* Numbers to try, ascending. */
typedef struct qd_plan_counts {
    int64_t n[QD_PLAN_MOST_COUNTS];
    int count;
} qd_plan_counts;

typedef struct qd_plan_pipeline {
    int pp, chunks;
} qd_plan_pipeline;

typedef struct qd_plan_pipelines {
    qd_plan_pipeline at[QD_PLAN_MOST_PIPELINES];
    int count;
} qd_plan_pipelines;

/* Each overwrites its list; a pin leaves its number alone. */
void qd_plan_data_counts(const qd_planner *p, const qd_search *s, qd_plan_counts *c);
void qd_plan_list_pipelines(const qd_planner *p, const qd_search *s, qd_plan_pipelines *list);
void qd_plan_recompute_counts(const qd_planner *p, const qd_search *s, qd_plan_counts *c);

/* Samples of a micro-batch. */
void qd_plan_sample_counts(const qd_planner *p, const qd_search *s, qd_plan_counts *c);

/* Tensor ranks within a node; `across`: beyond it, which only serves who fits nowhere else. */
void qd_plan_tensor_counts(const qd_planner *p, const qd_search *s, bool across, qd_plan_counts *c);

#endif
