#include <check.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/file.h"
#include "test/models/mlp_job.h"
#include "worker/engine.h"

/* Ten steps of training against PyTorch's in float64; test/golden/make_golden.py wrote the
 * numbers and says how they are laid out. */

enum { MAX_WIDTHS = 8 };
static const double tolerance = 1e-5;

typedef struct golden {
    char *bytes; /* NAME.bin */
    json_t *json;
    int64_t widths[MAX_WIDTHS];
    int width_count;
    int64_t batch, steps, stride;
    int64_t parameters;
    const uint8_t *samples, *targets;
    const float *initial, *final; /* final: of the first run */
} golden;

static int64_t integer(const json_t *object, const char *key) {
    ck_assert_msg(json_is_integer(json_object_get(object, key)), "no integer %s", key);
    return json_integer_value(json_object_get(object, key));
}

static double real(const json_t *object, const char *key) {
    ck_assert_msg(json_is_real(json_object_get(object, key)), "no number %s", key);
    return json_real_value(json_object_get(object, key));
}

static char *read_golden(const char *name, const char *suffix, size_t *length) {
    char path[512], *bytes;
    snprintf(path, sizeof path, QD_SOURCE_DIR "/test/golden/%s%s", name, suffix);
    ck_assert_msg(qd_file_read(path, 1 << 24, &bytes, length) == 0, "%s", qd_error_message());
    return bytes;
}

static int64_t finals(const golden *g) {
    return (g->parameters + g->stride - 1) / g->stride;
}

static golden open_golden(const char *name) {
    golden g = {0};
    size_t length;
    char *text = read_golden(name, ".json", &length);
    g.json = json_loadb(text, length, 0, NULL);
    free(text);
    const json_t *widths = json_object_get(g.json, "widths");
    g.width_count = (int)json_array_size(widths);
    ck_assert_int_le(g.width_count, MAX_WIDTHS);
    for (int i = 0; i < g.width_count; i++) {
        g.widths[i] = json_integer_value(json_array_get(widths, (size_t)i));
        g.parameters += i ? g.widths[i] * (g.widths[i - 1] + 1) : 0;
    }
    g.batch = integer(g.json, "batch");
    g.steps = integer(g.json, "steps");
    g.stride = integer(g.json, "final_stride");
    g.bytes = read_golden(name, ".bin", &length);
    int64_t samples = g.steps * g.batch;
    g.samples = (const uint8_t *)g.bytes;
    g.targets = g.samples + samples * g.widths[0];
    /* Both counts of bytes before it are multiples of 4 here. */
    ck_assert_int_eq(samples * (g.widths[0] + 1) % 4, 0);
    g.initial = (const float *)(const void *)(g.targets + samples);
    g.final = g.initial + g.parameters;
    size_t runs = json_array_size(json_object_get(g.json, "runs"));
    ck_assert_uint_eq(length, (size_t)(samples * (g.widths[0] + 1) +
                                       4 * (g.parameters + (int64_t)runs * finals(&g))));
    return g;
}

static void close_golden(golden *g) {
    json_decref(g->json);
    free(g->bytes);
}

static qd_job job_of(const golden *g, const json_t *run, int64_t slots) {
    bool sgd = strcmp(json_string_value(json_object_get(run, "optimizer")), "sgd") == 0;
    qd_job job = mlp_job(g->widths, g->width_count, g->batch, slots,
                         sgd ? QD_OPTIMIZER_SGD : QD_OPTIMIZER_ADAM);
    qd_optimizer_spec *o = &job.optimizer;
    o->learning_rate = real(run, "learning_rate");
    o->momentum = sgd ? real(run, "momentum") : NAN;
    o->beta1 = sgd ? NAN : real(run, "beta1");
    o->beta2 = sgd ? NAN : real(run, "beta2");
    o->epsilon = sgd ? NAN : real(run, "epsilon");
    return job;
}

/* The parameters one after the other, as they stand in the file. */
static void copy_parameters(qd_engine *engine, const float *from, float *to) {
    int64_t done = 0;
    for (int i = 0; i < qd_engine_graph(engine)->param_count; i++) {
        qd_state_tensor tensor;
        qd_engine_state(engine, i, &tensor);
        size_t elements = (size_t)qd_slice_elements(&tensor.slice);
        if (from)
            memcpy(tensor.data, from + done, elements * sizeof *from);
        else
            memcpy(to + done, tensor.data, elements * sizeof *to);
        done += (int64_t)elements;
    }
}

static void run_slot(const golden *g, qd_engine *engine, int64_t first, int64_t count) {
    int64_t features = g->widths[0];
    float *samples = aligned_alloc(64, (size_t)(count * features * 4 + 63) / 64 * 64);
    int32_t *targets = calloc((size_t)count, sizeof *targets);
    for (int64_t i = 0; i < count * features; i++)
        samples[i] = (float)g->samples[first * features + i] / 128 - 1;
    for (int64_t i = 0; i < count; i++)
        targets[i] = g->targets[first + i];
    int rc = qd_engine_run_slot(engine, &(qd_batch){samples, targets});
    ck_assert_msg(rc == 0, "%s", qd_error_message());
    free(samples);
    free(targets);
}

static void check_losses(const golden *g, const json_t *run, qd_engine *engine, int64_t slots) {
    const json_t *losses = json_object_get(run, "losses");
    for (int64_t step = 0; step < g->steps; step++) {
        qd_engine_begin_step(engine, step + 1);
        for (int64_t s = 0; s < slots; s++)
            run_slot(g, engine, step * g->batch + s * g->batch / slots, g->batch / slots);
        double loss = (double)qd_engine_total(engine, QD_TOTAL_LOSS);
        double expected = json_real_value(json_array_get(losses, (size_t)step));
        ck_assert_msg(fabs(loss - expected) <= tolerance * expected,
                      "step %" PRId64 ": loss %.9g, PyTorch's %.9g", step, loss, expected);
        ck_assert_int_eq(qd_engine_update(engine, 1000), 0);
    }
}

static void check_final(const golden *g, qd_engine *engine, const float *expected) {
    float *weights = calloc((size_t)g->parameters, sizeof *weights);
    copy_parameters(engine, NULL, weights);
    for (int64_t i = 0; i < finals(g); i++) {
        double w = (double)weights[i * g->stride], e = (double)expected[i];
        ck_assert_msg(fabs(w - e) <= tolerance * (1 + fabs(e)),
                      "weight %" PRId64 " ends as %.9g, PyTorch's as %.9g", i * g->stride, w, e);
    }
    free(weights);
}

static void check_runs(const char *name, int64_t slots) {
    golden g = open_golden(name);
    json_t *run;
    size_t r;
    json_array_foreach(json_object_get(g.json, "runs"), r, run) {
        qd_job job = job_of(&g, run, slots);
        qd_engine *engine;
        int rc = qd_engine_create(&job, 0, (int)slots, &qd_backend_cpu, 1, &engine);
        ck_assert_msg(rc == 0, "%s", qd_error_message());
        copy_parameters(engine, g.initial, NULL);
        check_losses(&g, run, engine, slots);
        check_final(&g, engine, g.final + (int64_t)r * finals(&g));
        qd_engine_destroy(engine);
    }
    close_golden(&g);
}

START_TEST(three_layers_train_as_in_pytorch) {
    check_runs("mlp-49-32-16-10", 1);
}
END_TEST

START_TEST(three_layers_train_as_in_pytorch_when_cut_into_slots) {
    check_runs("mlp-49-32-16-10", 8);
}
END_TEST

START_TEST(two_wide_layers_train_as_in_pytorch) {
    check_runs("mlp-784-128-10", 1);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("golden");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, three_layers_train_as_in_pytorch);
    tcase_add_test(tc, three_layers_train_as_in_pytorch_when_cut_into_slots);
    tcase_add_test(tc, two_wide_layers_train_as_in_pytorch);
    Suite *suite = suite_create("worker/golden");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
