/*
 * Every file in test/data/broken is refused with exactly the message in the .err file beside it.
 * Files named cluster-... are cluster files, hardware-... descriptions of hardware, the others job
 * files. Here, and not in test/models,
 * because this is the lowest folder that knows both.
 */
#include <check.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/hardware.h"
#include "models/job.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "scheduler/cluster.h"

static int parse(const char *name, const char *text, size_t length) {
    qd_job job;
    qd_cluster cluster;
    qd_hardware hardware;
    if (strncmp(name, "hardware-", 9) == 0)
        return qd_hardware_parse(name, text, length, &hardware);
    return strncmp(name, "cluster-", 8) == 0 ? qd_cluster_parse(name, text, length, &cluster)
                                             : qd_job_parse(name, text, length, &job);
}

static void check_file(const char *path) {
    char *text, *expected, beside[1024];
    size_t length, expected_length;
    const char *name = strrchr(path, '/') + 1;
    snprintf(beside, sizeof beside, "%.*s.err", (int)(strlen(path) - strlen(".yaml")), path);
    ck_assert_msg(qd_file_read(path, 1 << 20, &text, &length) == 0, "%s", qd_error_message());
    ck_assert_msg(qd_file_read(beside, 1 << 20, &expected, &expected_length) == 0, "%s",
                  qd_error_message());
    expected[strcspn(expected, "\n")] = '\0';
    ck_assert_msg(parse(name, text, length) == QD_ECONFIG, "%s was accepted", name);
    ck_assert_str_eq(qd_error_message(), expected);
    free(text);
    free(expected);
}

START_TEST(every_broken_file_is_refused_with_its_message) {
    glob_t files;
    ck_assert_int_eq(glob(QD_TEST_DATA "/broken/*.yaml", 0, NULL, &files), 0);
    ck_assert_uint_ge(files.gl_pathc, 90); /* none was lost on the way */
    for (size_t i = 0; i < files.gl_pathc; i++)
        check_file(files.gl_pathv[i]);
    globfree(&files);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("broken files");
    tcase_add_test(tc, every_broken_file_is_refused_with_its_message);
    Suite *suite = suite_create("scheduler/broken_files");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
