/* Files that are either whole or not there. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/error.h"
#include "runtime/file.h"

static char folder[] = "/tmp/quadrille-test-file-XXXXXX";
static char path[256];

static void begin(void) {
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(qd_path_join(path, sizeof path, folder, "file"), 0);
}

static void end(void) {
    ck_assert_int_eq(qd_file_remove_tree(folder), 0);
    ck_assert(!qd_file_exists(folder));
}

START_TEST(what_is_put_in_place_is_read_back) {
    char *bytes;
    size_t length;
    ck_assert_int_eq(qd_file_replace(path, "one", 3), 0);
    ck_assert_int_eq(qd_file_replace(path, "second", 6), 0);
    ck_assert_int_eq(qd_file_read(path, 100, &bytes, &length), 0);
    ck_assert_uint_eq(length, 6);
    ck_assert_str_eq(bytes, "second");
    free(bytes);
}
END_TEST

START_TEST(a_replacement_that_fails_leaves_the_old_content_and_nothing_else) {
    char *bytes, aside[300];
    size_t length;
    struct rlimit limit = {.rlim_cur = 100, .rlim_max = RLIM_INFINITY}, before;
    ck_assert_int_eq(qd_file_replace(path, "old", 3), 0);
    char *large = calloc(1000, 1);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    setrlimit(RLIMIT_FSIZE, &limit);
    int rc = qd_file_replace(path, large, 1000);
    setrlimit(RLIMIT_FSIZE, &before);
    ck_assert_int_eq(rc, QD_EIO);
    ck_assert_ptr_nonnull(strstr(qd_error_message(), "File too large"));
    ck_assert_int_eq(qd_file_read(path, 100, &bytes, &length), 0);
    ck_assert_str_eq(bytes, "old");
    snprintf(aside, sizeof aside, "%s.tmp", path);
    ck_assert(!qd_file_exists(aside));
    free(bytes);
    free(large);
}
END_TEST

START_TEST(a_file_beyond_the_limit_is_refused_with_its_size) {
    char *bytes;
    size_t length;
    ck_assert_int_eq(qd_file_replace(path, "0123456789", 10), 0);
    ck_assert_int_eq(qd_file_read(path, 9, &bytes, &length), QD_EDATA);
    ck_assert_ptr_nonnull(strstr(qd_error_message(), "10 bytes; at most 9 are accepted"));
}
END_TEST

START_TEST(what_is_not_there_and_what_is_no_file_are_errors) {
    char *bytes;
    size_t length;
    ck_assert_int_eq(qd_file_read(path, 9, &bytes, &length), QD_EIO);
    ck_assert_ptr_nonnull(strstr(qd_error_message(), "No such file"));
    ck_assert_int_eq(qd_file_read(folder, 9, &bytes, &length), QD_EIO);
    ck_assert_ptr_nonnull(strstr(qd_error_message(), "not a regular file"));
}
END_TEST

START_TEST(folders_are_made_with_their_parents_and_may_exist) {
    char deep[300];
    snprintf(deep, sizeof deep, "%s/a/b/c", folder);
    ck_assert_int_eq(qd_file_make_folders(deep), 0);
    ck_assert_int_eq(qd_file_make_folders(deep), 0);
    ck_assert(qd_file_exists(deep));
    ck_assert_int_eq(qd_file_replace(path, "x", 1), 0);
    ck_assert_int_eq(qd_file_make_folders(path), QD_EIO);
}
END_TEST

START_TEST(removing_does_not_follow_links) {
    char outside[] = "/tmp/quadrille-test-outside-XXXXXX", link[400], inner[300];
    ck_assert_ptr_nonnull(mkdtemp(outside));
    snprintf(inner, sizeof inner, "%s/tree", folder);
    snprintf(link, sizeof link, "%s/link", inner);
    ck_assert_int_eq(qd_file_make_folders(inner), 0);
    ck_assert_int_eq(symlink(outside, link), 0);
    ck_assert_int_eq(qd_file_remove_tree(inner), 0);
    ck_assert(qd_file_exists(outside));
    ck_assert_int_eq(rmdir(outside), 0);
    ck_assert_int_eq(qd_file_remove_tree(inner), 0);
}
END_TEST

START_TEST(a_path_that_does_not_fit_is_an_error) {
    char small[8];
    ck_assert_int_eq(qd_path_join(small, sizeof small, "folder", "name"), QD_EIO);
    ck_assert_int_eq(qd_path_join(small, sizeof small, "abc", "def"), 0);
    ck_assert_str_eq(small, "abc/def");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("file");
    TCase *tcase = tcase_create("file");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, what_is_put_in_place_is_read_back);
    tcase_add_test(tcase, a_replacement_that_fails_leaves_the_old_content_and_nothing_else);
    tcase_add_test(tcase, a_file_beyond_the_limit_is_refused_with_its_size);
    tcase_add_test(tcase, what_is_not_there_and_what_is_no_file_are_errors);
    tcase_add_test(tcase, folders_are_made_with_their_parents_and_may_exist);
    tcase_add_test(tcase, removing_does_not_follow_links);
    tcase_add_test(tcase, a_path_that_does_not_fit_is_an_error);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
