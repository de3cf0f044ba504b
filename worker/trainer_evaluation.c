#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/align.h"
#include "runtime/error.h"
#include "worker/trainer_internal.h"

/*
 * A split is cut into chunks of one micro-batch's samples, dealt to the members in contiguous
 * shares. Each member fills in its chunks of a vector of chunk results and leaves the others zero,
 * so that the sum over members only puts them together, exactly; the results are then added up in
 * chunk order. What comes out does not depend on the grid.
 */
struct qd_evaluation {
    float *chunks; /* [2 * most chunks of a split]: losses, then right answers; 64-byte aligned */
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
    return qd_align_bytes(2 * (size_t)(chunks > 0 ? chunks : 1) * sizeof(float));
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

static int run_chunk(qd_trainer *t, qd_split split, int64_t chunk, double *loss, int64_t *correct) {
    struct qd_evaluation *e = t->evaluation;
    int64_t first = chunk * t->chunk_samples;
    int64_t left = qd_dataset_size(t->dataset, split) - first;
    int64_t valid = left < t->chunk_samples ? left : t->chunk_samples;
    int64_t targets = qd_dataset_sample_spec(t->dataset)->targets;
    for (int64_t i = 0; i < valid; i++)
        qd_dataset_get(t->dataset, split, first + i, e->samples + (size_t)i * e->sample_bytes,
                       e->targets + i * targets);
    qd_batch batch = {.samples = e->samples, .targets = e->targets};
    return qd_engine_evaluate(t->engine, &batch, valid, loss, correct);
}

static void remember(void *context, int64_t step, double loss) {
    qd_trainer *t = context;
    if (qd_patience_counts(t->job, step))
        qd_patience_note(&t->patience, loss);
}

int qd_trainer_remember_evaluations(qd_trainer *t) {
    qd_patience_begin(&t->patience);
    t->validated_step = -1;
    if (!t->job->train.stop_after)
        return 0;
    if (qd_dataset_size(t->dataset, QD_SPLIT_VALIDATION) == 0)
        return qd_error_set(QD_ECONFIG,
                            "train.stop_after: there are no validation samples; set some apart in "
                            "data, or remove stop_after");
    int rc = qd_trainer_leads(t) ? qd_steps_log_validations(t->steps_log, remember, t) : 0;
    /* All but the first one's are zero, so the sums are its values, exactly. */
    float sums[3] = {rc ? 1 : 0};
    if (qd_trainer_leads(t)) {
        sums[1] = t->patience.best;
        sums[2] = (float)t->patience.since;
    }
    int sum_rc = qd_trainer_sum(t, sums, 3);
    if (rc || sum_rc)
        return rc ? rc : sum_rc;
    if (sums[0] != 0)
        return qd_error_set(QD_EIO, "the first member could not read the run's evaluations");
    t->patience = (qd_patience){.best = sums[1], .since = (int64_t)sums[2]};
    return 0;
}

static void note_validation(qd_trainer *t, double loss) {
    if (qd_patience_counts(t->job, t->step) && t->validated_step != t->step)
        qd_patience_note(&t->patience, loss);
    t->validated_step = t->step;
}

int qd_trainer_evaluate(qd_trainer *t, qd_split split) {
    int64_t samples = qd_dataset_size(t->dataset, split);
    int64_t chunks = chunk_count(t, split);
    if (samples == 0)
        return 0;
    float *losses = t->evaluation->chunks, *rights = losses + chunks;
    memset(losses, 0, 2 * (size_t)chunks * sizeof *losses);
    int members = t->a->rank_count;
    for (int64_t c = t->index * chunks / members; c < (t->index + 1) * chunks / members; c++) {
        double loss = 0;
        int64_t correct = 0;
        int rc = run_chunk(t, split, c, &loss, &correct);
        if (rc)
            return rc;
        losses[c] = (float)loss;
        rights[c] = (float)correct;
        if (t->hooks->poll(t->hooks->context))
            return qd_error_set(QD_ECANCELLED, "called off while evaluating");
    }
    qd_span_kind before = qd_span_enter(&t->spans, QD_SPAN_COMMUNICATION);
    qd_slot_ranges one_each = {.leaves = members, .starts = t->one_each};
    int rc = qd_allreduce_ordered(t->group, &one_each, &losses, 1, losses, 2 * chunks);
    qd_span_enter(&t->spans, before);
    if (rc)
        return rc;
    double loss = 0, correct = 0;
    for (int64_t c = 0; c < chunks; c++) {
        loss += (double)losses[c];
        correct += (double)rights[c];
    }
    const qd_graph *graph = qd_engine_graph(t->engine);
    double count = (double)samples * (double)qd_graph_losses_per_sample(graph);
    loss /= count;
    double accuracy = qd_graph_classifies(graph) ? correct / count : (double)NAN;
    if (split == QD_SPLIT_VALIDATION)
        note_validation(t, loss);
    if (!qd_trainer_leads(t))
        return 0;
    t->hooks->evaluated(t->hooks->context, t->step, split, loss, accuracy, samples);
    return qd_steps_log_evaluation(t->steps_log, t->step, split, loss, accuracy, samples);
}
