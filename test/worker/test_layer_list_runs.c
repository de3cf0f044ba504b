/* A list of layers that spells out a family trains with the same bits as the family. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "models/family.h"
#include "runtime/error.h"
#include "runtime/random.h"
#include "worker/engine.h"

enum { STEPS = 20 };

#define TRAIN "train: {batch: 12, steps: 20}\noptimizer: {kind: adam, learning_rate: 0.01}\nslots: "
#define IMAGES                                                                                     \
    "data: {format: idx, folder: d, train_images: a, train_labels: a, test_images: a, "            \
    "test_labels: a}\n" TRAIN "{data: 3}\n"
#define TEXTS "data: {format: lines, folder: d, train: a}\n" TRAIN "{data: 3}\n"
#define TABLE "data: {format: csv, folder: d, train: a}\n" TRAIN "{data: 3}\n"

typedef struct pair {
    const char *family, *list;
} pair;

static const pair pairs[] = {
    {"name: mlp\nmodel: {family: mlp, inputs: 49, hidden: [32, 16], activation: gelu, classes: 10}"
     "\n" IMAGES,
     "name: mlp\nmodel:\n  family: layers\n  inputs: 49\n  classes: 10\n  layers:\n"
     "  - {kind: linear, name: layer0, width: 32}\n  - gelu\n"
     "  - {kind: linear, name: layer1, width: 16}\n  - gelu\n"
     "  - {kind: linear, name: layer2, width: 10}\n" IMAGES},
    {"name: cnn\nmodel: {family: cnn, image: [12, 10, 3], filters: [6, 17], hidden: [11], "
     "classes: 5}\n" IMAGES,
     "name: cnn\nmodel:\n  family: layers\n  image: [12, 10, 3]\n  classes: 5\n  layers:\n"
     "  - {kind: convolution, name: conv0, filters: 6, kernel: 3}\n  - relu\n"
     "  - {kind: max_pool, window: 2}\n"
     "  - {kind: convolution, name: conv1, filters: 17, kernel: 3}\n  - {kind: relu, name: top}\n"
     "  - {kind: max_pool, from: top, window: 2}\n  - flatten\n"
     "  - {kind: linear, name: layer0, width: 11}\n  - relu\n"
     "  - {kind: linear, name: layer1, width: 5}\n" IMAGES},
    {"name: regression\nmodel: {family: regression, inputs: 7, hidden: [5], activation: tanh, "
     "outputs: 3, loss: huber, delta: 0.3}\n" TABLE,
     "name: regression\nmodel:\n  family: layers\n  inputs: 7\n  outputs: 3\n  loss: huber\n"
     "  delta: 0.3\n  layers:\n"
     "  - {kind: linear, name: layer0, width: 5}\n  - tanh\n"
     "  - {kind: linear, name: layer1, width: 3}\n" TABLE},
    {"name: lstm\nmodel: {family: lstm, layers: 2, width: 9, vocabulary: 29, context: 11, classes: "
     "5}\n" TEXTS,
     "name: lstm\nmodel:\n  family: layers\n  vocabulary: 29\n  context: 11\n  classes: 5\n"
     "  layers:\n  - {kind: embedding, name: tokens, width: 9}\n"
     "  - {kind: lstm, name: lstm0, width: 9}\n  - {kind: lstm, name: lstm1, width: 9}\n"
     "  - {kind: position_take, position: -1}\n  - {kind: linear, name: head, width: 5}\n" TEXTS},
    {"name: bert\nmodel: {family: bert, layers: 1, heads: 3, width: 24, vocabulary: 29, context: "
     "11, classes: 5}\n" TEXTS,
     "name: bert\nmodel:\n  family: layers\n  vocabulary: 29\n  context: 11\n  classes: 5\n"
     "  layers:\n  - {kind: embedding, name: tokens, width: 24, std: 0.02}\n"
     "  - {kind: position, name: positions}\n"
     "  - {kind: layer_norm, name: norm, epsilon: 1e-12}\n"
     "  - {kind: attention, name: block0, heads: 3}\n  - {kind: add, with: norm}\n"
     "  - {kind: layer_norm, name: block0.norm1, epsilon: 1e-12}\n"
     "  - {kind: linear, name: block0.up, width: 96}\n  - gelu\n"
     "  - {kind: linear, name: block0.down, width: 24}\n  - {kind: add, with: block0.norm1}\n"
     "  - {kind: layer_norm, name: block0.norm2, epsilon: 1e-12}\n"
     "  - {kind: position_take, position: 0}\n  - {kind: linear, name: pooler, width: 24}\n"
     "  - tanh\n  - {kind: linear, name: head, width: 5}\n" TEXTS},
};
enum { PAIRS = sizeof pairs / sizeof *pairs };

static qd_job job_of(const char *text) {
    qd_job job;
    ck_assert_msg(qd_job_parse("a.yaml", text, strlen(text), &job) == 0, "%s", qd_error_message());
    return job;
}

static qd_engine *engine_of(const qd_job *job) {
    qd_engine *engine = NULL;
    int rc = qd_engine_create(job, 0, (int)job->slots_data, &qd_backend_cpu, 1, &engine);
    ck_assert_msg(rc == 0, "%s", qd_error_message());
    return engine;
}

static qd_state_tensor state_of(qd_engine *engine, const char *name) {
    qd_state_tensor tensor;
    for (int i = 0; i < qd_engine_graph(engine)->param_count; i++) {
        qd_engine_state(engine, i, &tensor);
        if (strcmp(tensor.name, name) == 0)
            return tensor;
    }
    ck_abort_msg("the list has no %s", name);
    return tensor;
}

/* Gives the list's parameters the family's values, by their names, and shapes, which must agree. */
static void copy_parameters(qd_engine *from, qd_engine *to) {
    int count = qd_engine_graph(from)->param_count;
    ck_assert_int_eq(count, qd_engine_graph(to)->param_count);
    for (int i = 0; i < count; i++) {
        qd_state_tensor a;
        qd_engine_state(from, i, &a);
        qd_state_tensor b = state_of(to, a.name);
        ck_assert_int_eq(a.slice.whole.dims, b.slice.whole.dims);
        for (int d = 0; d < a.slice.whole.dims; d++)
            ck_assert_int_eq(a.slice.whole.dim[d], b.slice.whole.dim[d]);
        memcpy(b.data, a.data, (size_t)qd_slice_elements(&a.slice) * sizeof(float));
    }
}

static int32_t below(int64_t end, uint32_t site, uint64_t i) {
    uint32_t block[4];
    qd_random_block((qd_random_key){3, site}, 0, i, block);
    return (int32_t)(block[0] % (uint32_t)end);
}

/* Texts of every length: behind it they are padded with 0. */
static void fill_tokens(int32_t *tokens, const qd_sample_spec *spec, int64_t samples, uint64_t at) {
    for (int64_t n = 0; n < samples; n++) {
        int64_t length = 1 + (n + (int64_t)at) % spec->inputs;
        for (int64_t t = 0; t < spec->inputs; t++) {
            uint64_t i = (uint64_t)(n * spec->inputs + t);
            tokens[n * spec->inputs + t] =
                t < length ? 1 + below(spec->vocabulary - 1, 20, at + i) : 0;
        }
    }
}

static void fill_numbers(float *numbers, int64_t count, uint32_t site, uint64_t at) {
    for (int64_t i = 0; i < count; i++)
        numbers[i] = qd_random_normal((qd_random_key){3, site}, 0, at + (uint64_t)i);
}

static void fill(const qd_sample_spec *spec, int64_t samples, uint64_t at, void *inputs,
                 int32_t *targets) {
    if (spec->input_dtype == QD_I32)
        fill_tokens(inputs, spec, samples, at);
    else
        fill_numbers(inputs, samples * spec->inputs, 20, at);
    if (spec->target_dtype == QD_I32)
        for (int64_t i = 0; i < samples * spec->targets; i++)
            targets[i] = below(spec->classes, 21, at + (uint64_t)i);
    else
        fill_numbers((float *)(void *)targets, samples * spec->targets, 21, at);
}

static void step(qd_engine *engine, const qd_job *job, const qd_batch *batch, uint32_t number) {
    qd_engine_begin_step(engine, number);
    for (int64_t slot = 0; slot < job->slots_data; slot++)
        ck_assert_msg(qd_engine_run_slot(engine, batch) == 0, "%s", qd_error_message());
    ck_assert_int_eq(qd_engine_update(engine, STEPS), 0);
}

START_TEST(a_list_that_spells_out_a_family_has_its_bits) {
    qd_job family = job_of(pairs[_i].family), list = job_of(pairs[_i].list);
    qd_sample_spec spec = qd_family_sample_spec(&family), other = qd_family_sample_spec(&list);
    ck_assert_mem_eq(&spec, &other, sizeof spec);
    qd_engine *a = engine_of(&family), *b = engine_of(&list);
    copy_parameters(a, b);
    int64_t samples = qd_job_graph_samples(&family);
    size_t bytes = (size_t)(samples * spec.inputs) * sizeof(float);
    void *inputs = aligned_alloc(64, (bytes + 63) / 64 * 64);
    int32_t *targets = calloc((size_t)(samples * spec.targets), sizeof *targets);
    for (uint32_t number = 1; number <= STEPS; number++) {
        fill(&spec, samples, number, inputs, targets);
        qd_batch batch = {inputs, targets};
        step(a, &family, &batch, number);
        step(b, &list, &batch, number);
        float there = qd_engine_total(a, QD_TOTAL_LOSS), here = qd_engine_total(b, QD_TOTAL_LOSS);
        ck_assert_msg(memcmp(&there, &here, sizeof here) == 0, "%s: step %u: %.9g and %.9g",
                      family.name, number, (double)there, (double)here);
    }
    free(inputs);
    free(targets);
    qd_engine_destroy(a);
    qd_engine_destroy(b);
}
END_TEST

/* Where nothing is copied, too: the names of parameters decide what they start from. */
START_TEST(a_list_of_linear_layers_starts_as_the_mlp_does) {
    qd_job family = job_of(pairs[0].family), list = job_of(pairs[0].list);
    qd_engine *a = engine_of(&family), *b = engine_of(&list);
    for (int i = 0; i < qd_engine_graph(a)->param_count; i++) {
        qd_state_tensor x, y;
        qd_engine_state(a, i, &x);
        qd_engine_state(b, i, &y);
        ck_assert_str_eq(x.name, y.name);
        ck_assert_mem_eq(x.data, y.data, (size_t)qd_slice_elements(&x.slice) * sizeof(float));
    }
    qd_engine_destroy(a);
    qd_engine_destroy(b);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("layer list");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, a_list_that_spells_out_a_family_has_its_bits, 0, PAIRS);
    tcase_add_test(tc, a_list_of_linear_layers_starts_as_the_mlp_does);
    Suite *suite = suite_create("worker/layer_list_runs");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
