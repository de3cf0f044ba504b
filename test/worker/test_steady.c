/* A step like any other: of every job file that we ship, in both precisions, nothing is allocated
 * and no page is faulted in after the second step. */
#include <check.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "runtime/error.h"
#include "runtime/heap.h"
#include "test/worker/count_allocations.h"
#include "test/worker/small_job.h"
#include "worker/engine.h"

/* A sanitizer's allocator never gives the same memory out twice in a row. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool pages_can_be_counted = false;
#else
static const bool pages_can_be_counted = true;
#endif

enum { WARM_UP = 2, STEPS = 4 };

typedef enum { AS_SHIPPED, WITH_EXTRAS, RECOMPUTED } variant;

/* What none of the files asks for; families take what they know of it. */
static void add_extras(qd_model_spec *model) {
    model->dropout = 0.1;
    model->label_smoothing = 0.1;
    model->ignored_index = (qd_optional_int){.value = 0, .given = true};
    model->positions = QD_POSITIONS_ROTARY;
    model->class_weight_count = (int)model->classes;
    for (int i = 0; i < model->class_weight_count; i++)
        model->class_weights[i] = 1 + i;
}

static int run_step(qd_engine *engine, const qd_batch *batch, int64_t step) {
    qd_engine_begin_step(engine, step);
    int rc = qd_engine_run_slot(engine, batch);
    return rc ? rc : qd_engine_update(engine, 1000);
}

static long faults(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

/* The system may move pages about at any time, so one quiet step of several is enough. */
static void check_steady(const char *file, qd_precision precision, variant kind) {
    qd_job job = small_job(file, precision);
    if (kind == WITH_EXTRAS)
        add_extras(&job.model);
    job.train.recompute = kind == RECOMPUTED ? qd_family_blocks(&job) : 0;
    if (kind == RECOMPUTED && job.train.recompute == 0)
        return;
    qd_batch batch = small_batch(&job);
    qd_engine *engine = NULL;
    int rc = qd_engine_create(&job, 0, 1, &qd_backend_cpu, 1, &engine);
    ck_assert_msg(rc == 0, "%s: %s", file, qd_error_message());
    for (int step = 1; step <= WARM_UP && !rc; step++)
        rc = run_step(engine, &batch, step);
    ck_assert_msg(rc == 0, "%s: %s", file, qd_error_message());
    int before = allocations;
    long fewest = LONG_MAX;
    for (int step = 1; step <= STEPS && !rc; step++) {
        long faults_before = faults();
        rc = run_step(engine, &batch, WARM_UP + step);
        long taken = faults() - faults_before;
        fewest = taken < fewest ? taken : fewest;
    }
    int after = allocations;
    ck_assert_msg(rc == 0, "%s: %s", file, qd_error_message());
    ck_assert_msg(after == before, "%s: %d allocations in %d steps", file, after - before, STEPS);
    ck_assert_msg(!pages_can_be_counted || fewest == 0, "%s: %ld page faults in a step", file,
                  fewest);
    qd_engine_destroy(engine);
    free_small_batch(&batch);
}

static void check_all(variant kind) {
    glob_t files;
    qd_heap_keep();
    ck_assert_int_eq(glob(QD_SOURCE_DIR "/conf/jobs/*.yaml", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        /* The residual networks are slow, and know no extra that cnn does not. */
        if (kind == WITH_EXTRAS && strstr(files.gl_pathv[i], "resnet"))
            continue;
        check_steady(files.gl_pathv[i], QD_PRECISION_FP32, kind);
        if (kind == AS_SHIPPED)
            check_steady(files.gl_pathv[i], QD_PRECISION_BF16, kind);
    }
    globfree(&files);
}

START_TEST(a_step_allocates_nothing_and_faults_no_page) {
    check_all(AS_SHIPPED);
}
END_TEST

START_TEST(nor_with_what_no_shipped_job_asks_for) {
    check_all(WITH_EXTRAS);
}
END_TEST

START_TEST(nor_where_all_blocks_are_recomputed) {
    check_all(RECOMPUTED);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("steady");
    tcase_set_timeout(tc, 280);
    tcase_add_test(tc, a_step_allocates_nothing_and_faults_no_page);
    tcase_add_test(tc, nor_with_what_no_shipped_job_asks_for);
    tcase_add_test(tc, nor_where_all_blocks_are_recomputed);
    Suite *suite = suite_create("worker/steady");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
