/* Text as data: each byte a token, windows at a stride, a share at the end for validation. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "test/worker/temp_folder.h"
#include "worker/data/dataset.h"

static qd_job job_of(int64_t context, int64_t stride, double share, int64_t vocabulary) {
    qd_job job = {.model = {.family = QD_FAMILY_GPT,
                            .layers = 1,
                            .heads = 1,
                            .width = 4,
                            .context = context,
                            .length = context,
                            .vocabulary = vocabulary},
                  .data = {.format = QD_DATA_TEXT, .stride = stride, .validation_share = share},
                  .train = {.batch = 1}};
    snprintf(job.data.folder, sizeof job.data.folder, "%s", temp_folder);
    strcpy(job.data.text, "text");
    return job;
}

static qd_dataset *open_text(const char *text, const qd_job *job) {
    char *path = temp_path("text");
    temp_write(path, text, strlen(text));
    free(path);
    qd_dataset *d = NULL;
    ck_assert_msg(qd_dataset_open(job, &d) == 0, "%s", qd_error_message());
    return d;
}

/* Sample i of a split is the window "abcd": its inputs "abc", its targets "bcd". */
static void assert_window(const qd_dataset *d, qd_split split, int64_t i, const char *window) {
    int32_t input[16], targets[16];
    qd_dataset_get(d, split, i, input, targets);
    for (size_t t = 0; t + 1 < strlen(window); t++) {
        ck_assert_int_eq(input[t], window[t]);
        ck_assert_int_eq(targets[t], window[t + 1]);
    }
}

START_TEST(samples_are_windows_at_a_stride) {
    qd_job job = job_of(3, 2, 0, 256);
    qd_dataset *d = open_text("abcdefgh", &job);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TRAIN), 3);
    assert_window(d, QD_SPLIT_TRAIN, 0, "abcd");
    assert_window(d, QD_SPLIT_TRAIN, 1, "cdef");
    assert_window(d, QD_SPLIT_TRAIN, 2, "efgh");
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_VALIDATION), 0);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TEST), 0);
    qd_dataset_close(d);
}
END_TEST

START_TEST(validation_takes_windows_from_the_end_that_do_not_overlap) {
    qd_job job = job_of(2, 1, 0.5, 256);
    qd_dataset *d = open_text("abcdefghij", &job);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TRAIN), 3);
    assert_window(d, QD_SPLIT_TRAIN, 2, "cde");
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_VALIDATION), 2);
    assert_window(d, QD_SPLIT_VALIDATION, 0, "fgh");
    assert_window(d, QD_SPLIT_VALIDATION, 1, "hij");
    qd_dataset_close(d);
}
END_TEST

static void assert_refused(const char *text, qd_job job, int code, const char *message) {
    char *path = temp_path("text"), expected[512];
    temp_write(path, text, strlen(text));
    snprintf(expected, sizeof expected, "%s%s", path, message);
    qd_dataset *d = NULL;
    ck_assert_int_eq(qd_dataset_open(&job, &d), code);
    ck_assert_ptr_null(d);
    ck_assert_str_eq(qd_error_message(), expected);
    free(path);
}

START_TEST(a_text_that_does_not_fit_is_refused) {
    assert_refused("abc", job_of(3, 1, 0, 256), QD_EDATA,
                   ": 3 bytes are left for training; a sample of model.length 3 takes 4");
    assert_refused("abz", job_of(2, 1, 0, 100), QD_ECONFIG,
                   ": byte 2 is 122; model.vocabulary 100 allows 0 to 99; 256 allows all");
    assert_refused("abcdefghij", job_of(3, 1, 0.1, 256), QD_ECONFIG,
                   ": data.validation_share 0.1 sets 1 bytes apart; a sample of model.length 3 "
                   "takes 4; use 0 or at least 0.5");
}
END_TEST

START_TEST(a_model_of_another_kind_is_told_so) {
    qd_job job = job_of(3, 1, 0, 256);
    job.model.family = QD_FAMILY_MLP;
    job.model.inputs = 3;
    qd_dataset *d = NULL;
    ck_assert_int_eq(qd_dataset_open(&job, &d), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), "data.format text is for models that predict the next "
                                         "token; use model.family gpt, or layers with next_token");
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("text");
    tcase_add_unchecked_fixture(tc, temp_folder_make, temp_folder_remove);
    tcase_add_test(tc, samples_are_windows_at_a_stride);
    tcase_add_test(tc, validation_takes_windows_from_the_end_that_do_not_overlap);
    tcase_add_test(tc, a_text_that_does_not_fit_is_refused);
    tcase_add_test(tc, a_model_of_another_kind_is_told_so);
    Suite *suite = suite_create("worker/text");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
