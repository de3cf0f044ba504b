/* job_rules_internal.h: what models/job_rules*.c share. */
#ifndef QD_MODELS_JOB_RULES_INTERNAL_H
#define QD_MODELS_JOB_RULES_INTERNAL_H

#include "models/job_rules.h"

typedef struct qd_job_rules {
    const char *file;
    const qd_schema_lines *lines;
    const char *slots_from; /* the key that slots_data was taken from; NULL: from the batch */
} qd_job_rules;

/* Each completes its part of the job and checks it, in this order. QD_ECONFIG "FILE:LINE: ...". */
int qd_job_resolve_model(const qd_job_rules *r, qd_job *job);
int qd_job_resolve_train(const qd_job_rules *r, qd_job *job); /* data and optimizer, too */
int qd_job_check_schedule(const qd_job_rules *r, const qd_job *job);
int qd_job_resolve_slots(qd_job_rules *r, qd_job *job);
int qd_job_resolve_ranks(const qd_job_rules *r, qd_job *job);

/* Of a job with layout: auto, instead of slots and ranks: marks what the file leaves open. */
int qd_job_leave_to_planner(const qd_job_rules *r, qd_job *job);

/* Whether each rank of a tensor group has something of every layer that is cut. */
int qd_job_check_parts(const qd_job_rules *r, const qd_job *job);

/* Lists the divisors of batch nearest to value, up to three on either side: "1, 2, 4 or 8". */
void qd_job_list_divisors(int64_t batch, int64_t value, char *out, size_t size);

/* Ends a message about too few slots by saying how to get `ranks` of them. Returns rc. */
int qd_job_add_slots_remedy(int rc, const qd_job *job, int64_t ranks);

#endif
