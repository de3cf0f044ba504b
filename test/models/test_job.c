/* Job files: what is refused, and with which words; what is filled in; what makes two jobs the
 * same. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "broken_files.h"
#include "models/job.h"

static int parse_broken(const char *file, const char *text, size_t length) {
    qd_job job, before;
    memset(&job, 0x5a, sizeof job);
    before = job;
    int rc = qd_job_parse(file, text, length, &job);
    ck_assert_msg(memcmp(&job, &before, sizeof job) == 0, "%s: the job was touched", file);
    return rc;
}

START_TEST(every_broken_file_gives_its_message_and_leaves_the_job_alone) {
    ck_assert_int_ge(check_broken_files(false, parse_broken), 25);
}
END_TEST

#define HEAD                                                                                       \
    "name: a\n"                                                                                    \
    "model: {family: mlp, inputs: 4, hidden: [3], activation: relu, classes: 2}\n"                 \
    "data: {format: idx, folder: d, train_images: a, train_labels: b, test_images: c, "            \
    "test_labels: d}\n"

static qd_job parse(const char *tail) {
    char text[2048];
    qd_job job;
    snprintf(text, sizeof text, HEAD "%s", tail);
    ck_assert_msg(qd_job_parse("a.yaml", text, strlen(text), &job) == 0, "%s", qd_error_message());
    return job;
}

static const char *const tails[] = {
    "train: {batch: 64, steps: 10}\noptimizer: {kind: sgd, learning_rate: 0.1}\n",
    "train: {batch: 64, epochs: 2.5, evaluate_every: 7}\noptimizer: {kind: adam, learning_rate: "
    "1e-3, beta2: 0.95}\nlayout: {dp: 4}\nseed: 18446744073709551615\n",
    "train: {batch: 96, steps: 1}\noptimizer: {kind: sgd, learning_rate: 0.30000000000000004, "
    "momentum: 0}\nslots: {data: 12}\nranks: {min: 2, max: 5}\ncheckpoint: {every: 3, keep: "
    "1}\nlog: {interval_s: 0.25, every: 2}\n",
};
enum { TAILS = sizeof tails / sizeof tails[0] };

START_TEST(defaults_are_filled_in) {
    qd_job job = parse(tails[0]);
    ck_assert_uint_eq(job.seed, 1);
    ck_assert_double_eq(job.optimizer.momentum, 0.9);
    ck_assert_double_eq(job.data.std, 1);
    ck_assert_int_eq(job.slots_data, 8); /* the largest divisor of 64 up to 8 */
    ck_assert_int_eq(job.ranks_min, 1);
    ck_assert_int_eq(job.ranks_max, 8);
    ck_assert_int_eq(job.layout_dp, 0);
    ck_assert_int_eq(job.checkpoint_keep, 2);
    job = parse(tails[1]);
    ck_assert_int_eq(job.slots_data, 4);
    ck_assert_int_eq(job.ranks_min, 4);
    ck_assert_int_eq(job.ranks_max, 4);
    ck_assert_double_eq(job.optimizer.beta1, 0.9);
    ck_assert_double_eq(job.optimizer.beta2, 0.95);
}
END_TEST

START_TEST(a_job_that_is_written_out_reads_back_equal) {
    for (int i = 0; i < TAILS; i++) {
        qd_job job = parse(tails[i]), again;
        qd_text text = {0}, text_again = {0};
        qd_job_emit(&job, &text);
        ck_assert(!text.failed);
        ck_assert_msg(qd_job_parse("again.yaml", text.bytes, text.length, &again) == 0, "%s\n%s",
                      qd_error_message(), text.bytes);
        ck_assert_int_eq(memcmp(&job, &again, sizeof job), 0);
        qd_job_emit(&again, &text_again);
        ck_assert_str_eq(text.bytes, text_again.bytes);
        qd_text_fini(&text);
        qd_text_fini(&text_again);
    }
}
END_TEST

START_TEST(what_changes_the_result_is_named_with_both_values) {
    qd_job saved = parse(tails[0]), now = saved;
    now.train.batch = 32;
    ck_assert_int_eq(qd_job_check_same_result(&saved, &now), QD_ECONFIG);
    ck_assert_ptr_nonnull(strstr(qd_error_message(), "train.batch"));
    ck_assert_ptr_nonnull(strstr(qd_error_message(), "64"));
    ck_assert_ptr_nonnull(strstr(qd_error_message(), "32"));
    now = saved;
    now.slots_data = 4;
    ck_assert_int_eq(qd_job_check_same_result(&saved, &now), QD_ECONFIG);
    ck_assert_ptr_nonnull(strstr(qd_error_message(), "slots.data"));
    now = saved;
    now.model.hidden[0] = 5;
    ck_assert_int_eq(qd_job_check_same_result(&saved, &now), QD_ECONFIG);
    ck_assert_ptr_nonnull(strstr(qd_error_message(), "model.hidden"));
}
END_TEST

START_TEST(what_does_not_change_the_result_may_differ) {
    qd_job saved = parse(tails[0]), now = saved;
    now.train.steps = 500;
    now.ranks_min = 2;
    now.ranks_max = 3;
    now.layout_dp = 3;
    now.checkpoint_every = 9;
    now.log_interval_s = 5;
    strcpy(now.data.folder, "elsewhere");
    strcpy(now.name, "b");
    ck_assert_int_eq(qd_job_check_same_result(&saved, &now), 0);
}
END_TEST

START_TEST(epochs_are_rounded_up_to_whole_steps) {
    qd_job job = parse(tails[1]);                         /* 2.5 epochs, batch 64 */
    ck_assert_int_eq(qd_job_total_steps(&job, 1000), 40); /* 39.06 */
    ck_assert_int_eq(qd_job_total_steps(&job, 64), 3);    /* 2.5 */
    job = parse(tails[0]);
    ck_assert_int_eq(qd_job_total_steps(&job, 1000), 10);
}
END_TEST

START_TEST(slots_are_dealt_whole_in_order_and_evenly) {
    qd_job job = parse(tails[0]);
    for (job.slots_data = 1; job.slots_data <= 40; job.slots_data++)
        for (int dp = 1; dp <= job.slots_data; dp++) {
            int next = 0, least = 1000, most = 0;
            for (int i = 0; i < dp; i++) {
                int first, end;
                qd_job_slot_range(&job, dp, i, &first, &end);
                ck_assert_int_eq(first, next);
                least = end - first < least ? end - first : least;
                most = end - first > most ? end - first : most;
                next = end;
            }
            ck_assert_int_eq(next, job.slots_data);
            ck_assert_int_ge(least, 1);
            ck_assert_int_le(most - least, 1);
        }
}
END_TEST

START_TEST(a_missing_file_is_an_error_with_its_name) {
    qd_job job;
    ck_assert_int_eq(qd_job_load("/nowhere/a.yaml", &job), QD_EIO);
    ck_assert_str_eq(qd_error_message(), "/nowhere/a.yaml: No such file or directory");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("job");
    TCase *tcase = tcase_create("job");
    tcase_add_test(tcase, every_broken_file_gives_its_message_and_leaves_the_job_alone);
    tcase_add_test(tcase, defaults_are_filled_in);
    tcase_add_test(tcase, a_job_that_is_written_out_reads_back_equal);
    tcase_add_test(tcase, what_changes_the_result_is_named_with_both_values);
    tcase_add_test(tcase, what_does_not_change_the_result_may_differ);
    tcase_add_test(tcase, epochs_are_rounded_up_to_whole_steps);
    tcase_add_test(tcase, slots_are_dealt_whole_in_order_and_evenly);
    tcase_add_test(tcase, a_missing_file_is_an_error_with_its_name);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
