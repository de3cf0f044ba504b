/*
 * temp_folder.h: a folder for the files of a test. Made and removed by unchecked fixtures of
 * Check, which run in the parent process, so that it goes even when a test fails or crashes:
 *
 *   tcase_add_unchecked_fixture(tc, temp_folder_make, temp_folder_remove);
 */
#ifndef QD_TEST_WORKER_TEMP_FOLDER_H
#define QD_TEST_WORKER_TEMP_FOLDER_H

#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/file.h"

static char temp_folder[256];

static inline void temp_folder_make(void) {
    const char *parent = getenv("TMPDIR");
    snprintf(temp_folder, sizeof temp_folder, "%s/quadrille-XXXXXX", parent ? parent : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(temp_folder));
}

static inline void temp_folder_remove(void) {
    qd_file_remove_tree(temp_folder);
}

/* TEMP/NAME; the caller's to free. */
static inline char *temp_path(const char *name) {
    char path[PATH_MAX];
    ck_assert_int_eq(qd_path_join(path, sizeof path, temp_folder, name), 0);
    return strdup(path);
}

static inline void temp_write(const char *path, const void *bytes, size_t length) {
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, length, file), length);
    ck_assert_int_eq(fclose(file), 0);
}

/* Asserts that a call failed with code and exactly this message (printf style). */
#define assert_fails(call, code, ...)                                                              \
    do {                                                                                           \
        char expected_[2 * PATH_MAX];                                                              \
        snprintf(expected_, sizeof expected_, __VA_ARGS__);                                        \
        ck_assert_int_eq((call), (code));                                                          \
        ck_assert_str_eq(qd_error_message(), expected_);                                           \
    } while (0)

#endif
