#include "models/planner.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "models/pipeline.h"
#include "models/planner_search.h"
#include "runtime/error.h"

const qd_plan_pins qd_plan_no_pins = {
    .dp = QD_PLAN_FREE,
    .pp = QD_PLAN_FREE,
    .tp = QD_PLAN_FREE,
    .zero = QD_PLAN_FREE,
    .schedule = QD_PLAN_FREE,
    .slots = QD_PLAN_FREE,
    .micro_batches = QD_PLAN_FREE,
    .recompute = QD_PLAN_FREE,
    .least_ranks = QD_PLAN_FREE,
    .most_pp = QD_PLAN_FREE,
    .most_parts = QD_PLAN_FREE,
    .most_tp = QD_PLAN_FREE,
    .most_zero = QD_PLAN_FREE,
};

const char *const qd_plan_time_names[QD_PLAN_TIMES] = {
    [QD_PLAN_COMPUTE] = "compute",
    [QD_PLAN_RECOMPUTE] = "recomputation",
    [QD_PLAN_TENSOR] = "tensor sums",
    [QD_PLAN_BUBBLE] = "pipeline bubble",
    [QD_PLAN_TRANSFER] = "handing on",
    [QD_PLAN_GRADIENTS] = "gradient exchange",
    [QD_PLAN_PARAMETERS] = "gathering parameters",
    [QD_PLAN_OPTIMIZER] = "optimizer",
};

const char *const qd_plan_memory_names[QD_PLAN_MEMORIES] = {
    [QD_PLAN_WEIGHTS] = "weights",
    [QD_PLAN_WEIGHT_GRADIENTS] = "gradients",
    [QD_PLAN_OPTIMIZER_STATE] = "optimizer state",
    [QD_PLAN_ACTIVATIONS] = "activations",
    [QD_PLAN_SCRATCH] = "scratch",
    [QD_PLAN_BUCKETS] = "buckets",
    [QD_PLAN_RESERVED] = "reserved",
};

int qd_planner_create(const qd_job *job, const qd_hardware *hardware, const qd_plan_host *host,
                      qd_planner **planner) {
    qd_planner *p = calloc(1, sizeof *p);
    int rc = p ? 0 : qd_error_set(QD_ENOMEM, "no memory for a planner");
    if (!rc)
        rc = qd_profile_create(job, &p->profile);
    if (!rc)
        rc = qd_part_work_create(p->profile, &p->work);
    if (!rc) {
        size_t blocks = (size_t)p->profile->one->block_count;
        p->hardware = hardware;
        p->has_host = host != NULL;
        p->host = host ? *host : (qd_plan_host){0};
        p->most_parts = qd_pipeline_most_parts(p->profile->one);
        p->most_whole_parts = qd_pipeline_most_parts(p->profile->whole);
        p->levels = calloc(blocks + 1, sizeof *p->levels);
        p->parts = calloc((size_t)p->most_parts + 1, sizeof *p->parts);
        p->stages = calloc((size_t)p->most_parts + 1, sizeof *p->stages);
        p->node_cost = calloc((size_t)p->profile->one->node_count, sizeof *p->node_cost);
        for (int i = 0; i < 2; i++)
            p->cuts[i] = calloc((size_t)p->most_parts + 1, sizeof *p->cuts[i]);
        if (!p->levels || !p->parts || !p->stages || !p->node_cost || !p->cuts[0] || !p->cuts[1])
            rc = qd_error_set(QD_ENOMEM, "no memory for a planner");
    }
    if (rc)
        qd_planner_destroy(p);
    else
        *planner = p;
    return rc;
}

void qd_planner_destroy(qd_planner *planner) {
    if (!planner)
        return;
    for (int n = 0; planner->levels && n <= planner->profile->one->block_count; n++)
        qd_profile_level_destroy(planner->levels[n]);
    for (int i = 0; i < 2; i++) {
        for (int k = 0; planner->cuts[i] && k <= planner->most_parts; k++)
            qd_pipeline_stages_destroy(planner->cuts[i][k]);
        free(planner->cuts[i]);
    }
    free(planner->levels);
    free(planner->parts);
    free(planner->stages);
    free(planner->node_cost);
    qd_part_work_destroy(planner->work);
    qd_profile_destroy(planner->profile);
    free(planner);
}

/* ---- what is cut and measured once ---- */

int qd_planner_level(qd_planner *p, int blocks, const qd_profile_level **level) {
    int rc =
        p->levels[blocks] ? 0 : qd_profile_level_create(p->profile, blocks, &p->levels[blocks]);
    *level = p->levels[blocks];
    return rc;
}

/* Blocks stay whole where there are enough of them, so that any number of them may be recomputed
 * without moving a layer to another stage. */
int qd_planner_cut(qd_planner *p, int parts, bool recomputes, const qd_pipeline_stages **cut) {
    bool whole = parts <= p->most_whole_parts;
    qd_pipeline_stages **kept = &p->cuts[recomputes][parts];
    const qd_profile_level *level;
    int rc = qd_planner_level(p, recomputes ? p->profile->one->block_count : 0, &level);
    if (!rc && !*kept) {
        qd_pipeline_flops(p->profile->one, level->timeline, p->node_cost);
        rc = qd_pipeline_stages_create(whole ? p->profile->whole : p->profile->one, parts,
                                       p->node_cost, kept);
    }
    *cut = *kept;
    return rc;
}

/* Pipelines of as many parts differ only in who holds which. */
static void measure_parts(qd_planner *p, const qd_profile_level *level, int tp, double samples,
                          const qd_pipeline_stages *cut) {
    if (p->measured.tp == tp && p->measured.blocks == level->blocks &&
        p->measured.parts == cut->parts && p->measured.samples == samples)
        return;
    qd_part_request request = {p->profile, level, p->hardware, tp, samples};
    qd_part_work_begin(p->work, &request);
    for (int k = 0; k < cut->parts; k++)
        qd_part_measure(p->work, cut, k, &p->parts[k]);
    p->measured.tp = tp;
    p->measured.blocks = level->blocks;
    p->measured.parts = cut->parts;
    p->measured.samples = samples;
}

int qd_planner_measure(qd_planner *p, int tp, int blocks, double samples, int pp, int chunks,
                       qd_plan_case *c) {
    const qd_profile_level *level;
    const qd_pipeline_stages *cut;
    int rc = qd_planner_level(p, blocks, &level);
    if (!rc)
        rc = qd_planner_cut(p, pp * chunks, blocks > 0, &cut);
    if (rc)
        return rc;
    measure_parts(p, level, tp, samples, cut);
    *c = (qd_plan_case){.profile = p->profile,
                        .hardware = p->hardware,
                        .host = p->has_host ? &p->host : NULL,
                        .pp = pp,
                        .chunks = chunks,
                        .stages = p->stages};
    qd_plan_case_begin(c, p->parts, cut, tp);
    return 0;
}

/* ---- one layout ---- */

static int check_grid(const qd_planner *p, const qd_plan_layout *l) {
    const qd_profile *profile = p->profile;
    if (l->dp < 1 || l->pp < 1 || l->tp < 1 || l->chunks < 1 || l->zero < 0 || l->zero > 3)
        return qd_error_set(QD_ECONFIG,
                            "layout: dp, pp, tp and chunks are 1 or more, zero is 0 .. 3");
    if (l->tp > profile->most_tp)
        return qd_error_set(QD_ECONFIG, "layout: tp %d; the layers of %s can be cut into 1 to %d",
                            l->tp, profile->job->name, profile->most_tp);
    if ((int64_t)l->pp * l->chunks > p->most_parts)
        return qd_error_set(QD_ECONFIG,
                            "layout: %d stages of %d chunk(s); %s can be cut into 1 to %d", l->pp,
                            l->chunks, profile->job->name, p->most_parts);
    if (l->recompute < 0 || l->recompute > profile->one->block_count)
        return qd_error_set(QD_ECONFIG, "train.recompute %d; %s has %d block(s)", l->recompute,
                            profile->job->name, profile->one->block_count);
    return 0;
}

static int check_samples(const qd_planner *p, const qd_plan_layout *l) {
    int64_t batch = p->profile->job->train.batch;
    if (l->slots < l->dp || batch % l->slots != 0)
        return qd_error_set(QD_ECONFIG,
                            "slots.data %" PRId64 " with dp %d and a batch of %" PRId64
                            "; slots divide the batch, and each rank needs one",
                            l->slots, l->dp, batch);
    if (l->micro_batches < 1 || batch / l->slots % l->micro_batches != 0)
        return qd_error_set(QD_ECONFIG,
                            "train.micro_batches %" PRId64 " does not divide the %" PRId64
                            " sample(s) of a data slot",
                            l->micro_batches, batch / l->slots);
    if (batch / l->slots / l->micro_batches < p->profile->least_samples)
        return qd_error_set(
            QD_ECONFIG, "micro-batches of %" PRId64 " sample(s); %s takes %" PRId64 " or more",
            batch / l->slots / l->micro_batches, p->profile->job->name, p->profile->least_samples);
    return 0;
}

static int check_schedule(const qd_plan_layout *l) {
    if (l->pp == 1)
        return l->chunks == 1 ? 0
                              : qd_error_set(QD_ECONFIG, "layout: %d chunks and no pipeline; use 1",
                                             l->chunks);
    int schedules = 0;
    while (qd_pipeline_names[schedules])
        schedules++;
    if (l->schedule < 0 || l->schedule >= schedules)
        return qd_error_set(QD_ECONFIG, "layout: pp %d needs a schedule", l->pp);
    const qd_pipeline_kind *kind = qd_pipeline_kind_at(l->schedule);
    int64_t m = qd_plan_micro_batches(l), least = kind->least_micro_batches(l->pp);
    if (m < least)
        return qd_error_set(QD_ECONFIG,
                            "layout: schedule %s with pp %d needs %" PRId64
                            " micro-batches or more; there are %" PRId64,
                            kind->name, l->pp, least, m);
    if (l->chunks > 1 && !kind->interleaves)
        return qd_error_set(QD_ECONFIG, "layout: schedule %s takes one chunk a stage, not %d",
                            kind->name, l->chunks);
    return 0;
}

int qd_planner_predict(qd_planner *planner, const qd_plan_layout *layout, qd_plan *plan) {
    qd_plan_case c;
    int rc;
    if ((rc = check_grid(planner, layout)) || (rc = check_samples(planner, layout)) ||
        (rc = check_schedule(layout)))
        return rc;
    int64_t samples = planner->profile->job->train.batch / layout->slots / layout->micro_batches;
    rc = qd_planner_measure(planner, layout->tp, layout->recompute, (double)samples, layout->pp,
                            layout->chunks, &c);
    if (rc)
        return rc;
    qd_plan_predict_time(&c, layout, plan);
    qd_plan_predict_memory(&c, layout, plan);
    return 0;
}
