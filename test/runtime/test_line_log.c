/* A log of lines: whole ones only, also where the disk is full. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "runtime/line_log.h"
#include "test/worker/temp_folder.h"

static qd_line_log *open_log(void) {
    char *path = temp_path("log.jsonl");
    qd_line_log *log;
    ck_assert_msg(qd_line_log_open(path, &log) == 0, "%s", qd_error_message());
    ck_assert_str_eq(qd_line_log_path(log), path);
    free(path);
    return log;
}

static int add(qd_line_log *log, const char *line) {
    return qd_line_log_add(log, line, strlen(line));
}

static void assert_file_is(const char *expected) {
    char *path = temp_path("log.jsonl"), *text;
    size_t length;
    ck_assert_int_eq(qd_file_read(path, 1 << 20, &text, &length), 0);
    ck_assert_str_eq(text, expected);
    free(text);
    free(path);
}

static void remove_log(void) {
    char *path = temp_path("log.jsonl");
    remove(path);
    free(path);
}

START_TEST(lines_are_added_behind_those_that_stand_there) {
    for (int i = 0; i < 2; i++) {
        qd_line_log *log = open_log();
        ck_assert_int_eq(add(log, "{\"a\":1}"), 0);
        ck_assert_int_eq(qd_line_log_close(log), 0);
    }
    assert_file_is("{\"a\":1}\n{\"a\":1}\n");
}
END_TEST

static void limit_file_size(rlim_t bytes) {
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(a_line_that_got_through_in_part_is_taken_back_and_tried_again) {
    qd_line_log *log = open_log();
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(add(log, "first"), 0);
    ck_assert_int_eq(qd_line_log_flush(log), 0);
    limit_file_size(9);
    ck_assert_int_eq(add(log, "second"), 0);
    assert_fails(qd_line_log_flush(log), QD_EIO, "%s/log.jsonl: File too large", temp_folder);
    assert_file_is("first\n");
    limit_file_size(RLIM_INFINITY);
    ck_assert_int_eq(add(log, "third"), 0);
    ck_assert_int_eq(qd_line_log_close(log), 0);
    assert_file_is("first\nsecond\nthird\n");
}
END_TEST

START_TEST(a_line_beyond_the_buffer_is_refused_and_the_others_stay) {
    enum { TOO_LONG = 1 << 16 };
    char *line = malloc(TOO_LONG + 1);
    memset(line, 'x', TOO_LONG);
    line[TOO_LONG] = '\0';
    qd_line_log *log = open_log();
    ck_assert_int_eq(add(log, "before"), 0);
    assert_fails(add(log, line), QD_EIO, "%s/log.jsonl: a line of 65536 bytes is too long",
                 temp_folder);
    line[TOO_LONG - 1] = '\0'; /* with its end it fills the buffer */
    ck_assert_int_eq(add(log, line), 0);
    ck_assert_int_eq(add(log, "behind"), 0);
    ck_assert_int_eq(qd_line_log_close(log), 0);
    char *expected = malloc(TOO_LONG + 32);
    sprintf(expected, "before\n%s\nbehind\n", line);
    assert_file_is(expected);
    free(expected);
    free(line);
}
END_TEST

START_TEST(a_file_that_cannot_be_opened_is_named) {
    qd_line_log *log;
    assert_fails(qd_line_log_open("/nowhere/log.jsonl", &log), QD_EIO,
                 "/nowhere/log.jsonl: No such file or directory");
    ck_assert_int_eq(qd_line_log_close(NULL), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("line_log");
    TCase *tc = tcase_create("line_log");
    tcase_add_unchecked_fixture(tc, temp_folder_make, temp_folder_remove);
    tcase_add_checked_fixture(tc, NULL, remove_log);
    tcase_add_test(tc, lines_are_added_behind_those_that_stand_there);
    tcase_add_test(tc, a_line_that_got_through_in_part_is_taken_back_and_tried_again);
    tcase_add_test(tc, a_line_beyond_the_buffer_is_refused_and_the_others_stay);
    tcase_add_test(tc, a_file_that_cannot_be_opened_is_named);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
