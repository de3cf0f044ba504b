/* Comma separated numbers as data. Expectations are written by hand. */
#include <check.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "test/worker/temp_folder.h"
#include "worker/data/dataset.h"
#include "worker/data/source.h"

static void write_text(const char *name, const char *text) {
    char *path = temp_path(name);
    temp_write(path, text, strlen(text));
    free(path);
}

/* A job on this text: two inputs and a class of three. */
static qd_job job_on(const char *text) {
    qd_job job = {.model = {.inputs = 2, .classes = 3},
                  .data = {.format = QD_DATA_CSV, .train = "a.csv", .mean = 0, .std = 1},
                  .train = {.batch = 1},
                  .slots_data = 1};
    snprintf(job.data.folder, sizeof job.data.folder, "%s", temp_folder);
    write_text("a.csv", text);
    return job;
}

static qd_dataset *opened(const qd_job *job) {
    qd_dataset *d = NULL;
    ck_assert_msg(qd_dataset_open(job, &d) == 0, "%s", qd_error_message());
    return d;
}

static void assert_sample(const qd_dataset *d, qd_split split, int64_t i, float a, float b,
                          int32_t class) {
    float input[2];
    int32_t target;
    qd_dataset_get(d, split, i, input, &target);
    ck_assert_float_eq(input[0], a);
    ck_assert_float_eq(input[1], b);
    ck_assert_int_eq(target, class);
}

START_TEST(a_line_is_a_sample_with_its_class_last) {
    qd_job job = job_on("1,2,0\n-3.5,+4e2,2\n .5 ,\t6.25,1.0\r\n1e-3,7,2");
    qd_dataset *d = opened(&job);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TRAIN), 4);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TEST), 0);
    assert_sample(d, QD_SPLIT_TRAIN, 0, 1, 2, 0);
    assert_sample(d, QD_SPLIT_TRAIN, 1, -3.5f, 400, 2);
    assert_sample(d, QD_SPLIT_TRAIN, 2, 0.5f, 6.25f, 1);
    assert_sample(d, QD_SPLIT_TRAIN, 3, 0.001f, 7, 2);
    qd_dataset_close(d);
}
END_TEST

START_TEST(a_header_line_is_skipped_in_both_files) {
    qd_job job = job_on("\"width, cm\",height,kind\n1,2,0\n3,4,1\n5,6,2\n");
    job.data.header = true;
    job.data.validation = 1;
    strcpy(job.data.test, "test.csv");
    write_text("test.csv", "w,h,k\n7,8,1\n");
    qd_dataset *d = opened(&job);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TRAIN), 2);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_VALIDATION), 1);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TEST), 1);
    assert_sample(d, QD_SPLIT_VALIDATION, 0, 5, 6, 2);
    assert_sample(d, QD_SPLIT_TEST, 0, 7, 8, 1);
    qd_dataset_close(d);
}
END_TEST

/* 2^24 + 1 is no float: were it rounded before it is normalised, the results would be others. */
START_TEST(numbers_are_normalised_in_double_and_rounded_once) {
    qd_job job = job_on("16777217,3,0\n");
    job.data.mean = 1;
    job.data.std = 0.5;
    qd_dataset *d = opened(&job);
    assert_sample(d, QD_SPLIT_TRAIN, 0, 33554432, 4, 0);
    qd_dataset_close(d);
    job.data.mean = 16777216;
    d = opened(&job);
    assert_sample(d, QD_SPLIT_TRAIN, 0, 2, -33554426, 0);
    qd_dataset_close(d);
}
END_TEST

static void assert_refused(const char *text, const char *message) {
    qd_job job = job_on(text);
    qd_dataset *d = NULL;
    assert_fails(qd_dataset_open(&job, &d), QD_EDATA, "%s/a.csv%s", temp_folder, message);
    ck_assert_ptr_null(d);
}

START_TEST(a_field_that_is_no_number_is_refused) {
    assert_refused("1,2,0\n1,nan,0\n", ":2: column 2: \"nan\" is not finite");
    assert_refused("-Inf,2,0\n", ":1: column 1: \"-Inf\" is not finite");
    assert_refused("1,1e999,0\n", ":1: column 2: inf is not finite");
    assert_refused("1,1e39,0\n", ":1: column 2: 1e+39, normalised, is beyond float32; at most "
                                 "3.40282e+38 is accepted");
    assert_refused("1,2,0\n1,,0\n", ":2: column 2: the field is empty; expected a number");
    assert_refused("1,2, \n", ":1: column 3: the field is empty; expected a number");
    assert_refused("1,2,0\n1,0x10,0\n", ":2: column 2: \"0x10\" is no number");
    assert_refused("1,2,0\n1,1.2.3,0\n", ":2: column 2: \"1.2.3\" is no number");
    assert_refused("1,2,0\n1;2;0,1,1\n", ":2: column 1: \"1;2;0\" is no number");
    assert_refused("1,2,0\n1,2\r3,0\n", ":2: column 2: \"2\\x0d3\" is no number");
    assert_refused("a,b,class\n1,2,0\n",
                   ":1: column 1: \"a\" is no number; if this is a heading, set data.header");
    assert_refused("1,2,0\n1,\"2\",0\n",
                   ":2: column 2: quotes are not accepted; write numbers without them");
}
END_TEST

START_TEST(a_nul_is_refused) {
    qd_job job = job_on("");
    qd_dataset *d = NULL;
    char *path = temp_path("a.csv");
    temp_write(path, "1,2\0003,0\n", 8);
    assert_fails(qd_dataset_open(&job, &d), QD_EDATA,
                 "%s:1: column 2: \"2\" is no number; if this is a heading, set data.header", path);
    free(path);
}
END_TEST

START_TEST(a_line_of_other_columns_is_refused) {
    assert_refused("1,2,0\n1,2\n", ":2: column 2: the line has 2 columns; expected 3: 2 of inputs, "
                                   "then 1 of targets");
    assert_refused("1,2,0,\n", ":1: column 4: the line has 4 columns; expected 3: 2 of inputs, "
                               "then 1 of targets");
    assert_refused("1,2,0\n\n1,2,0\n", ":2: the line is empty; expected 3 columns");
    assert_refused("1,2,0\r\n\r\n", ":2: the line is empty; expected 3 columns");
}
END_TEST

START_TEST(a_target_that_is_no_class_is_refused) {
    assert_refused("1,2,0\n1,2,3\n", ":2: column 3: 3; model.classes 3 allows 0 to 2");
    assert_refused("1,2,-1\n", ":1: column 3: -1; model.classes 3 allows 0 to 2");
    assert_refused("1,2,0.5\n",
                   ":1: column 3: 0.5 is no whole number; model.classes 3 allows 0 to 2");
}
END_TEST

START_TEST(a_file_without_samples_is_refused) {
    assert_refused("", ": holds no sample");
    assert_refused("\xef\xbb\xbf"
                   "1,2,0\n",
                   ":1: begins with a byte order mark; save it without");
    qd_job job = job_on("a,b,c\n");
    qd_dataset *d = NULL;
    job.data.header = true;
    assert_fails(qd_dataset_open(&job, &d), QD_EDATA, "%s/a.csv: holds no sample", temp_folder);
}
END_TEST

START_TEST(a_wrong_test_file_is_named) {
    qd_job job = job_on("1,2,0\n");
    qd_dataset *d = NULL;
    strcpy(job.data.test, "none.csv");
    assert_fails(qd_dataset_open(&job, &d), QD_EIO, "%s/none.csv: No such file or directory",
                 temp_folder);
    ck_assert_ptr_null(d);
}
END_TEST

/* Where a comma is the decimal point, "1.5" still is one and a half. */
START_TEST(the_locale_does_not_matter) {
    if (!setlocale(LC_ALL, "de_DE.UTF-8"))
        return;
    qd_job job = job_on("1.5,2.25,0\n");
    qd_dataset *d = opened(&job);
    assert_sample(d, QD_SPLIT_TRAIN, 0, 1.5f, 2.25f, 0);
    qd_dataset_close(d);
    setlocale(LC_ALL, "C");
}
END_TEST

/* No family has them yet: the source itself is asked. */
START_TEST(targets_may_be_floats) {
    qd_job job = job_on("1,2,0.1\n3,4e2,-1e6\n");
    qd_sample_spec spec = {
        .input_dtype = QD_F32, .inputs = 1, .targets = 2, .target_dtype = QD_F32};
    qd_source train = {0}, validation = {0}, test = {0};
    float input, got[2];
    int32_t slots[2];
    job.data.mean = 1; /* of the inputs only */
    ck_assert_msg(qd_source_csv.open(&job, &spec, &train, &validation, &test) == 0, "%s",
                  qd_error_message());
    train.get(train.self, 1, &input, slots);
    memcpy(got, slots, sizeof got);
    ck_assert_float_eq(input, 2);
    ck_assert_float_eq(got[0], 400);
    ck_assert_float_eq(got[1], -1e6f);
    qd_source_close(&train);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("csv");
    tcase_add_unchecked_fixture(tc, temp_folder_make, temp_folder_remove);
    tcase_add_test(tc, a_line_is_a_sample_with_its_class_last);
    tcase_add_test(tc, a_header_line_is_skipped_in_both_files);
    tcase_add_test(tc, numbers_are_normalised_in_double_and_rounded_once);
    tcase_add_test(tc, a_field_that_is_no_number_is_refused);
    tcase_add_test(tc, a_nul_is_refused);
    tcase_add_test(tc, a_line_of_other_columns_is_refused);
    tcase_add_test(tc, a_target_that_is_no_class_is_refused);
    tcase_add_test(tc, a_file_without_samples_is_refused);
    tcase_add_test(tc, a_wrong_test_file_is_named);
    tcase_add_test(tc, the_locale_does_not_matter);
    tcase_add_test(tc, targets_may_be_floats);
    Suite *suite = suite_create("worker/csv");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
