#include "models/job_rules_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "models/family.h"
#include "runtime/error.h"

/* Ranks that slots are enough for, with all of them in use. */
static int64_t most_ranks(const qd_job *job) {
    return job->slots_data * qd_job_copy_ranks(job);
}

/* "" or what each copy of the model multiplies. */
static const char *copy_words(const qd_job *job, char *words, size_t size) {
    words[0] = '\0';
    if (job->layout_tp > 1)
        snprintf(words, size, " times layout.tp %" PRId64, job->layout_tp);
    size_t used = strlen(words);
    if (job->layout_pp > 1)
        snprintf(words + used, size - used, " times layout.pp %" PRId64, job->layout_pp);
    return words;
}

static int check_max(const qd_job_rules *r, const qd_job *job) {
    char times[64];
    if (job->ranks_max / qd_job_copy_ranks(job) <= job->slots_data)
        return 0;
    int rc = qd_error_set(QD_ECONFIG,
                          "%s:%d: ranks.max %" PRId64 " is more than slots.data %" PRId64
                          "%s, and each rank needs a slot; lower ranks.max to %" PRId64,
                          r->file, qd_schema_line(r->lines, "ranks.max"), job->ranks_max,
                          job->slots_data, copy_words(job, times, sizeof times), most_ranks(job));
    return qd_job_add_slots_remedy(
        rc, job, (job->ranks_max + qd_job_copy_ranks(job) - 1) / qd_job_copy_ranks(job));
}

static int check_min(const qd_job_rules *r, const qd_job *job) {
    int line = qd_schema_line(r->lines, "ranks.min");
    char times[64];
    if (job->ranks_max && job->ranks_min > job->ranks_max)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: ranks.min %" PRId64 " is more than ranks.max %" PRId64
                            "; lower ranks.min or raise ranks.max",
                            r->file, line, job->ranks_min, job->ranks_max);
    if (job->ranks_min <= most_ranks(job))
        return 0;
    int rc = qd_error_set(QD_ECONFIG,
                          "%s:%d: ranks.min %" PRId64 " is more than slots.data %" PRId64
                          "%s%s, and each rank needs a slot; lower ranks.min to %" PRId64,
                          r->file, line, job->ranks_min, job->slots_data,
                          r->slots_from ? "" : " (the default)",
                          copy_words(job, times, sizeof times), most_ranks(job));
    return qd_job_add_slots_remedy(
        rc, job, (job->ranks_min + qd_job_copy_ranks(job) - 1) / qd_job_copy_ranks(job));
}

static int check_dp(const qd_job_rules *r, const qd_job *job) {
    int64_t dp = job->layout_dp;
    int line = qd_schema_line(r->lines, "layout.dp");
    if (!dp)
        return 0;
    char times[64];
    copy_words(job, times, sizeof times);
    if (dp * qd_job_copy_ranks(job) < job->ranks_min)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: layout.dp %" PRId64 "%s is less than ranks.min %" PRId64
                            "; raise layout.dp, lower ranks.min, or write dp: auto",
                            r->file, line, dp, times, job->ranks_min);
    if (job->ranks_max && dp * qd_job_copy_ranks(job) > job->ranks_max)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: layout.dp %" PRId64 "%s is more than ranks.max %" PRId64
                            "; lower layout.dp, raise ranks.max, or write dp: auto",
                            r->file, line, dp, times, job->ranks_max);
    if (dp <= job->slots_data)
        return 0;
    int rc = qd_error_set(QD_ECONFIG,
                          "%s:%d: layout.dp %" PRId64 " is more than slots.data %" PRId64
                          ", and each rank needs a slot; lower layout.dp to %" PRId64,
                          r->file, line, dp, job->slots_data, job->slots_data);
    return qd_job_add_slots_remedy(rc, job, dp);
}

/* The key that makes a copy of the model take several ranks. */
static const char *copy_key(const qd_job *job) {
    if (job->layout_pp > 1 && job->layout_tp > 1)
        return "layout.tp times layout.pp,";
    return job->layout_tp > 1 ? "layout.tp" : "layout.pp";
}

/* Ranks as the file gives them. */
static int check_groups(const qd_job_rules *r, const qd_job *job) {
    int64_t copy = qd_job_copy_ranks(job), least = (job->ranks_min + copy - 1) / copy * copy;
    if (job->layout_dp || !job->ranks_max || least <= job->ranks_max ||
        job->ranks_min > job->ranks_max)
        return 0;
    return qd_error_set(QD_ECONFIG,
                        "%s:%d: no multiple of %s %" PRId64 " lies between ranks.min "
                        "%" PRId64 " and ranks.max %" PRId64 ", and ranks are dealt out in groups "
                        "of %" PRId64 "; raise ranks.max to %" PRId64,
                        r->file, qd_schema_line(r->lines, "ranks.max"), copy_key(job), copy,
                        job->ranks_min, job->ranks_max, copy, least);
}

/* A gang has whole copies of the model: bounds are rounded to what such gangs can reach. A layout
 * in numbers leaves no choice of ranks. */
static void fill_ranks(qd_job *job) {
    if (job->layout_dp) {
        job->ranks_min = job->layout_dp * qd_job_copy_ranks(job);
        job->ranks_max = job->ranks_min;
    } else if (!job->ranks_max) {
        job->ranks_max = most_ranks(job);
    }
    job->ranks_min +=
        (qd_job_copy_ranks(job) - job->ranks_min % qd_job_copy_ranks(job)) % qd_job_copy_ranks(job);
    job->ranks_max -= job->ranks_max % qd_job_copy_ranks(job);
}

static int check_sequence(const qd_job_rules *r, const qd_job *job) {
    int line = qd_schema_line(r->lines, "layout.sequence_parallel");
    if (!job->layout_sequence_parallel)
        return 0;
    if (!qd_family_of(job)->deals_rows)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: layout.sequence_parallel true, and family %s has no residual "
                            "stream between layers that tensor parallelism cuts; remove it, or "
                            "use gpt or bert",
                            r->file, line, qd_family_of(job)->name);
    if (job->layout_tp > 1)
        return 0;
    return qd_error_set(QD_ECONFIG,
                        "%s:%d: layout.sequence_parallel true shares tokens out to the ranks of a "
                        "tensor group, and layout.tp is 1; use layout.tp 2 or more, or remove it",
                        r->file, line);
}

static int check_tp(const qd_job_rules *r, const qd_job *job) {
    int line = qd_schema_line(r->lines, "layout.tp");
    int rc = check_sequence(r, job);
    if (rc || job->layout_tp == 1)
        return rc;
    if (job->layout_tp > job->slots_tensor)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: layout.tp %" PRId64 " is more than slots.tensor %" PRId64
                            ", and each rank of a tensor group needs a slot; lower layout.tp to "
                            "%" PRId64 ", or set slots.tensor to %" PRId64 " for a new run",
                            r->file, line, job->layout_tp, job->slots_tensor, job->slots_tensor,
                            job->layout_tp);
    return 0;
}

static int check_reduction(const qd_job_rules *r, const qd_job *job) {
    if (!job->layout_reduction || job->train.reduce_precision == QD_PRECISION_FP32)
        return 0;
    return qd_error_set(QD_ECONFIG,
                        "%s:%d: layout.reduction fast adds up in fp32, and train.reduce_precision "
                        "is bf16; remove one of the two",
                        r->file, qd_schema_line(r->lines, "layout.reduction"));
}

int qd_job_check_parts(const qd_job_rules *r, const qd_job *job) {
    qd_graph *graph = NULL;
    if (job->layout_tp == 1)
        return 0;
    int rc = qd_family_build_part(job, (int)job->layout_tp, 0, &graph);
    qd_graph_destroy(graph);
    char context[QD_JOB_PATH_BYTES];
    snprintf(context, sizeof context, "%s:%d: layout.tp %" PRId64, r->file,
             qd_schema_line(r->lines, "layout.tp"), job->layout_tp);
    return rc ? qd_error_context(rc, "%s", context) : 0;
}

int qd_job_resolve_ranks(const qd_job_rules *r, qd_job *job) {
    int rc;
    if ((rc = check_max(r, job)) || (rc = check_groups(r, job)) || (rc = check_min(r, job)) ||
        (rc = check_dp(r, job)))
        return rc;
    fill_ranks(job);
    rc = check_reduction(r, job);
    return rc ? rc : check_tp(r, job);
}
