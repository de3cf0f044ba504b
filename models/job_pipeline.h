/* job_pipeline.h: the pipeline that a job's layout asks for. Pure. */
#ifndef QD_MODELS_JOB_PIPELINE_H
#define QD_MODELS_JOB_PIPELINE_H

#include "models/job.h"
#include "models/pipeline.h"

/* The schedule's table of stages that go through so many data slots in a step; without layout.pp of
 * one stage. Owner of *table: the caller (qd_pipeline_destroy). QD_ECONFIG, QD_ENOMEM. */
int qd_job_pipeline_table(const qd_job *job, int slots, qd_pipeline_table **table);

#endif
