/* Labelled lines of text as data. Expectations are written by hand. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "test/worker/temp_folder.h"
#include "worker/data/dataset.h"

enum { CONTEXT = 4 };

static void write_bytes(const char *name, const char *bytes, size_t length) {
    char *path = temp_path(name);
    temp_write(path, bytes, length);
    free(path);
}

/* A job on these bytes: samples of four tokens, three classes. */
static qd_job job_of_bytes(const char *bytes, size_t length) {
    qd_job job = {.model = {.family = QD_FAMILY_EMBEDDING,
                            .context = CONTEXT,
                            .vocabulary = 256,
                            .classes = 3},
                  .data = {.format = QD_DATA_LINES, .train = "a.tsv"},
                  .train = {.batch = 1},
                  .slots_data = 1};
    snprintf(job.data.folder, sizeof job.data.folder, "%s", temp_folder);
    write_bytes("a.tsv", bytes, length);
    return job;
}

static qd_job job_on(const char *text) {
    return job_of_bytes(text, strlen(text));
}

static qd_dataset *opened(const qd_job *job) {
    qd_dataset *d = NULL;
    ck_assert_msg(qd_dataset_open(job, &d) == 0, "%s", qd_error_message());
    return d;
}

static void assert_sample(const qd_dataset *d, qd_split split, int64_t i, int32_t class,
                          const int32_t tokens[CONTEXT]) {
    int32_t got[CONTEXT], target;
    qd_dataset_get(d, split, i, got, &target);
    ck_assert_int_eq(target, class);
    ck_assert_mem_eq(got, tokens, sizeof got);
}

START_TEST(a_line_is_a_label_and_a_text_of_bytes) {
    qd_job job = job_on("0\tab\n2\tabcdefg\r\n01\t\xc3\xa9\tz\n2\tabcd");
    qd_dataset *d = opened(&job);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TRAIN), 4);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_VALIDATION), 0);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TEST), 0);
    assert_sample(d, QD_SPLIT_TRAIN, 0, 0, (int32_t[]){'a', 'b', 0, 0});
    assert_sample(d, QD_SPLIT_TRAIN, 1, 2, (int32_t[]){'a', 'b', 'c', 'd'});
    assert_sample(d, QD_SPLIT_TRAIN, 2, 1, (int32_t[]){0xc3, 0xa9, '\t', 'z'});
    assert_sample(d, QD_SPLIT_TRAIN, 3, 2, (int32_t[]){'a', 'b', 'c', 'd'});
    qd_dataset_close(d);
}
END_TEST

START_TEST(samples_are_set_apart_at_the_end_and_read_from_the_test_file) {
    qd_job job = job_on("0\ta\n1\tb\n2\tc\n");
    job.data.validation = 1;
    strcpy(job.data.test, "test.tsv");
    write_bytes("test.tsv", "1\tx\n0\ty\n", 8);
    qd_dataset *d = opened(&job);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TRAIN), 2);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_VALIDATION), 1);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TEST), 2);
    assert_sample(d, QD_SPLIT_VALIDATION, 0, 2, (int32_t[]){'c', 0, 0, 0});
    assert_sample(d, QD_SPLIT_TEST, 1, 0, (int32_t[]){'y', 0, 0, 0});
    qd_dataset_close(d);
}
END_TEST

static void assert_job_refused(const qd_job *job, const char *message) {
    qd_dataset *d = NULL;
    assert_fails(qd_dataset_open(job, &d), QD_EDATA, "%s/a.tsv%s", temp_folder, message);
    ck_assert_ptr_null(d);
}

static void assert_refused(const char *text, const char *message) {
    qd_job job = job_on(text);
    assert_job_refused(&job, message);
}

START_TEST(a_line_of_another_form_is_refused) {
    assert_refused("0\ta\n1 b\n", ":2: there is no tab; a line is a label, a tab and a text");
    assert_refused("0\ta\n\n1\tb\n", ":2: the line is empty; a line is a label, a tab and a text");
    assert_refused("0\ta\r\n\r\n", ":2: the line is empty; a line is a label, a tab and a text");
    assert_refused("0\ta\n1\t\n", ":2: the text behind the label is empty");
    assert_refused("1\t\r\n", ":1: the text behind the label is empty");
    assert_refused("", ": holds no sample");
    assert_refused("\xef\xbb\xbf"
                   "0\ta\n",
                   ":1: begins with a byte order mark; save it without");
}
END_TEST

START_TEST(a_label_that_is_no_class_is_refused) {
    assert_refused("0\ta\n3\tb\n", ":2: label \"3\"; model.classes 3 allows 0 to 2");
    assert_refused("18446744073709551617\ta\n",
                   ":1: label \"18446744073709551617\"; model.classes 3 allows 0 to 2");
    assert_refused("-1\ta\n", ":1: label \"-1\" is no whole number; model.classes 3 allows 0 to 2");
    assert_refused("1 \ta\n", ":1: label \"1 \" is no whole number; model.classes 3 allows 0 to 2");
    assert_refused("en\ta\n", ":1: label \"en\" is no whole number; model.classes 3 allows 0 to 2");
    assert_refused("\ta\n", ":1: label \"\" is no whole number; model.classes 3 allows 0 to 2");
}
END_TEST

START_TEST(a_byte_that_is_no_token_is_refused_wherever_it_stands) {
    qd_job job = job_of_bytes("0\ta\n1\tabcdef\0g\n", 15);
    assert_job_refused(&job, ":2: byte 7 of the text is 0, which stands for padding");
    job = job_on("0\tabcdef\x80\n");
    job.model.vocabulary = 128;
    assert_job_refused(&job, ":1: byte 7 of the text is 128; model.vocabulary 128 allows 1 to 127; "
                             "256 allows all");
}
END_TEST

START_TEST(a_missing_file_is_named) {
    qd_job job = job_on("0\ta\n");
    qd_dataset *d = NULL;
    strcpy(job.data.test, "none.tsv");
    assert_fails(qd_dataset_open(&job, &d), QD_EIO, "%s/none.tsv: No such file or directory",
                 temp_folder);
    strcpy(job.data.train, "none-either.tsv");
    assert_fails(qd_dataset_open(&job, &d), QD_EIO, "%s/none-either.tsv: No such file or directory",
                 temp_folder);
    ck_assert_ptr_null(d);
}
END_TEST

START_TEST(a_model_of_another_kind_is_told_so) {
    const char *message = "data.format lines is for models that tell the class of a text; use "
                          "model.family embedding, bert or lstm, or layers with classes";
    qd_job job = job_on("0\ta\n");
    qd_dataset *d = NULL;
    job.model.family = QD_FAMILY_MLP;
    job.model.inputs = CONTEXT;
    assert_fails(qd_dataset_open(&job, &d), QD_ECONFIG, "%s", message);
    job.model.family = QD_FAMILY_GPT;
    job.model.length = 1;
    assert_fails(qd_dataset_open(&job, &d), QD_ECONFIG, "%s", message);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("lines");
    tcase_add_unchecked_fixture(tc, temp_folder_make, temp_folder_remove);
    tcase_add_test(tc, a_line_is_a_label_and_a_text_of_bytes);
    tcase_add_test(tc, samples_are_set_apart_at_the_end_and_read_from_the_test_file);
    tcase_add_test(tc, a_line_of_another_form_is_refused);
    tcase_add_test(tc, a_label_that_is_no_class_is_refused);
    tcase_add_test(tc, a_byte_that_is_no_token_is_refused_wherever_it_stands);
    tcase_add_test(tc, a_missing_file_is_named);
    tcase_add_test(tc, a_model_of_another_kind_is_told_so);
    Suite *suite = suite_create("worker/lines");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
