/* Token files as data: the windows of a text, of wider tokens. Expectations are written by hand. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "test/worker/temp_folder.h"
#include "worker/data/dataset.h"

static qd_job job_of(qd_token_kind dtype, int64_t length, double share, int64_t vocabulary) {
    qd_job job = {.model = {.family = QD_FAMILY_GPT,
                            .layers = 1,
                            .heads = 1,
                            .width = 4,
                            .context = length,
                            .length = length,
                            .vocabulary = vocabulary},
                  .data = {.format = QD_DATA_TOKENS,
                           .token_dtype = dtype,
                           .stride = 2,
                           .validation_share = share},
                  .train = {.batch = 1}};
    snprintf(job.data.folder, sizeof job.data.folder, "%s", temp_folder);
    strcpy(job.data.text, "tokens");
    return job;
}

static void write_file(const char *name, const void *bytes, size_t length) {
    char *path = temp_path(name);
    temp_write(path, bytes, length);
    free(path);
}

static qd_dataset *opened(const qd_job *job) {
    qd_dataset *d = NULL;
    ck_assert_msg(qd_dataset_open(job, &d) == 0, "%s", qd_error_message());
    return d;
}

/* Sample i of a split: inputs w[0] .. w[2], targets w[1] .. w[3]. */
static void assert_window(const qd_dataset *d, qd_split split, int64_t i, const int32_t w[4]) {
    int32_t input[3], targets[3];
    qd_dataset_get(d, split, i, input, targets);
    ck_assert_mem_eq(input, w, sizeof input);
    ck_assert_mem_eq(targets, w + 1, sizeof targets);
}

/* 1, 258, 3, 4, 5, 50256, 7, 8 */
static const uint8_t narrow[] = {1, 0, 2, 1, 3, 0, 4, 0, 5, 0, 0x50, 0xc4, 7, 0, 8, 0};
/* 9, 65536, 11, 12, 13 */
static const uint8_t wide[] = {9, 0, 0, 0, 0, 0, 1, 0, 11, 0, 0, 0, 12, 0, 0, 0, 13, 0, 0, 0};

START_TEST(tokens_of_two_bytes_are_windows_at_a_stride) {
    qd_job job = job_of(QD_TOKENS_UINT16, 3, 0, 50257);
    write_file("tokens", narrow, sizeof narrow);
    qd_dataset *d = opened(&job);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TRAIN), 3);
    assert_window(d, QD_SPLIT_TRAIN, 0, (int32_t[]){1, 258, 3, 4});
    assert_window(d, QD_SPLIT_TRAIN, 1, (int32_t[]){3, 4, 5, 50256});
    assert_window(d, QD_SPLIT_TRAIN, 2, (int32_t[]){5, 50256, 7, 8});
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_VALIDATION), 0);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TEST), 0);
    qd_dataset_close(d);
}
END_TEST

START_TEST(tokens_of_four_bytes_and_their_last_share_for_validation) {
    qd_job job = job_of(QD_TOKENS_UINT32, 1, 0.4, 100000);
    int32_t input, target;
    write_file("tokens", wide, sizeof wide);
    qd_dataset *d = opened(&job);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TRAIN), 1);
    qd_dataset_get(d, QD_SPLIT_TRAIN, 0, &input, &target);
    ck_assert_int_eq(input, 9);
    ck_assert_int_eq(target, 65536);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_VALIDATION), 1);
    qd_dataset_get(d, QD_SPLIT_VALIDATION, 0, &input, &target);
    ck_assert_int_eq(input, 12);
    ck_assert_int_eq(target, 13);
    qd_dataset_close(d);
}
END_TEST

START_TEST(a_validation_file_is_read_in_windows_that_do_not_overlap) {
    qd_job job = job_of(QD_TOKENS_UINT16, 3, 0, 50257);
    strcpy(job.data.validation_file, "validation");
    write_file("tokens", narrow, 8);
    write_file("validation", narrow, sizeof narrow);
    qd_dataset *d = opened(&job);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_TRAIN), 1);
    ck_assert_int_eq(qd_dataset_size(d, QD_SPLIT_VALIDATION), 2);
    assert_window(d, QD_SPLIT_VALIDATION, 0, (int32_t[]){1, 258, 3, 4});
    assert_window(d, QD_SPLIT_VALIDATION, 1, (int32_t[]){4, 5, 50256, 7});
    qd_dataset_close(d);
}
END_TEST

START_TEST(a_length_that_is_no_multiple_of_the_width_is_named) {
    qd_job job = job_of(QD_TOKENS_UINT32, 3, 0, 100000);
    qd_dataset *d = NULL;
    write_file("tokens", wide, 19);
    assert_fails(qd_dataset_open(&job, &d), QD_EDATA,
                 "%s/tokens: 19 bytes are no whole number of tokens; data.dtype uint32 takes 4 "
                 "bytes for each",
                 temp_folder);
    job.data.token_dtype = QD_TOKENS_UINT16;
    assert_fails(qd_dataset_open(&job, &d), QD_EDATA,
                 "%s/tokens: 19 bytes are no whole number of tokens; data.dtype uint16 takes 2 "
                 "bytes for each",
                 temp_folder);
}
END_TEST

START_TEST(a_token_beyond_the_vocabulary_names_its_position) {
    qd_job job = job_of(QD_TOKENS_UINT16, 3, 0, 50256);
    uint8_t high[16];
    qd_dataset *d = NULL;
    write_file("tokens", narrow, sizeof narrow);
    assert_fails(qd_dataset_open(&job, &d), QD_ECONFIG,
                 "%s/tokens: token 5 is 50256; model.vocabulary 50256 allows 0 to 50255",
                 temp_folder);
    memset(high, 0xff, sizeof high); /* negative, were it taken for a signed number */
    write_file("tokens", high, sizeof high);
    job.data.token_dtype = QD_TOKENS_UINT32;
    assert_fails(qd_dataset_open(&job, &d), QD_ECONFIG,
                 "%s/tokens: token 0 is 4294967295; model.vocabulary 50256 allows 0 to 50255",
                 temp_folder);
}
END_TEST

START_TEST(a_wrong_validation_file_is_named) {
    qd_job job = job_of(QD_TOKENS_UINT16, 3, 0, 50257);
    qd_dataset *d = NULL;
    write_file("tokens", narrow, 8);
    strcpy(job.data.validation_file, "none");
    assert_fails(qd_dataset_open(&job, &d), QD_EIO, "%s/none: No such file or directory",
                 temp_folder);
    strcpy(job.data.validation_file, "short");
    write_file("short", narrow, 6);
    assert_fails(qd_dataset_open(&job, &d), QD_EDATA,
                 "%s/short: 3 tokens; a sample of model.length 3 takes 4", temp_folder);
    job.model.vocabulary = 300;
    write_file("short", narrow, sizeof narrow);
    assert_fails(qd_dataset_open(&job, &d), QD_ECONFIG,
                 "%s/short: token 5 is 50256; model.vocabulary 300 allows 0 to 299", temp_folder);
    ck_assert_ptr_null(d);
}
END_TEST

START_TEST(too_few_tokens_are_refused) {
    qd_job job = job_of(QD_TOKENS_UINT16, 3, 0, 50257);
    qd_dataset *d = NULL;
    write_file("tokens", "", 0);
    assert_fails(qd_dataset_open(&job, &d), QD_EDATA,
                 "%s/tokens: 0 tokens are left for training; a sample of model.length 3 takes 4",
                 temp_folder);
    write_file("tokens", narrow, sizeof narrow);
    job.data.validation_share = 0.25;
    assert_fails(qd_dataset_open(&job, &d), QD_ECONFIG,
                 "%s/tokens: data.validation_share 0.25 sets 2 tokens apart; a sample of "
                 "model.length 3 takes 4; use 0 or at least 0.625",
                 temp_folder);
}
END_TEST

START_TEST(a_model_of_another_kind_is_told_so) {
    qd_job job = job_of(QD_TOKENS_UINT16, 3, 0, 50257);
    job.model.family = QD_FAMILY_MLP;
    job.model.inputs = 3;
    qd_dataset *d = NULL;
    assert_fails(qd_dataset_open(&job, &d), QD_ECONFIG,
                 "data.format tokens is for models that predict the next token; use model.family "
                 "gpt, or layers with next_token");
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("tokens");
    tcase_add_unchecked_fixture(tc, temp_folder_make, temp_folder_remove);
    tcase_add_test(tc, tokens_of_two_bytes_are_windows_at_a_stride);
    tcase_add_test(tc, tokens_of_four_bytes_and_their_last_share_for_validation);
    tcase_add_test(tc, a_validation_file_is_read_in_windows_that_do_not_overlap);
    tcase_add_test(tc, a_length_that_is_no_multiple_of_the_width_is_named);
    tcase_add_test(tc, a_token_beyond_the_vocabulary_names_its_position);
    tcase_add_test(tc, a_wrong_validation_file_is_named);
    tcase_add_test(tc, too_few_tokens_are_refused);
    tcase_add_test(tc, a_model_of_another_kind_is_told_so);
    Suite *suite = suite_create("worker/tokens");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
