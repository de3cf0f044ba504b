/*
 * The engine on a device whose memory the host cannot touch, and whose results reach the host only
 * by wait: what it must be like to run on a GPU. Played by the CPU backend with its memory closed
 * outside of its calls; every bit must be as without the wall.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "test/worker/small_job.h"
#include "worker/engine.h"

enum { STEPS = 2 };

/* ---- the device ---- */

/* What wait will hand to the host. */
typedef struct result {
    struct result *next;
    void *to;
    size_t bytes;
    char value[];
} result;

static struct {
    void *memory;
    size_t bytes;
    result *results;
} device;

static void set_wall(int protection) {
    if (device.memory)
        ck_assert_int_eq(mprotect(device.memory, device.bytes, protection), 0);
}

static void open_wall(void) {
    set_wall(PROT_READ | PROT_WRITE);
}

static int close_wall(int rc) {
    set_wall(PROT_NONE);
    return rc;
}

static void hand_over_later(void *to, const void *value, size_t bytes) {
    result *r = malloc(sizeof *r + bytes);
    *r = (result){.next = device.results, .to = to, .bytes = bytes};
    memcpy(r->value, value, bytes);
    memset(to, 0xff, bytes); /* a NaN until then */
    device.results = r;
}

static int wait_for_all(qd_backend_context *context) {
    while (device.results) {
        result *r = device.results;
        device.results = r->next;
        memcpy(r->to, r->value, r->bytes);
        free(r);
    }
    return qd_backend_cpu.wait(context);
}

static int take_memory(qd_backend_context *context, size_t bytes, void **memory) {
    int rc = qd_backend_cpu.alloc(context, bytes, memory);
    device.memory = rc ? NULL : *memory;
    device.bytes = bytes;
    return close_wall(rc);
}

static void release_memory(qd_backend_context *context, void *memory, size_t bytes) {
    qd_backend_cpu.release(context, memory, bytes);
    device.memory = NULL;
}

static int write_in(qd_backend_context *context, void *to, const void *from, size_t bytes) {
    open_wall();
    return close_wall(qd_backend_cpu.write(context, to, from, bytes));
}

static int read_out(qd_backend_context *context, void *to, const void *from, size_t bytes) {
    void *copy = malloc(bytes);
    open_wall();
    int rc = close_wall(qd_backend_cpu.read(context, copy, from, bytes));
    hand_over_later(to, copy, bytes);
    free(copy);
    return rc;
}

static int clear(qd_backend_context *context, void *to, size_t bytes) {
    open_wall();
    return close_wall(qd_backend_cpu.clear(context, to, bytes));
}

static int fill(qd_backend_context *context, float *to, float value, int64_t count) {
    open_wall();
    return close_wall(qd_backend_cpu.fill(context, to, value, count));
}

static int blend(qd_backend_context *context, float *into, const float *from, float weight,
                 int64_t count) {
    open_wall();
    return close_wall(qd_backend_cpu.blend(context, into, from, weight, count));
}

static int forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                   const qd_operands *operands) {
    open_wall();
    return close_wall(qd_backend_cpu.forward(context, graph, node, operands));
}

static int backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                    const qd_operands *operands) {
    open_wall();
    return close_wall(qd_backend_cpu.backward(context, graph, node, operands));
}

static int narrow(qd_backend_context *context, void *to, const float *from, int64_t count) {
    open_wall();
    return close_wall(qd_backend_cpu.narrow(context, to, from, count));
}

static int add(qd_backend_context *context, float *into, const float *from, int64_t count) {
    open_wall();
    return close_wall(qd_backend_cpu.add(context, into, from, count));
}

static int score(qd_backend_context *context, const float *losses, const float *logits,
                 const int32_t *targets, const int32_t *ignored, int64_t n, int64_t classes,
                 double *loss_sum, int64_t *correct) {
    double sum;
    int64_t right;
    open_wall();
    int rc = close_wall(
        qd_backend_cpu.score(context, losses, logits, targets, ignored, n, classes, &sum, &right));
    hand_over_later(loss_sum, &sum, sizeof sum);
    hand_over_later(correct, &right, sizeof right);
    return rc;
}

static int norm_squared(qd_backend_context *context, const float *x, int64_t rows, int64_t columns,
                        int64_t stride, double *sum) {
    double squares;
    open_wall();
    int rc = close_wall(qd_backend_cpu.norm_squared(context, x, rows, columns, stride, &squares));
    hand_over_later(sum, &squares, sizeof squares);
    return rc;
}

static int measure(qd_backend_context *context, const qd_optimizer_spec *spec,
                   const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *tensor,
                   double *weights, double *moves) {
    double squares[2];
    open_wall();
    int rc = close_wall(
        qd_backend_cpu.measure(context, spec, scalars, tensor, &squares[0], &squares[1]));
    hand_over_later(weights, &squares[0], sizeof squares[0]);
    hand_over_later(moves, &squares[1], sizeof squares[1]);
    return rc;
}

static int update(qd_backend_context *context, const qd_optimizer_spec *spec,
                  const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *tensor) {
    open_wall();
    return close_wall(qd_backend_cpu.update(context, spec, scalars, tensor));
}

static qd_backend walled_device(void) {
    qd_backend device_backend = qd_backend_cpu;
    device_backend.alloc = take_memory;
    device_backend.release = release_memory;
    device_backend.write = write_in;
    device_backend.read = read_out;
    device_backend.clear = clear;
    device_backend.fill = fill;
    device_backend.blend = blend;
    device_backend.forward = forward;
    device_backend.backward = backward;
    device_backend.narrow = narrow;
    device_backend.add = add;
    device_backend.score = score;
    device_backend.norm_squared = norm_squared;
    device_backend.measure = measure;
    device_backend.update = update;
    device_backend.wait = wait_for_all;
    return device_backend;
}

/* ---- what it computes ---- */

typedef struct outcome {
    float loss[STEPS], correct[STEPS];
    double norm[STEPS];
    double evaluated;
    int64_t right;
    float logits[SMALL_BATCH];
} outcome;

static void train(qd_engine *engine, const qd_batch *batch, int64_t samples, outcome *o) {
    for (int step = 0; step < STEPS; step++) {
        qd_engine_begin_step(engine, step + 1);
        ck_assert_msg(qd_engine_run_slot(engine, batch) == 0, "%s", qd_error_message());
        o->loss[step] = qd_engine_total(engine, QD_TOTAL_LOSS);
        o->correct[step] = qd_engine_total(engine, QD_TOTAL_CORRECT);
        ck_assert_msg(qd_engine_update(engine, 1000) == 0, "%s", qd_error_message());
        o->norm[step] = qd_engine_gradient_norm(engine);
    }
    /* Not a full batch, so that the rest must be cleared. */
    ck_assert_int_eq(qd_engine_evaluate(engine, batch, samples - 1, &o->evaluated, &o->right), 0);
    ck_assert_int_eq(qd_engine_logits(engine, 1, samples - 1, o->logits), 0);
}

static void assert_same_state(qd_engine *a, qd_engine *b) {
    ck_assert_int_eq(qd_engine_state_count(a), qd_engine_state_count(b));
    for (int i = 0; i < qd_engine_state_count(a); i++) {
        qd_state_tensor of_a, of_b;
        qd_engine_state(a, i, &of_a);
        qd_engine_state(b, i, &of_b);
        ck_assert_msg(memcmp(of_a.data, of_b.data,
                             (size_t)qd_slice_elements(&of_a.slice) * sizeof *of_a.data) == 0,
                      "%s", of_a.name);
    }
}

static void check_job(const char *name, qd_precision precision) {
    char file[512];
    snprintf(file, sizeof file, QD_SOURCE_DIR "/conf/jobs/%s.yaml", name);
    qd_job job = small_job(file, precision);
    qd_batch batch = small_batch(&job);
    qd_backend backend = walled_device();
    qd_engine *open = NULL, *walled = NULL;
    outcome expected, got;
    memset(&expected, 0, sizeof expected);
    memset(&got, 0, sizeof got);
    ck_assert_msg(qd_engine_create(&job, 0, 1, &qd_backend_cpu, 1, &open) == 0, "%s",
                  qd_error_message());
    ck_assert_msg(qd_engine_create(&job, 0, 1, &backend, 1, &walled) == 0, "%s",
                  qd_error_message());
    train(open, &batch, job.train.batch, &expected);
    train(walled, &batch, job.train.batch, &got);
    ck_assert_ptr_null(device.results); /* all have been waited for */
    ck_assert_msg(isfinite(got.loss[STEPS - 1]), "%s", name);
    ck_assert_msg(memcmp(&expected, &got, sizeof got) == 0, "%s", name);
    open_wall();
    assert_same_state(open, walled);
    close_wall(0);
    qd_engine_destroy(walled);
    qd_engine_destroy(open);
    free_small_batch(&batch);
}

static const char *const jobs[] = {"diabetes-linear",  "fashion-mlp",    "fashion-cnn",
                                   "fashion-resnet18", "languages-lstm", "shakespeare-gpt"};

START_TEST(the_engine_needs_no_host_pointer_into_the_device) {
    check_job(jobs[_i], QD_PRECISION_FP32);
    check_job(jobs[_i], QD_PRECISION_BF16);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("device");
    tcase_set_timeout(tc, 280);
    tcase_add_loop_test(tc, the_engine_needs_no_host_pointer_into_the_device, 0,
                        sizeof jobs / sizeof jobs[0]);
    Suite *suite = suite_create("worker/device");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
