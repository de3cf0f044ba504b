#include "models/job_rules_internal.h"

#include <inttypes.h>

#include "models/family.h"
#include "runtime/error.h"

/* The slots of a job that says nothing about them: enough for one node, few enough that a slot
 * of a usual batch stays worth computing. */
#define DEFAULT_SLOTS 8

static void fill_slots(qd_job_rules *r, qd_job *job) {
    if (!job->layout_tp)
        job->layout_tp = 1;
    if (!job->slots_tensor)
        job->slots_tensor = job->layout_tp;
    if (!job->slots_pipeline)
        job->slots_pipeline = job->layout_pp * job->layout_chunks;
    if (job->slots_data) {
        r->slots_from = "slots.data";
    } else if (job->ranks_max) {
        int64_t groups = job->ranks_max / qd_job_copy_ranks(job);
        job->slots_data = groups > 0 ? groups : 1;
        r->slots_from = "ranks.max";
    } else if (job->layout_dp) {
        job->slots_data = job->layout_dp;
        r->slots_from = "layout.dp";
    } else {
        job->slots_data = DEFAULT_SLOTS;
        while (job->train.batch % job->slots_data)
            job->slots_data--;
    }
}

static int check_slots(const qd_job_rules *r, const qd_job *job) {
    char divisors[128];
    if (job->train.batch % job->slots_data == 0)
        return 0;
    qd_job_list_divisors(job->train.batch, job->slots_data, divisors, sizeof divisors);
    int line = qd_schema_line(r->lines, r->slots_from);
    if (qd_schema_given(r->lines, "slots.data"))
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: slots.data %" PRId64 " does not divide train.batch %" PRId64
                            "; use %s",
                            r->file, line, job->slots_data, job->train.batch, divisors);
    int rc =
        qd_error_set(QD_ECONFIG,
                     "%s:%d: %s %" PRId64
                     ", taken for slots.data too, does not divide train.batch %" PRId64 "; use %s",
                     r->file, line, r->slots_from, job->slots_data, job->train.batch, divisors);
    return qd_job_add_slots_remedy(rc, job, job->slots_data);
}

static int check_micro_batches(const qd_job_rules *r, const qd_job *job) {
    char divisors[128];
    int64_t samples = job->train.batch / job->slots_data, parts = job->train.micro_batches;
    if (samples % parts == 0)
        return 0;
    qd_job_list_divisors(samples, parts, divisors, sizeof divisors);
    return qd_error_set(QD_ECONFIG,
                        "%s:%d: train.micro_batches %" PRId64 " does not divide the %" PRId64
                        " sample(s) of a data slot (train.batch %" PRId64 " / slots.data %" PRId64
                        "); use %s",
                        r->file, qd_schema_line(r->lines, "train.micro_batches"), parts, samples,
                        job->train.batch, job->slots_data, divisors);
}

static int check_recompute(const qd_job_rules *r, const qd_job *job) {
    int64_t blocks = qd_family_blocks(job), wanted = job->train.recompute;
    int line = qd_schema_line(r->lines, "train.recompute");
    if (wanted <= blocks)
        return 0;
    if (blocks == 0)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: train.recompute %" PRId64
                            ", and family %s has no blocks to recompute; remove it",
                            r->file, line, wanted, qd_family_of(job)->name);
    return qd_error_set(QD_ECONFIG,
                        "%s:%d: train.recompute %" PRId64 " is more than the %" PRId64
                        " block(s) of the model; use 0 to %" PRId64,
                        r->file, line, wanted, blocks, blocks);
}

int qd_job_resolve_slots(qd_job_rules *r, qd_job *job) {
    int rc;
    fill_slots(r, job);
    if ((rc = check_slots(r, job)) || (rc = check_micro_batches(r, job)))
        return rc;
    return check_recompute(r, job);
}
