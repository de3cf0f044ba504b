/*
 * job_rules.h: what the keys of a job file mean together: defaults that follow from other keys,
 * and rules that no single key can break. Inside of job.h only; single keys are models/job.c.
 */
#ifndef QD_MODELS_JOB_RULES_H
#define QD_MODELS_JOB_RULES_H

#include "models/job.h"
#include "runtime/schema.h"

/* Highest number of data slots, hence of ranks, of a job. */
#define QD_JOB_MAX_SLOTS 65536

/*
 * Completes a job whose single keys are in order: adamw's weight_decay, slots_data, ranks_min and
 * ranks_max are filled in where the file left them out. QD_ECONFIG "FILE:LINE: ..." with the
 * remedy; the job is then not to be used.
 */
int qd_job_resolve(const char *file, const qd_schema_lines *lines, qd_job *job);

/* Whether the job's pipeline can be run: its schedule, the parts of the model, and that its table
 * comes to an end for every number of slots that a member may have. QD_ECONFIG naming file and
 * line. */
int qd_job_check_pipeline(const char *file, const qd_schema_lines *lines, const qd_job *job);

#endif
