/* Recomputation changes memory and time, never a bit: losses, lengths of gradients and weights of
 * several steps with none, one and all blocks recomputed; the last two in a smaller arena. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/family.h"
#include "runtime/error.h"
#include "runtime/random.h"
#include "worker/engine.h"

#define TAIL                                                                                       \
    "train: {batch: 16, steps: 3, micro_batches: 2}\n"                                             \
    "optimizer: {kind: adamw, learning_rate: 0.01, clip: 1}\n"                                     \
    "slots: {data: 2}\n"

static const struct {
    const char *job;
    int64_t tensor_slots; /* the most to be tried */
} models[] = {
    {"name: gpt\n"
     "model: {family: gpt, layers: 3, heads: 3, width: 24, context: 16, vocabulary: 50}\n"
     "data: {format: text, folder: none, file: none}\n" TAIL,
     3},
    /* What is dropped is drawn again, and must be the same. */
    {"name: gpt-dropout\n"
     "model: {family: gpt, layers: 3, heads: 4, kv_heads: 2, positions: rotary, width: 32, "
     "context: 16, vocabulary: 50, dropout: 0.2}\n"
     "data: {format: text, folder: none, file: none}\n" TAIL,
     2},
    {"name: bert-dropout\n"
     "model: {family: bert, layers: 3, heads: 3, width: 24, context: 16, vocabulary: 50, "
     "classes: 3, dropout: 0.2}\n"
     "data: {format: lines, folder: none, train: a}\n" TAIL,
     1},
    {"name: lstm-dropout\n"
     "model: {family: lstm, layers: 3, width: 24, context: 16, vocabulary: 50, classes: 3, "
     "dropout: 0.2}\n"
     "data: {format: lines, folder: none, train: a}\n" TAIL,
     1},
    {"name: bert\n"
     "model: {family: bert, layers: 3, heads: 3, width: 24, context: 16, vocabulary: 50, "
     "classes: 3}\n"
     "data: {format: lines, folder: none, train: a}\n" TAIL,
     3},
    {"name: lstm\n"
     "model: {family: lstm, layers: 3, width: 24, context: 16, vocabulary: 50, classes: 3}\n"
     "data: {format: lines, folder: none, train: a}\n" TAIL,
     1},
    {"name: resnet18\n"
     "model: {family: resnet, depth: 18, stem: small, width: 8, image: [12, 12, 2], classes: 3}\n"
     "data: {format: npy, folder: none, train_inputs: a, train_targets: b}\n" TAIL,
     1},
    {"name: resnet50\n"
     "model: {family: resnet, depth: 50, width: 8, image: [48, 48, 1], classes: 3}\n"
     "data: {format: npy, folder: none, train_inputs: a, train_targets: b}\n" TAIL,
     1},
};
enum { MODELS = sizeof models / sizeof *models, STEPS = 3 };

/* What a run leaves. */
typedef struct record {
    float losses[STEPS], correct[STEPS];
    double norms[STEPS], evaluated;
    size_t arena_bytes, count;
    float *state; /* weights, statistics, moments; count of them */
} record;

static void fill(const qd_job *job, uint32_t step, void *samples, int32_t *targets) {
    qd_sample_spec spec = qd_family_sample_spec(job);
    for (int64_t i = 0; i < job->train.batch * spec.inputs; i++) {
        float u = qd_random_uniform((qd_random_key){3, 20}, step, (uint64_t)i);
        if (spec.input_dtype == QD_I32) /* 0 pads: some samples end in it */
            ((int32_t *)samples)[i] = i / spec.inputs % 3 == 1 && i % spec.inputs >= spec.inputs / 2
                                          ? 0
                                          : (int32_t)(u * (float)spec.vocabulary);
        else
            ((float *)samples)[i] = 2 * u - 1;
    }
    for (int64_t i = 0; i < job->train.batch * spec.targets; i++)
        targets[i] = (int32_t)(qd_random_uniform((qd_random_key){3, 21}, step, (uint64_t)i) *
                               (float)spec.classes);
}

static void run_step(qd_engine *engine, const qd_job *job, const char *samples,
                     const int32_t *targets, uint32_t step) {
    qd_sample_spec spec = qd_family_sample_spec(job);
    int64_t slot_samples = job->train.batch / job->slots_data;
    qd_engine_begin_step(engine, step);
    for (int64_t slot = 0; slot < job->slots_data; slot++) {
        qd_batch batch = {samples + slot * slot_samples * spec.inputs * 4,
                          targets + slot * slot_samples * spec.targets};
        ck_assert_msg(qd_engine_run_slot(engine, &batch) == 0, "%s", qd_error_message());
    }
}

static void keep_state(qd_engine *engine, record *r) {
    r->state = NULL;
    for (int i = 0; i < qd_engine_state_count(engine); i++) {
        qd_state_tensor tensor;
        qd_engine_state(engine, i, &tensor);
        size_t elements = (size_t)qd_slice_elements(&tensor.slice);
        r->state = realloc(r->state, (r->count + elements) * sizeof(float));
        memcpy(r->state + r->count, tensor.data, elements * sizeof(float));
        r->count += elements;
    }
}

static record train(const qd_job *job) {
    qd_sample_spec spec = qd_family_sample_spec(job);
    record r = {0};
    char *samples = aligned_alloc(64, (size_t)(job->train.batch * spec.inputs * 4 + 63) / 64 * 64);
    int32_t *targets = calloc((size_t)(job->train.batch * spec.targets), sizeof *targets);
    qd_engine *engine = NULL;
    int rc = qd_engine_create(job, 0, (int)job->slots_data, &qd_backend_cpu, 1, &engine);
    ck_assert_msg(rc == 0, "%s", qd_error_message());
    r.arena_bytes = qd_engine_arena_bytes(engine);
    for (uint32_t step = 1; step <= STEPS; step++) {
        fill(job, step, samples, targets);
        run_step(engine, job, samples, targets, step);
        r.losses[step - 1] = qd_engine_total(engine, QD_TOTAL_LOSS);
        ck_assert(isfinite(r.losses[step - 1]));
        r.correct[step - 1] = qd_engine_total(engine, QD_TOTAL_CORRECT);
        ck_assert_msg(qd_engine_update(engine, STEPS) == 0, "%s", qd_error_message());
        r.norms[step - 1] = qd_engine_gradient_norm(engine);
    }
    int64_t correct = 0;
    ck_assert_int_eq(qd_engine_evaluate(engine, &(qd_batch){samples, targets},
                                        qd_job_graph_samples(job), &r.evaluated, &correct),
                     0);
    keep_state(engine, &r);
    qd_engine_destroy(engine);
    free(samples);
    free(targets);
    return r;
}

static void assert_same(const char *name, const record *a, const record *b) {
    ck_assert_msg(memcmp(a->losses, b->losses, sizeof a->losses) == 0, "%s: other losses", name);
    ck_assert_msg(memcmp(a->correct, b->correct, sizeof a->correct) == 0, "%s: other hits", name);
    ck_assert_msg(memcmp(a->norms, b->norms, sizeof a->norms) == 0, "%s: other gradients", name);
    ck_assert_msg(memcmp(&a->evaluated, &b->evaluated, sizeof a->evaluated) == 0,
                  "%s: evaluated otherwise", name);
    ck_assert_uint_eq(a->count, b->count);
    ck_assert_msg(memcmp(a->state, b->state, a->count * sizeof(float)) == 0, "%s: other weights",
                  name);
}

static void check(qd_job job) {
    int64_t blocks = qd_family_blocks(&job);
    job.train.recompute = 0;
    record without = train(&job);
    size_t before = without.arena_bytes;
    const int64_t choices[] = {1, blocks};
    for (int i = 0; i < 2; i++) {
        job.train.recompute = choices[i];
        record with = train(&job);
        assert_same(job.name, &without, &with);
        ck_assert_msg(with.arena_bytes < before,
                      "%s: %zu bytes with %ld blocks recomputed, not "
                      "below %zu",
                      job.name, with.arena_bytes, (long)choices[i], before);
        before = with.arena_bytes;
        free(with.state);
    }
    free(without.state);
}

static void check_model(qd_precision precision) {
    for (int m = 0; m < MODELS; m++) {
        qd_job job;
        int rc = qd_job_parse("job", models[m].job, strlen(models[m].job), &job);
        ck_assert_msg(rc == 0, "%s", qd_error_message());
        job.train.precision = precision;
        for (job.slots_tensor = 1; job.slots_tensor <= models[m].tensor_slots; job.slots_tensor++)
            check(job);
    }
}

START_TEST(every_bit_is_the_same_and_the_arena_smaller) {
    check_model(QD_PRECISION_FP32);
}
END_TEST

START_TEST(and_in_bf16) {
    check_model(QD_PRECISION_BF16);
}
END_TEST

START_TEST(more_blocks_than_there_are_are_refused) {
    qd_job job;
    qd_engine *engine = NULL;
    ck_assert_int_eq(qd_job_parse("job", models[0].job, strlen(models[0].job), &job), 0);
    job.train.recompute = 4;
    ck_assert_int_eq(qd_engine_create(&job, 0, 2, &qd_backend_cpu, 1, &engine), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), "model gpt: train.recompute 4 of 3 block(s)");
    ck_assert_ptr_null(engine);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("recompute");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, every_bit_is_the_same_and_the_arena_smaller);
    tcase_add_test(tc, and_in_bf16);
    tcase_add_test(tc, more_blocks_than_there_are_are_refused);
    Suite *suite = suite_create("worker/recompute");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
