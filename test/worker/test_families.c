/* Twenty steps of each model family against PyTorch's in float64; test/golden/make_families.py
 * wrote the numbers and says how they are laid out. */
#include <check.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/family.h"
#include "models/loss_mean.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "worker/engine.h"

/* Relative, of each step's loss; training carries the rounding of bf16 on from step to step. */
static const double tolerances[] = {[QD_PRECISION_FP32] = 1e-5, [QD_PRECISION_BF16] = 3e-2};

static const char *const families[] = {
    "regression-tiny",   "gpt-tiny",           "gpt-rotary-tiny",   "gpt-smooth-tiny", "cnn-tiny",
    "cnn-weighted-tiny", "resnet18-tiny",      "resnet50-tiny",     "embedding-tiny",  "bert-tiny",
    "lstm-tiny",         "layers-images-tiny", "layers-tokens-tiny"};
enum { FAMILIES = sizeof families / sizeof *families };

typedef struct golden {
    json_t *json;
    char *bytes; /* NAME.bin */
    qd_job job;
    qd_sample_spec spec;
    int64_t steps;
    const char *samples;
    const int32_t *targets;
    const float *weights;
} golden;

static char *read_golden(const char *name, const char *suffix, size_t *length) {
    char path[512], *bytes;
    snprintf(path, sizeof path, QD_SOURCE_DIR "/test/golden/%s%s", name, suffix);
    ck_assert_msg(qd_file_read(path, 1 << 24, &bytes, length) == 0, "%s", qd_error_message());
    return bytes;
}

static golden open_golden(const char *name) {
    golden g = {0};
    size_t length;
    char *text = read_golden(name, ".json", &length);
    g.json = json_loadb(text, length, 0, NULL);
    free(text);
    const char *job = json_string_value(json_object_get(g.json, "job"));
    ck_assert_msg(qd_job_parse(name, job, strlen(job), &g.job) == 0, "%s", qd_error_message());
    g.spec = qd_family_sample_spec(&g.job);
    g.steps = (int64_t)json_array_size(json_object_get(g.json, "losses"));
    g.bytes = read_golden(name, ".bin", &length);
    int64_t samples = g.steps * g.job.train.batch;
    g.samples = g.bytes;
    g.targets = (const int32_t *)(const void *)(g.samples + samples * g.spec.inputs * 4);
    g.weights = (const float *)(const void *)(g.targets + samples * g.spec.targets);
    return g;
}

static void close_golden(golden *g) {
    json_decref(g->json);
    free(g->bytes);
}

/* The state tensor of a parameter of that name and shape. */
static float *find(qd_engine *engine, const char *name, const json_t *shape) {
    char full[3 * QD_MAX_NAME];
    qd_state_tensor tensor;
    snprintf(full, sizeof full, "model/%s", name);
    for (int i = 0; i < qd_engine_graph(engine)->param_count; i++) {
        qd_engine_state(engine, i, &tensor);
        if (strcmp(tensor.name, full) != 0)
            continue;
        ck_assert_int_eq(tensor.slice.whole.dims, (int)json_array_size(shape));
        for (int d = 0; d < tensor.slice.whole.dims; d++)
            ck_assert_int_eq(tensor.slice.whole.dim[d],
                             json_integer_value(json_array_get(shape, (size_t)d)));
        return tensor.data;
    }
    ck_abort_msg("the model has no %s", full);
    return NULL;
}

static void load_weights(const golden *g, qd_engine *engine) {
    const json_t *params = json_object_get(g->json, "params");
    const float *from = g->weights;
    const json_t *param;
    size_t i;
    ck_assert_int_eq((int)json_array_size(params), qd_engine_graph(engine)->param_count);
    json_array_foreach(params, i, param) {
        const json_t *shape = json_object_get(param, "shape");
        float *to = find(engine, json_string_value(json_object_get(param, "name")), shape);
        size_t count = 1;
        for (size_t d = 0; d < json_array_size(shape); d++)
            count *= (size_t)json_integer_value(json_array_get(shape, d));
        memcpy(to, from, count * sizeof *to);
        from += count;
    }
}

static void run_slot(const golden *g, qd_engine *engine, int64_t first) {
    qd_batch batch = {g->samples + first * g->spec.inputs * 4,
                      g->targets + first * g->spec.targets};
    ck_assert_msg(qd_engine_run_slot(engine, &batch) == 0, "%s", qd_error_message());
}

/* Of the first step's batch, after the last step. */
static double evaluate(const golden *g, qd_engine *engine) {
    int64_t samples = qd_job_graph_samples(&g->job), correct = 0;
    double loss = 0, weight = 0;
    const qd_graph *graph = qd_engine_graph(engine);
    for (int64_t first = 0; first < g->job.train.batch; first += samples) {
        qd_batch batch = {g->samples + first * g->spec.inputs * 4,
                          g->targets + first * g->spec.targets};
        int rc = qd_engine_evaluate(engine, &batch, samples, &loss, &correct);
        ck_assert_msg(rc == 0, "%s", qd_error_message());
        weight += qd_loss_count_targets(graph, batch.targets, samples).weight;
    }
    return loss / weight;
}

static void check_family(const char *name, int64_t micro_batches, int64_t tensor_slots,
                         qd_precision precision) {
    golden g = open_golden(name);
    g.job.train.micro_batches = micro_batches;
    g.job.slots_tensor = tensor_slots;
    g.job.train.precision = precision;
    double tolerance = tolerances[precision];
    const json_t *losses = json_object_get(g.json, "losses");
    int64_t slots = g.job.slots_data, slot_samples = g.job.train.batch / slots;
    qd_engine *engine;
    int rc = qd_engine_create(&g.job, 0, (int)slots, &qd_backend_cpu, 1, &engine);
    ck_assert_msg(rc == 0, "%s", qd_error_message());
    load_weights(&g, engine);
    double worst = 0;
    for (int64_t step = 0; step < g.steps; step++) {
        qd_engine_begin_step(engine, step + 1);
        for (int64_t slot = 0; slot < slots; slot++)
            run_slot(&g, engine, step * g.job.train.batch + slot * slot_samples);
        double loss = (double)qd_engine_total(engine, QD_TOTAL_LOSS);
        double expected = json_real_value(json_array_get(losses, (size_t)step));
        worst = fmax(worst, fabs(loss - expected) / expected);
        if (!(fabs(loss - expected) <= tolerance * expected))
            ck_abort_msg("%s: step %ld: loss %.9g, PyTorch's %.9g", name, (long)step + 1, loss,
                         expected);
        ck_assert_int_eq(qd_engine_update(engine, g.steps), 0);
    }
    double evaluated = evaluate(&g, engine);
    double expected = json_real_value(json_object_get(g.json, "evaluation"));
    ck_assert_msg(precision == QD_PRECISION_BF16 ||
                      fabs(evaluated - expected) <= tolerance * expected,
                  "%s: evaluated as %.9g, by PyTorch as %.9g", name, evaluated, expected);
    printf("%s: losses within %.2g of PyTorch's\n", name, worst);
    qd_engine_destroy(engine);
    close_golden(&g);
}

START_TEST(twenty_steps_have_the_losses_of_pytorch) {
    check_family(families[_i], 1, 1, QD_PRECISION_FP32);
}
END_TEST

/* Whatever a slot is cut into. Not where batch norms measure what they are given. */
START_TEST(micro_batches_add_up_to_the_same_steps) {
    check_family("gpt-tiny", 2, 1, QD_PRECISION_FP32);
    check_family("cnn-tiny", 2, 1, QD_PRECISION_FP32);
    check_family("bert-tiny", 2, 1, QD_PRECISION_FP32);
    check_family("lstm-tiny", 4, 1, QD_PRECISION_FP32);
    check_family("layers-tokens-tiny", 2, 1, QD_PRECISION_FP32);
    check_family("cnn-tiny", 4, 1, QD_PRECISION_FP32);
    check_family("cnn-weighted-tiny", 4, 1, QD_PRECISION_FP32);
    check_family("gpt-smooth-tiny", 2, 1, QD_PRECISION_FP32);
    check_family("gpt-rotary-tiny", 2, 1, QD_PRECISION_FP32);
}
END_TEST

/* Three heads (or two groups of them), so that four and five slots leave some without one. */
START_TEST(tensor_slots_compute_the_same_steps) {
    for (int slots = 2; slots <= 5; slots++) {
        check_family("gpt-tiny", 1, slots, QD_PRECISION_FP32);
        check_family("bert-tiny", 1, slots, QD_PRECISION_FP32);
        check_family("gpt-rotary-tiny", 1, slots, QD_PRECISION_FP32);
        check_family("gpt-smooth-tiny", 1, slots, QD_PRECISION_FP32);
        check_family("layers-tokens-tiny", 1, slots, QD_PRECISION_FP32);
    }
}
END_TEST

START_TEST(twenty_steps_in_bf16_stay_near) {
    check_family(families[_i], 1, 1, QD_PRECISION_BF16);
}
END_TEST

enum { SHORT = 5 };

/* The losses of a golden job's first steps with dropout, of which there is no golden file: PyTorch
 * draws other numbers. */
static void drop(const char *name, double rate, int64_t micro_batches, double losses[SHORT]) {
    golden g = open_golden(name);
    qd_engine *engine;
    g.job.model.dropout = rate;
    g.job.train.micro_batches = micro_batches;
    int64_t slots = g.job.slots_data, slot_samples = g.job.train.batch / slots;
    int rc = qd_engine_create(&g.job, 0, (int)slots, &qd_backend_cpu, 1, &engine);
    ck_assert_msg(rc == 0, "%s", qd_error_message());
    for (int64_t step = 0; step < SHORT; step++) {
        qd_engine_begin_step(engine, step + 1);
        for (int64_t slot = 0; slot < slots; slot++)
            run_slot(&g, engine, step * g.job.train.batch + slot * slot_samples);
        losses[step] = (double)qd_engine_total(engine, QD_TOTAL_LOSS);
        ck_assert_int_eq(qd_engine_update(engine, g.steps), 0);
    }
    qd_engine_destroy(engine);
    close_golden(&g);
}

/* What is dropped depends on the sample, not on the micro-batch that it is in. */
START_TEST(dropout_drops_the_same_in_any_number_of_micro_batches) {
    static const char *const names[] = {"regression-tiny", "gpt-tiny",  "cnn-tiny",
                                        "embedding-tiny",  "bert-tiny", "lstm-tiny"};
    double none[SHORT], whole[SHORT], parts[SHORT];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        drop(names[i], 0, 1, none);
        drop(names[i], 0.25, 1, whole);
        drop(names[i], 0.25, 2, parts);
        for (int step = 0; step < SHORT; step++) {
            ck_assert_msg(fabs(parts[step] - whole[step]) <= 1e-5 * whole[step],
                          "%s: step %d: %.9g, whole %.9g", names[i], step + 1, parts[step],
                          whole[step]);
            ck_assert_msg(fabs(none[step] - whole[step]) > 1e-5 * whole[step],
                          "%s: step %d: nothing was dropped", names[i], step + 1);
        }
    }
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("families");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, twenty_steps_have_the_losses_of_pytorch, 0, FAMILIES);
    tcase_add_test(tc, micro_batches_add_up_to_the_same_steps);
    tcase_add_test(tc, tensor_slots_compute_the_same_steps);
    tcase_add_test(tc, dropout_drops_the_same_in_any_number_of_micro_batches);
    tcase_add_loop_test(tc, twenty_steps_in_bf16_stay_near, 0, FAMILIES);
    Suite *suite = suite_create("worker/families");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
