/* The history of a run, over interruptions and resumes. */
#include <check.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "test/worker/temp_folder.h"
#include "worker/steps_log.h"

static char *read_log(void) {
    char *path = temp_path("steps.jsonl"), *text;
    size_t length;
    ck_assert_msg(qd_file_read(path, 1 << 24, &text, &length) == 0, "%s", qd_error_message());
    free(path);
    return text;
}

static void assert_log_is(const char *expected) {
    char *text = read_log();
    ck_assert_str_eq(text, expected);
    free(text);
}

static void write_log(const char *text) {
    char *path = temp_path("steps.jsonl");
    temp_write(path, text, strlen(text));
    free(path);
}

static qd_steps_log *open_log(int64_t step) {
    qd_steps_log *log;
    ck_assert_msg(qd_steps_log_open(temp_folder, step, &log) == 0, "%s", qd_error_message());
    return log;
}

static void remove_log(void) {
    char *path = temp_path("steps.jsonl");
    remove(path);
    free(path);
}

START_TEST(a_step_is_a_line_with_its_loss_in_decimal_and_exact) {
    qd_steps_log *log = open_log(0);
    ck_assert_int_eq(qd_steps_log_step(log, 1, 3.0f, 0.5), 0);
    ck_assert_int_eq(qd_steps_log_step(log, 2, 0.1f, 0.5), 0);
    ck_assert_int_eq(qd_steps_log_step(log, 3, NAN, INFINITY), 0);
    ck_assert_int_eq(qd_steps_log_close(log), 0);
    assert_log_is("{\"step\":1,\"loss\":3,\"grad_norm\":0.5,\"bits\":\"0x1.8p+1\"}\n"
                  "{\"step\":2,\"loss\":0.100000001,\"grad_norm\":0.5,\"bits\":\"0x1.99999ap-4\"}\n"
                  "{\"step\":3,\"loss\":null,\"grad_norm\":null,\"bits\":\"nan\"}\n");
}
END_TEST

START_TEST(an_evaluation_is_a_line_with_its_split) {
    qd_steps_log *log = open_log(0);
    ck_assert_int_eq(qd_steps_log_evaluation(log, 430, QD_SPLIT_TEST, 0.5, 0.875, 10000), 0);
    ck_assert_int_eq(qd_steps_log_evaluation(log, 431, QD_SPLIT_VALIDATION, 0.25, 1, 5000), 0);
    ck_assert_int_eq(qd_steps_log_close(log), 0);
    assert_log_is("{\"step\":430,\"split\":\"test\",\"loss\":0.5,\"accuracy\":0.875,"
                  "\"samples\":10000}\n"
                  "{\"step\":431,\"split\":\"validation\",\"loss\":0.25,\"accuracy\":1,"
                  "\"samples\":5000}\n");
}
END_TEST

START_TEST(resuming_keeps_exactly_the_lines_up_to_its_step) {
    qd_steps_log *log = open_log(0);
    for (int step = 1; step <= 10; step++) {
        ck_assert_int_eq(qd_steps_log_step(log, step, (float)step, 0.5), 0);
        if (step % 3 == 0)
            ck_assert_int_eq(qd_steps_log_evaluation(log, step, QD_SPLIT_VALIDATION, 1, 0.5, 8), 0);
    }
    ck_assert_int_eq(qd_steps_log_close(log), 0);
    log = open_log(3);
    ck_assert_int_eq(qd_steps_log_step(log, 4, 40, 0.5), 0);
    ck_assert_int_eq(qd_steps_log_close(log), 0);
    assert_log_is("{\"step\":1,\"loss\":1,\"grad_norm\":0.5,\"bits\":\"0x1p+0\"}\n"
                  "{\"step\":2,\"loss\":2,\"grad_norm\":0.5,\"bits\":\"0x1p+1\"}\n"
                  "{\"step\":3,\"loss\":3,\"grad_norm\":0.5,\"bits\":\"0x1.8p+1\"}\n"
                  "{\"step\":3,\"split\":\"validation\",\"loss\":1,\"accuracy\":0.5,"
                  "\"samples\":8}\n"
                  "{\"step\":4,\"loss\":40,\"grad_norm\":0.5,\"bits\":\"0x1.4p+5\"}\n");
}
END_TEST

START_TEST(a_run_from_the_beginning_keeps_nothing) {
    write_log("{\"step\":1,\"loss\":1,\"grad_norm\":0.5,\"bits\":\"0x1p+0\"}\n");
    ck_assert_int_eq(qd_steps_log_close(open_log(0)), 0);
    assert_log_is("");
}
END_TEST

START_TEST(a_line_torn_anywhere_is_dropped) {
    static const char whole[] = "{\"step\":1,\"loss\":1,\"grad_norm\":0.5,\"bits\":\"0x1p+0\"}\n";
    char torn[2 * sizeof whole];
    for (size_t length = 1; length < sizeof whole - 1; length++) {
        snprintf(torn, sizeof torn, "%s%.*s", whole, (int)length, whole);
        write_log(torn);
        ck_assert_int_eq(qd_steps_log_close(open_log(9)), 0);
        assert_log_is(whole);
    }
}
END_TEST

START_TEST(lines_reach_the_file_by_flush_and_in_time) {
    struct timespec pause = {.tv_sec = 1, .tv_nsec = 100000000};
    qd_steps_log *log = open_log(0);
    ck_assert_int_eq(qd_steps_log_step(log, 1, 1, 0.5), 0);
    assert_log_is("");
    ck_assert_int_eq(qd_steps_log_flush(log), 0);
    assert_log_is("{\"step\":1,\"loss\":1,\"grad_norm\":0.5,\"bits\":\"0x1p+0\"}\n");
    nanosleep(&pause, NULL);
    ck_assert_int_eq(qd_steps_log_step(log, 2, 2, 0.5), 0);
    assert_log_is("{\"step\":1,\"loss\":1,\"grad_norm\":0.5,\"bits\":\"0x1p+0\"}\n"
                  "{\"step\":2,\"loss\":2,\"grad_norm\":0.5,\"bits\":\"0x1p+1\"}\n");
    ck_assert_int_eq(qd_steps_log_close(log), 0);
}
END_TEST

START_TEST(more_lines_than_the_buffer_holds_all_reach_the_file) {
    enum { STEPS = 5000 };
    qd_steps_log *log = open_log(0);
    for (int step = 1; step <= STEPS; step++)
        ck_assert_int_eq(qd_steps_log_step(log, step, 1.0f / (float)step, 0.5), 0);
    ck_assert_int_eq(qd_steps_log_close(log), 0);
    char *text = read_log(), *rest = text;
    for (int step = 1; step <= STEPS; step++) {
        char *line = strsep(&rest, "\n");
        long long number;
        double loss, bits;
        ck_assert_int_eq(sscanf(line,
                                "{\"step\":%lld,\"loss\":%lf,\"grad_norm\":0.5,\"bits\":\"%la\"}",
                                &number, &loss, &bits),
                         3);
        ck_assert_int_eq(number, step);
        ck_assert_float_eq((float)bits, 1.0f / (float)step);
        ck_assert_float_eq((float)loss, 1.0f / (float)step);
    }
    ck_assert_str_eq(rest, "");
    free(text);
}
END_TEST

/* A full disk, played by the limit on a file's size. */
START_TEST(a_write_that_fails_is_told_and_tried_again) {
    qd_steps_log *log = open_log(0);
    struct rlimit limit, tight = {.rlim_cur = 50, .rlim_max = RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    tight.rlim_max = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
    ck_assert_int_eq(qd_steps_log_step(log, 1, 1, 0.5), 0);
    ck_assert_int_eq(qd_steps_log_step(log, 2, 2, 0.5), 0);
    assert_fails(qd_steps_log_flush(log), QD_EIO, "%s/steps.jsonl: File too large", temp_folder);
    assert_log_is(""); /* not half a line */
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(qd_steps_log_close(log), 0);
    assert_log_is("{\"step\":1,\"loss\":1,\"grad_norm\":0.5,\"bits\":\"0x1p+0\"}\n"
                  "{\"step\":2,\"loss\":2,\"grad_norm\":0.5,\"bits\":\"0x1p+1\"}\n");
}
END_TEST

START_TEST(closing_nothing_does_nothing) {
    ck_assert_int_eq(qd_steps_log_close(NULL), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("steps_log");
    TCase *tc = tcase_create("steps_log");
    tcase_add_unchecked_fixture(tc, temp_folder_make, temp_folder_remove);
    tcase_add_checked_fixture(tc, remove_log, NULL);
    tcase_add_test(tc, a_step_is_a_line_with_its_loss_in_decimal_and_exact);
    tcase_add_test(tc, an_evaluation_is_a_line_with_its_split);
    tcase_add_test(tc, resuming_keeps_exactly_the_lines_up_to_its_step);
    tcase_add_test(tc, a_run_from_the_beginning_keeps_nothing);
    tcase_add_test(tc, a_line_torn_anywhere_is_dropped);
    tcase_add_test(tc, lines_reach_the_file_by_flush_and_in_time);
    tcase_add_test(tc, more_lines_than_the_buffer_holds_all_reach_the_file);
    tcase_add_test(tc, a_write_that_fails_is_told_and_tried_again);
    tcase_add_test(tc, closing_nothing_does_nothing);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
