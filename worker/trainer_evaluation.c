#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/loss_mean.h"
#include "runtime/align.h"
#include "runtime/error.h"
#include "worker/trainer_internal.h"

/*
 * A split is cut into chunks of one micro-batch's samples, dealt to the members in contiguous
 * shares. Each member fills in its chunks of a vector of chunk results and leaves the others zero,
 * so that the sum over members only puts them together, exactly; the results are then added up in
 * chunk order. What comes out does not depend on the grid.
 */
enum { LOSSES, RIGHTS, WEIGHTS, KEPT, PARTS };

struct qd_evaluation {
    float
        *chunks; /* [PARTS * most chunks of a split], 64-byte aligned: of each chunk its losses,
                    right answers, what the targets count in the mean, targets that count at all */
    char *samples;
    size_t sample_bytes;
    int32_t *targets;
};

static int64_t chunks_of(int64_t samples, int64_t chunk_samples) {
    return (samples + chunk_samples - 1) / chunk_samples;
}

static int64_t chunk_count(const qd_trainer *t, qd_split split) {
    return chunks_of(qd_dataset_size(t->dataset, split), t->chunk_samples);
}

/* Most samples of a split that is evaluated. */
static int64_t most_samples(const qd_dataset *dataset) {
    int64_t validation = qd_dataset_size(dataset, QD_SPLIT_VALIDATION);
    int64_t test = qd_dataset_size(dataset, QD_SPLIT_TEST);
    return validation > test ? validation : test;
}

/* Of the chunk results. */
static size_t results_bytes(int64_t samples, int64_t chunk_samples) {
    int64_t chunks = chunks_of(samples, chunk_samples);
    return qd_align_bytes(PARTS * (size_t)(chunks > 0 ? chunks : 1) * sizeof(float));
}

static size_t sample_bytes(const qd_sample_spec *spec) {
    return (size_t)spec->inputs * qd_dtype_bytes(spec->input_dtype);
}

static size_t targets_bytes(const qd_sample_spec *spec, int64_t chunk_samples) {
    return (size_t)(chunk_samples * spec->targets) * sizeof(int32_t);
}

size_t qd_evaluation_bytes(const qd_job *job, const qd_sample_spec *spec,
                           const qd_dataset *dataset) {
    int64_t samples = qd_job_graph_samples(job);
    return results_bytes(dataset ? most_samples(dataset) : 0, samples) +
           qd_align_bytes((size_t)samples * sample_bytes(spec)) + targets_bytes(spec, samples);
}

int qd_evaluation_create(qd_trainer *t, struct qd_evaluation **out) {
    struct qd_evaluation *e = calloc(1, sizeof *e);
    if (!e)
        return qd_error_set(QD_ENOMEM, "no memory for the evaluation");
    const qd_sample_spec *spec = qd_dataset_sample_spec(t->dataset);
    size_t samples = (size_t)t->chunk_samples;
    e->sample_bytes = sample_bytes(spec);
    e->chunks =
        aligned_alloc(QD_ALIGN_BYTES, results_bytes(most_samples(t->dataset), t->chunk_samples));
    e->samples = aligned_alloc(QD_ALIGN_BYTES, qd_align_bytes(samples * e->sample_bytes));
    e->targets = calloc(1, targets_bytes(spec, t->chunk_samples));
    if (!e->chunks || !e->samples || !e->targets) {
        qd_evaluation_destroy(e);
        return qd_error_set(QD_ENOMEM, "no memory for the evaluation");
    }
    memset(e->samples, 0, samples * e->sample_bytes);
    *out = e;
    return 0;
}

void qd_evaluation_destroy(struct qd_evaluation *e) {
    if (!e)
        return;
    free(e->chunks);
    free(e->samples);
    free(e->targets);
    free(e);
}

/* Puts its results into results[PARTS][chunks]. */
static int run_chunk(qd_trainer *t, qd_split split, int64_t chunk, int64_t chunks, float *results) {
    struct qd_evaluation *e = t->evaluation;
    int64_t first = chunk * t->chunk_samples;
    int64_t left = qd_dataset_size(t->dataset, split) - first;
    int64_t valid = left < t->chunk_samples ? left : t->chunk_samples;
    int64_t targets = qd_dataset_sample_spec(t->dataset)->targets;
    for (int64_t i = 0; i < valid; i++)
        qd_dataset_get(t->dataset, split, first + i, e->samples + (size_t)i * e->sample_bytes,
                       e->targets + i * targets);
    qd_batch batch = {.samples = e->samples, .targets = e->targets};
    double loss = 0;
    int64_t correct = 0;
    int rc = qd_stage_evaluate(t->stage, &batch, valid, &loss, &correct);
    if (rc)
        return rc;
    if (t->place.p < t->grid.pp - 1)
        return 0; /* the last stage tells */
    qd_loss_count count = qd_loss_count_targets(qd_stage_whole(t->stage), e->targets, valid);
    results[LOSSES * chunks + chunk] = (float)loss;
    results[RIGHTS * chunks + chunk] = (float)correct;
    results[WEIGHTS * chunks + chunk] = (float)count.weight;
    results[KEPT * chunks + chunk] = (float)count.kept;
    return 0;
}

/* Where members gather parameters for each chunk, one that has none takes part all the same. */
static int attend_chunk(qd_trainer *t) {
    struct qd_evaluation *e = t->evaluation;
    qd_batch batch = {.samples = e->samples, .targets = e->targets};
    double loss = 0;
    int64_t correct = 0;
    return qd_stage_evaluate(t->stage, &batch, 0, &loss, &correct);
}

/* This member's chunks: those that hold one copy of the model run each of them together. */
static int run_chunks(qd_trainer *t, qd_split split, int64_t chunks, float *results) {
    int64_t d = t->place.d, members = t->grid.dp, c = d * chunks / members;
    int64_t end = (d + 1) * chunks / members;
    int64_t rounds = t->job->layout_zero >= 3 ? (chunks + members - 1) / members : end - c;
    int rc = 0;
    for (int64_t round = 0; round < rounds && !rc; round++, c++) {
        rc = c < end ? run_chunk(t, split, c, chunks, results) : attend_chunk(t);
        if (!rc && t->hooks->poll(t->hooks->context))
            rc = qd_error_set(QD_ECANCELLED, "called off while evaluating");
    }
    return rc;
}

static void remember(void *context, int64_t step, double loss) {
    qd_trainer *t = context;
    if (!qd_patience_counts(t->job, step) || step == t->counted_step)
        return;
    qd_patience_note(&t->patience, loss);
    qd_plateau_note(&t->plateau, &t->job->schedule, step, loss);
    t->counted_step = step;
}

static void follow_plateau(qd_trainer *t) {
    qd_stage_set_rate_factor(t->stage, qd_plateau_factor(&t->plateau, &t->job->schedule));
}

static int check_validation(const qd_trainer *t) {
    bool stops = t->job->train.stop_after > 0;
    if (qd_dataset_size(t->dataset, QD_SPLIT_VALIDATION) > 0)
        return 0;
    return qd_error_set(QD_ECONFIG,
                        "%s: there are no validation samples; set some apart in data, or %s",
                        stops ? "train.stop_after" : "schedule.kind plateau",
                        stops ? "remove stop_after" : "choose another kind");
}

/* Whether what is still to come depends on the evaluations so far. */
static bool goes_by_evaluations(const qd_job *job) {
    return job->train.stop_after > 0 || job->schedule.kind == QD_SCHEDULE_PLATEAU;
}

/* What the first member knows, all know. */
static int share_evaluations(qd_trainer *t, int read_rc) {
    bool leads = qd_trainer_leads(t);
    /* All but the first one's are zero, so the sums are its values, exactly. */
    float sums[] = {read_rc ? 1 : 0,
                    leads ? t->patience.best : 0,
                    leads ? (float)t->patience.since : 0,
                    leads ? t->plateau.best : 0,
                    leads ? (float)t->plateau.since : 0,
                    leads ? (float)t->plateau.falls : 0,
                    leads && t->counted_step == t->step ? 1 : 0};
    int rc = qd_trainer_sum(t, sums, sizeof sums / sizeof *sums);
    if (read_rc || rc)
        return read_rc ? read_rc : rc;
    if (sums[0] != 0)
        return qd_error_set(QD_EIO, "the first member could not read the run's evaluations");
    t->patience = (qd_patience){.best = sums[1], .since = (int64_t)sums[2]};
    t->plateau = (qd_plateau){sums[3], (int64_t)sums[4], (int64_t)sums[5]};
    t->counted_step = sums[6] != 0 ? t->step : -1;
    return 0;
}

int qd_trainer_remember_evaluations(qd_trainer *t) {
    qd_patience_begin(&t->patience);
    qd_plateau_begin(&t->plateau);
    t->validated_step = t->counted_step = -1;
    if (!goes_by_evaluations(t->job))
        return 0;
    int rc = check_validation(t);
    if (!rc)
        rc = share_evaluations(
            t, qd_trainer_leads(t) ? qd_steps_log_validations(t->steps_log, remember, t) : 0);
    if (rc)
        return rc;
    follow_plateau(t);
    /* An attempt may have ended between its last checkpoint and the evaluation behind it. */
    bool missing = qd_patience_counts(t->job, t->step) && t->counted_step != t->step;
    return missing && t->step < t->total_steps ? qd_trainer_evaluate(t, QD_SPLIT_VALIDATION) : 0;
}

static void note_validation(qd_trainer *t, double loss) {
    remember(t, t->step, loss);
    follow_plateau(t);
    t->validated_step = t->step;
}

int qd_trainer_evaluate(qd_trainer *t, qd_split split) {
    int64_t samples = qd_dataset_size(t->dataset, split);
    int64_t chunks = chunk_count(t, split);
    if (samples == 0)
        return 0;
    float *results = t->evaluation->chunks;
    memset(results, 0, PARTS * (size_t)chunks * sizeof *results);
    int members = t->grid.dp;
    int rc = run_chunks(t, split, chunks, results);
    if (rc)
        return rc;
    qd_span_kind before = qd_span_enter(&t->spans, QD_SPAN_COMMUNICATION);
    qd_slot_ranges one_each = {.leaves = members, .starts = t->one_each, .exact = true};
    rc = qd_allreduce_ordered(t->data_group, &one_each, &results, 1, results, PARTS * chunks);
    one_each.leaves = t->grid.pp;
    if (!rc && t->grid.pp > 1) /* the last stage has the results, the others zeros */
        rc = qd_allreduce_ordered(t->outputs, &one_each, &results, 1, results, PARTS * chunks);
    qd_span_enter(&t->spans, before);
    if (rc)
        return rc;
    double sums[PARTS] = {0};
    for (int part = 0; part < PARTS; part++)
        for (int64_t c = 0; c < chunks; c++)
            sums[part] += (double)results[part * chunks + c];
    double loss = sums[WEIGHTS] > 0 ? sums[LOSSES] / sums[WEIGHTS] : 0;
    bool tells = qd_graph_classifies(qd_stage_whole(t->stage)) && sums[KEPT] > 0;
    double accuracy = tells ? sums[RIGHTS] / sums[KEPT] : (double)NAN;
    if (split == QD_SPLIT_VALIDATION)
        note_validation(t, loss);
    if (!qd_trainer_leads(t))
        return 0;
    t->hooks->evaluated(t->hooks->context, t->step, split, loss, accuracy, samples);
    rc = qd_steps_log_evaluation(t->steps_log, t->step, split, loss, accuracy, samples);
    if (goes_by_evaluations(t->job)) /* who goes on from here must find it on record */
        return rc;
    qd_trainer_heed_log_failure(t, rc);
    return 0;
}
