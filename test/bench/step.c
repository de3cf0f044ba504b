/*
 * step MODEL DTYPE THREADS STEPS [TENSOR_SLOTS [RECOMPUTED_BLOCKS]]: the time of a training step
 * (forward, backward, update) of the engine alone, on one rank, with random data. One line of JSON:
 *
 *   step_ms            median over STEPS steps, after two that are not counted
 *   roofline_fraction  t_min / t, t_min = FLOPs of the model / peak + bytes of Adam / triad: read
 *                      weight, gradient and both moments, write all but the gradient
 *   peak_gflops, triad_gbps  measured before the steps (limits.h)
 *   minor_faults       page faults in the counted steps
 *
 * step.py runs it beside PyTorch.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "models/family.h"
#include "runtime/clock.h"
#include "runtime/error.h"
#include "runtime/heap.h"
#include "runtime/isa.h"
#include "runtime/random.h"
#include "runtime/resident.h"
#include "worker/engine.h"
#include "worker/limits.h"

enum { WARM_UP = 2 };

#define TAIL                                                                                       \
    "optimizer: {kind: adam, learning_rate: 1.0e-6}\n"                                             \
    "slots: {data: 1}\n"

/* The shapes of the peers' scripts. */
static const struct {
    const char *name, *job;
} models[] = {
    {"mlp", "name: mlp\n"
            "model: {family: mlp, inputs: 784, hidden: [512, 512], classes: 10}\n"
            "data: {format: idx, folder: none, train_images: a, train_labels: a, test_images: a, "
            "test_labels: a}\n"
            "train: {batch: 128, steps: 1000}\n" TAIL},
    {"cnn", "name: cnn\n"
            "model: {family: cnn, image: [28, 28, 1], filters: [32, 64], hidden: [], classes: 10}\n"
            "data: {format: idx, folder: none, train_images: a, train_labels: a, test_images: a, "
            "test_labels: a}\n"
            "train: {batch: 128, steps: 1000}\n" TAIL},
    {"lstm", "name: lstm\n"
             "model: {family: lstm, layers: 1, width: 128, context: 100, vocabulary: 10000, "
             "classes: 2}\n"
             "data: {format: lines, folder: none, train: a}\n"
             "train: {batch: 64, steps: 1000}\n" TAIL},
    {"smallgpt", "name: smallgpt\n"
                 "model: {family: gpt, layers: 6, heads: 6, width: 384, context: 256, vocabulary: "
                 "256}\n"
                 "data: {format: text, folder: none, file: none}\n"
                 "train: {batch: 8, steps: 1000}\n" TAIL},
    {"gpt2", "name: gpt2\n"
             "model: {family: gpt, layers: 12, heads: 12, width: 768, context: 1024, length: 64, "
             "vocabulary: 50257}\n"
             "data: {format: text, folder: none, file: none}\n"
             "train: {batch: 4, steps: 1000}\n" TAIL},
};
enum { MODELS = sizeof models / sizeof *models };

typedef struct bench {
    qd_job job;
    qd_engine *engine;
    qd_batch batch;
} bench;

static int load_job(const char *name, qd_job *job) {
    for (int i = 0; i < MODELS; i++)
        if (strcmp(models[i].name, name) == 0)
            return qd_job_parse(name, models[i].job, strlen(models[i].job), job);
    return qd_error_set(QD_EUSAGE, "no model %s; there are mlp, cnn, lstm, smallgpt and gpt2",
                        name);
}

/* Random samples and targets. */
static int fill_batch(bench *b) {
    qd_sample_spec spec = qd_family_sample_spec(&b->job);
    size_t inputs = (size_t)(b->job.train.batch * spec.inputs);
    size_t targets = (size_t)(b->job.train.batch * spec.targets);
    float *samples = aligned_alloc(64, (inputs * 4 + 63) / 64 * 64);
    int32_t *labels = calloc(targets, sizeof *labels), *tokens = (int32_t *)(void *)samples;
    if (!samples || !labels)
        return qd_error_set(QD_ENOMEM, "no memory for a batch");
    qd_random_key key = {.seed = 1, .site = 1};
    for (size_t i = 0; i < inputs; i++) {
        float u = qd_random_uniform(key, 0, i);
        if (spec.input_dtype == QD_I32)
            tokens[i] =
                1 + (int32_t)(u * (float)(spec.vocabulary - 1)) % (int32_t)(spec.vocabulary - 1);
        else
            samples[i] = 2 * u - 1;
    }
    for (size_t i = 0; i < targets; i++)
        labels[i] =
            (int32_t)(qd_random_uniform(key, 1, i) * (float)spec.classes) % (int32_t)spec.classes;
    b->batch = (qd_batch){samples, labels};
    return 0;
}

static int run_step(bench *b, int64_t step) {
    qd_engine_begin_step(b->engine, step);
    int rc = qd_engine_run_slot(b->engine, &b->batch);
    return rc ? rc : qd_engine_update(b->engine, 1000);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static long minor_faults(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

static double roofline_s(const qd_graph *graph, double gflops, double gbps) {
    double flops = qd_graph_forward_flops(graph) + qd_graph_backward_flops(graph);
    double bytes = 7.0 * 4.0 * (double)qd_graph_param_count(graph);
    return flops / gflops * 1e-9 + bytes / gbps * 1e-9;
}

static int measure(bench *b, const char *name, int threads, int steps) {
    bool narrow = b->job.train.precision == QD_PRECISION_BF16;
    double wide_gflops = qd_limits_fp32_gflops(threads), gbps = qd_limits_triad_gbps(threads);
    double narrow_gflops = narrow ? qd_limits_bf16_gflops(threads) : 0;
    double gflops = narrow_gflops > wide_gflops ? narrow_gflops : wide_gflops;
    qd_resident_forget_peak(); /* which measuring the limits made */
    double *ms = calloc((size_t)steps, sizeof *ms);
    long faults = 0;
    int rc = ms ? 0 : qd_error_set(QD_ENOMEM, "no memory for %d times", steps);
    for (int s = -WARM_UP; s < steps && !rc; s++) {
        if (s == 0)
            faults = minor_faults();
        int64_t from = qd_clock_now_ns();
        rc = run_step(b, s + WARM_UP + 1);
        if (s >= 0)
            ms[s] = (double)(qd_clock_now_ns() - from) * 1e-6;
    }
    faults = minor_faults() - faults;
    if (!rc) {
        qsort(ms, (size_t)steps, sizeof *ms, by_value);
        double step = ms[steps / 2];
        double least = roofline_s(qd_engine_graph(b->engine), gflops, gbps) * 1e3;
        printf("{\"model\": \"%s\", \"dtype\": \"%s\", \"threads\": %d, \"recompute\": %d, "
               "\"step_ms\": %.4g, "
               "\"roofline_fraction\": %.3f, \"isa\": \"%s\", \"peak_gflops\": %.1f, "
               "\"triad_gbps\": %.1f, \"minor_faults\": %ld, \"arena_bytes\": %zu, "
               "\"peak_memory_bytes\": %" PRId64 "}\n",
               name, narrow ? "bf16" : "fp32", threads, qd_engine_graph(b->engine)->recompute, step,
               least / step, qd_isa_in_use_name(), gflops, gbps, faults,
               qd_engine_arena_bytes(b->engine), qd_resident_peak_bytes());
    }
    free(ms);
    return rc;
}

int main(int argc, char **argv) {
    if (argc < 5 || argc > 7 || (strcmp(argv[2], "fp32") != 0 && strcmp(argv[2], "bf16") != 0) ||
        atoi(argv[3]) < 1 || atoi(argv[4]) < 1) {
        fprintf(stderr,
                "usage: %s MODEL fp32|bf16 THREADS STEPS [TENSOR_SLOTS [RECOMPUTED_BLOCKS]]\n",
                argv[0]);
        return 64;
    }
    bench b = {0};
    int threads = atoi(argv[3]);
    qd_heap_keep();
    int rc = load_job(argv[1], &b.job);
    b.job.train.precision = strcmp(argv[2], "bf16") == 0 ? QD_PRECISION_BF16 : QD_PRECISION_FP32;
    b.job.slots_tensor = argc > 5 ? atoi(argv[5]) : 1;
    b.job.train.recompute = argc > 6 ? atoi(argv[6]) : 0;
    if (!rc)
        rc = qd_engine_create(&b.job, 0, 1, &qd_backend_cpu, threads, &b.engine);
    if (!rc)
        rc = fill_batch(&b);
    if (!rc)
        rc = measure(&b, argv[1], threads, atoi(argv[4]));
    if (rc)
        fprintf(stderr, "%s: %s\n", argv[0], qd_error_message());
    qd_engine_destroy(b.engine);
    free((void *)(uintptr_t)b.batch.samples);
    free((void *)(uintptr_t)b.batch.targets);
    return rc ? 1 : 0;
}
