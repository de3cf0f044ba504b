#include "models/job_rules_internal.h"

#include <inttypes.h>
#include <stdlib.h>

#include "models/family.h"
#include "models/layer_list.h"
#include "runtime/error.h"

static void leave_open(const qd_job_rules *r, const char *key, int64_t open, int64_t *value) {
    if (!qd_schema_given(r->lines, key))
        *value = open;
}

static int check_bounds(const qd_job_rules *r, const qd_job *job) {
    if (!job->ranks_max || job->ranks_min <= job->ranks_max)
        return 0;
    return qd_error_set(QD_ECONFIG,
                        "%s:%d: ranks.min %" PRId64 " is more than ranks.max %" PRId64
                        "; lower ranks.min or raise ranks.max",
                        r->file, qd_schema_line(r->lines, "ranks.min"), job->ranks_min,
                        job->ranks_max);
}

/* Its layers do not depend on the layout. */
static int check_layers(const qd_job_rules *r, const qd_job *job) {
    qd_job *whole = malloc(sizeof *whole);
    if (!whole)
        return qd_error_set(QD_ENOMEM, "%s: no memory for a job", r->file);
    *whole = *job;
    whole->slots_data = whole->slots_tensor = whole->slots_pipeline = whole->layout_tp =
        whole->train.micro_batches = 1;
    whole->train.recompute = 0;
    int rc = qd_layer_list_check(r->file, r->lines, whole);
    free(whole);
    return rc;
}

int qd_job_leave_to_planner(const qd_job_rules *r, qd_job *job) {
    leave_open(r, "layout.tp", 0, &job->layout_tp);
    leave_open(r, "layout.pp", 0, &job->layout_pp);
    leave_open(r, "layout.zero", -1, &job->layout_zero);
    leave_open(r, "train.micro_batches", 0, &job->train.micro_batches);
    leave_open(r, "train.recompute", -1, &job->train.recompute);
    int rc = check_bounds(r, job);
    return rc ? rc : check_layers(r, job);
}
