/* pipeline_report.h: what `quadrille plan --schedule` shows: the stages a model is cut into, and
 * who computes what when. */
#ifndef QD_LAUNCH_PIPELINE_REPORT_H
#define QD_LAUNCH_PIPELINE_REPORT_H

#include <jansson.h>

#include "models/graph.h"
#include "models/timeline.h"

typedef struct qd_pipeline_request {
    const char *schedule;
    int stages, chunks, micro_batches;
} qd_pipeline_request;

typedef struct qd_pipeline_report qd_pipeline_report;

/* graph, timeline: of one micro-batch; are to live as long as the report. QD_ECONFIG, QD_ENOMEM.
 * Owner of *report: the caller (qd_pipeline_report_destroy). */
int qd_pipeline_report_create(const qd_pipeline_request *request, const qd_graph *graph,
                              const qd_timeline *timeline, qd_pipeline_report **report);
void qd_pipeline_report_destroy(qd_pipeline_report *report);

/* To stdout. */
void qd_pipeline_report_print(const qd_pipeline_report *report);

/* A new reference; NULL when memory ran out. */
json_t *qd_pipeline_report_json(const qd_pipeline_report *report);

#endif
