/* broken_files.h: the wrong files of test/data/broken, each with the exact message it must give. */
#ifndef QD_TEST_BROKEN_FILES_H
#define QD_TEST_BROKEN_FILES_H

#include <check.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/file.h"

/* Parses text as file; returns what the parser returned. */
typedef int (*broken_parse)(const char *file, const char *text, size_t length);

static void check_broken_file(const char *path, broken_parse parse) {
    char beside[512], *text, *expected;
    size_t length, expected_length;
    snprintf(beside, sizeof beside, "%.*s.err", (int)(strlen(path) - strlen(".yaml")), path);
    ck_assert_int_eq(qd_file_read(path, 1 << 20, &text, &length), 0);
    ck_assert_int_eq(qd_file_read(beside, 1 << 20, &expected, &expected_length), 0);
    expected[strcspn(expected, "\n")] = '\0';
    ck_assert_int_eq(parse(strrchr(path, '/') + 1, text, length), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), expected);
    free(text);
    free(expected);
}

/* All files whose name begins with "cluster-", or all others; returns how many. */
static int check_broken_files(bool clusters, broken_parse parse) {
    glob_t found;
    int checked = 0;
    ck_assert_int_eq(glob(QD_TEST_DATA "/broken/*.yaml", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *name = strrchr(found.gl_pathv[i], '/') + 1;
        if ((strncmp(name, "cluster-", 8) == 0) != clusters)
            continue;
        check_broken_file(found.gl_pathv[i], parse);
        checked++;
    }
    globfree(&found);
    return checked;
}

#endif
