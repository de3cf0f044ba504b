/* Rules for layout.pp and what goes with it, and the table that comes of it. */
#include "models/job_pipeline.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "models/family.h"
#include "models/job_rules.h"
#include "models/part_graph.h"
#include "models/pipeline_simulate.h"
#include "runtime/error.h"

static int check_chunks(const char *file, const qd_schema_lines *lines, const qd_job *job) {
    const qd_pipeline_kind *kind = qd_pipeline_kind_at(job->layout_schedule);
    int64_t parts = job->layout_pp * job->layout_chunks;
    if (job->layout_chunks > 1 && (job->layout_pp == 1 || !kind->interleaves))
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: layout.chunks %" PRId64 " needs layout.pp of 2 or more and "
                            "layout.schedule interleaved",
                            file, qd_schema_line(lines, "layout.chunks"), job->layout_chunks);
    if (parts > job->slots_pipeline) {
        char times[64] = "";
        if (job->layout_chunks > 1)
            snprintf(times, sizeof times, " times layout.chunks %" PRId64, job->layout_chunks);
        return qd_error_set(
            QD_ECONFIG,
            "%s:%d: layout.pp %" PRId64 "%s is more than slots.pipeline %" PRId64
            ", and each chunk of a stage needs a part of the model; lower layout.pp%s, "
            "or set slots.pipeline to %" PRId64 " for a new run",
            file, qd_schema_line(lines, "layout.pp"), job->layout_pp, times, job->slots_pipeline,
            job->layout_chunks > 1 ? " or layout.chunks" : "", parts);
    }
    return 0;
}

int qd_job_pipeline_table(const qd_job *job, int slots, qd_pipeline_table **table) {
    const qd_pipeline_kind *kind = qd_pipeline_kind_at(job->layout_schedule);
    bool alone = job->layout_pp == 1;
    return qd_pipeline_create(alone ? &qd_pipeline_1f1b : kind, (int)job->layout_pp,
                              alone ? 1 : (int)job->layout_chunks,
                              slots * (int)qd_job_micro_batches(job), table);
}

/* Whether the table of a pipeline with so many slots comes to its end. */
static int try_table(const qd_job *job, int64_t slots) {
    size_t parts = (size_t)(job->layout_pp * job->layout_chunks);
    qd_pipeline_table *table = NULL;
    qd_pipeline_run *run = NULL;
    qd_pipeline_cost *costs = calloc(parts, sizeof *costs);
    int rc = costs ? 0 : qd_error_set(QD_ENOMEM, "no memory for %zu parts", parts);
    for (size_t i = 0; i < parts && !rc; i++)
        costs[i] = (qd_pipeline_cost){1, 1, 1};
    qd_pipeline_times times = {.part = costs, .receives_ahead = QD_PIPELINE_BUFFERED};
    if (!rc)
        rc = qd_job_pipeline_table(job, (int)slots, &table);
    if (!rc)
        rc = qd_pipeline_simulate(table, &times, &run);
    qd_pipeline_run_destroy(run);
    qd_pipeline_destroy(table);
    free(costs);
    return rc;
}

static int check_cut(const qd_job *job) {
    qd_pipeline_stages *cut = NULL;
    int rc = qd_part_graph_cut(job, &cut);
    qd_pipeline_stages_destroy(cut);
    return rc;
}

int qd_job_check_pipeline(const char *file, const qd_schema_lines *lines, const qd_job *job) {
    char context[QD_JOB_PATH_BYTES];
    int64_t dp = job->ranks_max / qd_job_copy_ranks(job);
    const char *key = job->layout_pp > 1 ? "layout.pp" : "slots.pipeline";
    int rc = check_chunks(file, lines, job);
    if (rc || job->slots_pipeline == 1)
        return rc;
    rc = check_cut(job);
    for (int64_t slots = job->slots_data / dp; job->layout_pp > 1 && !rc;) {
        rc = try_table(job, slots);
        if (slots * dp >= job->slots_data)
            break;
        slots++;
    }
    snprintf(context, sizeof context, "%s:%d: %s %" PRId64, file, qd_schema_line(lines, key), key,
             job->layout_pp > 1 ? job->layout_pp : job->slots_pipeline);
    return rc ? qd_error_context(rc, "%s", context) : 0;
}
