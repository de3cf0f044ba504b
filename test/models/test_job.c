/* Job files: what is filled in, what several keys mean together, and what a run is held to. The
 * messages of files that are refused are in test/data/broken (test_broken_files.c). */
#include <check.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "models/job.h"
#include "runtime/error.h"

#define HEAD                                                                                       \
    "name: a\n"                                                                                    \
    "model: {family: mlp, inputs: 784, hidden: [128], classes: 10}\n"                              \
    "data: {format: idx, folder: /d, train_images: a, train_labels: b, test_images: c, "           \
    "test_labels: d}\n"
#define ADAM "optimizer: {kind: adam, learning_rate: 0.001}\n"
#define SGD "optimizer: {kind: sgd, learning_rate: 0.1}\n"
#define GPT                                                                                        \
    "name: a\n"                                                                                    \
    "model: {family: gpt, layers: 3, heads: 1, width: 8, context: 8, vocabulary: 9}\n"             \
    "data: {format: text, folder: d, file: f}\n"
#define HEAD_GPT                                                                                   \
    "name: a\n"                                                                                    \
    "model: {family: gpt, layers: 1, heads: 4, width: 8, context: 8, vocabulary: 9}\n"             \
    "data: {format: text, folder: d, file: f}\n"
#define TRAIN_GPT "train: {batch: 24, steps: 1}\n"
#define TRAIN "train: {batch: 128, steps: 100}\n"

static int parse(const char *text, qd_job *job) {
    return qd_job_parse("a.yaml", text, strlen(text), job);
}

static qd_job accepted(const char *text) {
    qd_job job;
    ck_assert_msg(parse(text, &job) == 0, "%s\n%s", qd_error_message(), text);
    return job;
}

/* The job of the usual head, with these lines in addition. */
static qd_job with(const char *lines) {
    char text[2048];
    snprintf(text, sizeof text, HEAD TRAIN ADAM "%s", lines);
    return accepted(text);
}

START_TEST(every_job_file_we_ship_is_accepted) {
    glob_t files;
    ck_assert_int_eq(glob(QD_SOURCE_DIR "/conf/jobs/*.yaml", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        qd_job job;
        ck_assert_msg(qd_job_load(files.gl_pathv[i], &job) == 0, "%s", qd_error_message());
    }
    globfree(&files);
}
END_TEST

START_TEST(what_is_left_out_has_the_documented_default) {
    qd_job job = with("");
    ck_assert_uint_eq(job.seed, 1);
    ck_assert_int_eq(job.model.activation, QD_ACTIVATION_RELU);
    ck_assert_int_eq(job.data.validation, 0);
    ck_assert_double_eq(job.data.mean, 0);
    ck_assert_double_eq(job.data.std, 1);
    ck_assert_int_eq(job.train.evaluate_every, 0);
    ck_assert_double_eq(job.train.epochs, 0);
    ck_assert_int_eq(job.train.recompute, 0);
    ck_assert_double_eq(job.optimizer.beta1, 0.9);
    ck_assert_double_eq(job.optimizer.beta2, 0.999);
    ck_assert_double_eq(job.optimizer.epsilon, 1e-8);
    ck_assert_double_eq(job.optimizer.momentum, 0);
    ck_assert_int_eq(job.schedule.kind, QD_SCHEDULE_CONSTANT);
    ck_assert_int_eq(job.schedule.warmup, 0);
    ck_assert_int_eq(job.schedule.steps, 0);
    ck_assert_int_eq(job.checkpoint_every, 0);
    ck_assert_int_eq(job.checkpoint_keep, 2);
    ck_assert_double_eq(job.log_interval_s, 1);
    ck_assert_int_eq(job.log_every, 0);
    ck_assert_double_eq(job.request_estimate_s, 0);
    ck_assert_double_eq(job.request_limit_s, 0);
    ck_assert_double_eq(job.request_deadline_s, 0);
    ck_assert_int_eq(job.request_importance, 0);
    ck_assert_int_eq(job.request_nice, 0);
    ck_assert_str_eq(job.request_account, "default");
    ck_assert_str_eq(job.request_after, "none");
    ck_assert(job.request_preemptible);
    job = accepted(HEAD TRAIN SGD);
    ck_assert_double_eq(job.optimizer.momentum, 0.9);
    ck_assert_double_eq(job.optimizer.beta1, 0);
    ck_assert(!job.optimizer.nesterov);
    ck_assert_double_eq(job.optimizer.weight_decay, 0);
    job = accepted(HEAD TRAIN "optimizer: {kind: adamw, learning_rate: 0.1}\n");
    ck_assert_double_eq(job.optimizer.beta1, 0.9);
    ck_assert_double_eq(job.optimizer.beta2, 0.999);
    ck_assert_double_eq(job.optimizer.epsilon, 1e-8);
    ck_assert_double_eq(job.optimizer.weight_decay, 0.01);
    job = accepted(HEAD TRAIN "optimizer: {kind: adamw, learning_rate: 1, weight_decay: 0}\n");
    ck_assert_double_eq(job.optimizer.weight_decay, 0);
}
END_TEST

START_TEST(slots_ranks_and_layout_follow_from_each_other) {
    static const struct {
        const char *lines;
        int64_t slots, min, max, dp;
    } cases[] = {
        {"", 8, 1, 8, 0},
        {"layout: {dp: auto}\n", 8, 1, 8, 0},
        {"slots: {data: 4}\n", 4, 1, 4, 0},
        {"slots: {data: 128}\n", 128, 1, 128, 0},
        {"ranks: {max: 16}\n", 16, 1, 16, 0},
        {"ranks: {min: 2}\n", 8, 2, 8, 0},
        {"ranks: {min: 4, max: 4}\n", 4, 4, 4, 0},
        {"slots: {data: 8}\nranks: {max: 3}\n", 8, 1, 3, 0},
        {"layout: {dp: 4}\n", 4, 4, 4, 4},
        {"slots: {data: 8}\nlayout: {dp: 3}\n", 8, 3, 3, 3},
        {"ranks: {min: 2, max: 8}\nlayout: {dp: 4}\n", 8, 4, 4, 4},
        {"ranks: {max: 8}\nlayout: {dp: 8}\n", 8, 8, 8, 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        qd_job job = with(cases[i].lines);
        ck_assert_msg(job.slots_data == cases[i].slots && job.ranks_min == cases[i].min &&
                          job.ranks_max == cases[i].max && job.layout_dp == cases[i].dp,
                      "%s: slots %ld, ranks %ld .. %ld, dp %ld", cases[i].lines,
                      (long)job.slots_data, (long)job.ranks_min, (long)job.ranks_max,
                      (long)job.layout_dp);
    }
}
END_TEST

START_TEST(ranks_of_tensor_groups_are_rounded_to_whole_groups) {
    static const struct {
        const char *lines;
        int64_t slots, min, max;
    } cases[] = {
        {"layout: {tp: 2}\n", 8, 2, 16},
        {"layout: {tp: 2}\nranks: {min: 3, max: 7}\n", 3, 4, 6},
        {"layout: {tp: 4}\nranks: {min: 1, max: 4}\n", 1, 4, 4},
        {"layout: {tp: 2}\nslots: {data: 4}\nranks: {max: 5}\n", 4, 2, 4},
        {"layout: {dp: 2, tp: 2}\nranks: {max: 5}\n", 2, 4, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[2048];
        snprintf(text, sizeof text, HEAD_GPT TRAIN_GPT SGD "%s", cases[i].lines);
        qd_job job = accepted(text);
        ck_assert_msg(job.slots_data == cases[i].slots && job.ranks_min == cases[i].min &&
                          job.ranks_max == cases[i].max,
                      "%s: slots %ld, ranks %ld .. %ld", cases[i].lines, (long)job.slots_data,
                      (long)job.ranks_min, (long)job.ranks_max);
    }
}
END_TEST

START_TEST(default_slots_are_the_largest_divisor_of_the_batch_up_to_eight) {
    static const struct {
        int batch, slots;
    } cases[] = {{1, 1}, {2, 2}, {7, 7}, {12, 6}, {10, 5}, {11, 1}, {121, 1}, {64, 8}, {49, 7}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[1024];
        snprintf(text, sizeof text, HEAD ADAM "train: {batch: %d, steps: 1}\n", cases[i].batch);
        ck_assert_int_eq(accepted(text).slots_data, cases[i].slots);
    }
}
END_TEST

START_TEST(a_linear_model_has_an_empty_list_of_layers) {
    char text[] = HEAD TRAIN ADAM;
    memcpy(strstr(text, "[128]"), "[   ]", 5);
    ck_assert_int_eq(accepted(text).model.hidden_count, 0);
}
END_TEST

/* Bitwise: what the scheduler sends is what the workers run. */
START_TEST(an_emitted_job_parses_back_to_the_same_job) {
    static const char *const jobs[] = {
        HEAD TRAIN ADAM,
        HEAD TRAIN SGD,
        HEAD TRAIN "optimizer: {kind: sgd, learning_rate: 3e-5, momentum: 0}\n",
        HEAD TRAIN "optimizer: {kind: sgd, learning_rate: 1, nesterov: true, weight_decay: 1}\n",
        HEAD TRAIN "optimizer: {kind: adamw, learning_rate: 1, beta1: 0.5}\n",
        HEAD TRAIN "optimizer: {kind: adamw, learning_rate: 1, weight_decay: 0}\n",
        HEAD TRAIN ADAM "schedule: {warmup: 1000}\n",
        HEAD TRAIN ADAM "schedule: {kind: linear, final: 1, steps: 7}\n",
        HEAD TRAIN ADAM "schedule: {kind: step, every: 3, gamma: 0.7}\n",
        HEAD TRAIN ADAM "schedule: {kind: cosine, warmup: 99, final: 0.1}\n",
        HEAD TRAIN ADAM "schedule: {kind: wsd, warmup: 90, decay_steps: 10}\n",
        HEAD TRAIN ADAM "schedule: {kind: one-cycle, div: 10, peak: 0.1}\n",
        HEAD ADAM "train: {batch: 96, epochs: 0.333333333333333314, evaluate_every: 7}\n",
        HEAD ADAM "train: {batch: 96, steps: 4000000000}\nslots: {data: 3}\nranks: {max: 2}\n",
        HEAD TRAIN ADAM "layout: {dp: 4}\nranks: {min: 2, max: 8}\n",
        HEAD TRAIN ADAM "seed: 18446744073709551615\nlog: {interval_s: 0.05, every: 3}\n",
        HEAD TRAIN ADAM "checkpoint: {every: 10, keep: 1}\nslots: {data: 128}\n",
    };
    for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
        qd_job job = accepted(jobs[i]), again;
        qd_text text = {0}, twice = {0};
        strcpy(job.data.folder, "/data of \"M\xc3\xbcller\": #1\\");
        qd_job_emit(&job, &text);
        ck_assert_msg(parse(text.bytes, &again) == 0, "%s\n%s", qd_error_message(), text.bytes);
        qd_job_emit(&again, &twice);
        ck_assert_str_eq(text.bytes, twice.bytes);
        ck_assert_int_eq(memcmp(&job.optimizer, &again.optimizer, sizeof job.optimizer), 0);
        ck_assert_int_eq(memcmp(&job.schedule, &again.schedule, sizeof job.schedule), 0);
        ck_assert_int_eq(memcmp(&job.train, &again.train, sizeof job.train), 0);
        ck_assert_str_eq(job.data.folder, again.data.folder);
        ck_assert_int_eq(job.layout_dp, again.layout_dp);
        qd_text_fini(&text);
        qd_text_fini(&twice);
    }
}
END_TEST

START_TEST(a_job_that_is_refused_touches_nothing) {
    qd_job job, before;
    memset(&job, 0x5a, sizeof job);
    before = job;
    ck_assert_int_eq(parse(HEAD TRAIN ADAM "slots: {data: 3}\n", &job), QD_ECONFIG);
    ck_assert_int_eq(memcmp(&job, &before, sizeof job), 0);
    ck_assert_int_eq(parse("name: a\n", &job), QD_ECONFIG);
    ck_assert_int_eq(memcmp(&job, &before, sizeof job), 0);
}
END_TEST

START_TEST(a_file_that_is_not_there_or_too_long_is_named) {
    qd_job job;
    char path[64], expected[160];
    ck_assert_int_eq(qd_job_load("/no/such/job.yaml", &job), QD_EIO);
    ck_assert_str_eq(qd_error_message(), "/no/such/job.yaml: No such file or directory");

    int fd = memfd_create("job", 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, (1 << 20) + 1), 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ck_assert_int_eq(qd_job_load(path, &job), QD_ECONFIG);
    snprintf(expected, sizeof expected,
             "%s:1: the file is too long; at most 1048576 bytes are accepted", path);
    ck_assert_str_eq(qd_error_message(), expected);
    close(fd);
}
END_TEST

START_TEST(what_does_not_determine_the_result_may_change) {
    qd_job saved = with("");
    char text[] = HEAD ADAM "train: {batch: 128, epochs: 9, evaluate_every: 5}\n"
                            "slots: {data: 8}\nlayout: {dp: 2}\nranks: {min: 1, max: 4}\n"
                            "checkpoint: {every: 5, keep: 9}\nlog: {interval_s: 3, every: 2}\n";
    memcpy(strstr(text, "folder: /d"), "folder: /e", 10);
    memcpy(text, "name: b", 7);
    qd_job now = accepted(text);
    ck_assert_msg(qd_job_check_same_result(&saved, &now) == 0, "%s", qd_error_message());
}
END_TEST

START_TEST(recomputation_does_not_determine_the_result) {
    qd_job saved = accepted(GPT "train: {batch: 8, steps: 1}\n" ADAM);
    qd_job now = accepted(GPT "train: {batch: 8, steps: 1, recompute: 3}\n" ADAM);
    ck_assert_int_eq(now.train.recompute, 3);
    ck_assert_msg(qd_job_check_same_result(&saved, &now) == 0, "%s", qd_error_message());
}
END_TEST

START_TEST(what_determines_the_result_may_not_change) {
    static const struct {
        const char *lines, *message;
    } cases[] = {
        {TRAIN ADAM "seed: 2\n", "seed: 1 there, 2 here"},
        {TRAIN ADAM "slots: {data: 4}\n", "slots.data: 8 there, 4 here"},
        {TRAIN SGD, "optimizer.kind: adam there, sgd here"},
        {TRAIN "optimizer: {kind: adam, learning_rate: 0.002}\n",
         "optimizer.learning_rate: 0.001 there, 0.002 here"},
        {TRAIN "optimizer: {kind: adam, learning_rate: 0.001, beta2: 0.99}\n",
         "optimizer.beta2: 0.999 there, 0.99 here"},
        {TRAIN "optimizer: {kind: adam, learning_rate: 0.001, weight_decay: 0.5}\n",
         "optimizer.weight_decay: 0 there, 0.5 here"},
        {TRAIN ADAM "schedule: {kind: linear}\n", "schedule.kind: constant there, linear here"},
        {TRAIN ADAM "schedule: {warmup: 5}\n", "schedule.warmup: 0 there, 5 here"},
        {ADAM "train: {batch: 64, steps: 100}\n", "train.batch: 128 there, 64 here"},
    };
    qd_job saved = with("");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[2048];
        snprintf(text, sizeof text, HEAD "%s", cases[i].lines);
        qd_job now = accepted(text);
        ck_assert_int_eq(qd_job_check_same_result(&saved, &now), QD_ECONFIG);
        ck_assert_str_eq(qd_error_message(), cases[i].message);
    }
    qd_job now = saved;
    now.model.hidden[0] = 64;
    ck_assert_int_eq(qd_job_check_same_result(&saved, &now), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), "model.hidden: [128] there, [64] here");
    now = saved;
    strcpy(now.data.train_images, "other.gz");
    ck_assert_int_eq(qd_job_check_same_result(&saved, &now), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), "data.train_images: a there, other.gz here");
}
END_TEST

START_TEST(the_length_of_a_schedule_determines_the_result) {
    qd_job saved = with("schedule: {kind: cosine, steps: 100}\n");
    qd_job now = with("schedule: {kind: cosine, steps: 200}\n");
    ck_assert_int_eq(qd_job_check_same_result(&saved, &now), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), "schedule.steps: 100 there, 200 here");
    now = saved;
    now.train.steps = 500;
    ck_assert_int_eq(qd_job_check_same_result(&saved, &now), 0);
}
END_TEST

START_TEST(epochs_become_steps_rounded_up) {
    static const struct {
        double epochs;
        int64_t samples, batch, steps;
    } cases[] = {
        {10, 55000, 128, 4297}, /* 4296.875 */
        {1, 128, 128, 1},       {1, 129, 128, 2},    {0.5, 60000, 100, 300},
        {0.07, 100, 1, 7}, /* 7.000000000000001 in doubles */
        {1.1, 30, 1, 33},       {0.001, 10, 128, 1}, {1e6, 1000000000000, 1, 4000000000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        qd_job job = {.train = {.batch = cases[i].batch, .epochs = cases[i].epochs}};
        ck_assert_int_eq(qd_job_total_steps(&job, cases[i].samples), cases[i].steps);
    }
    qd_job job = {.train = {.batch = 128, .steps = 17}};
    ck_assert_int_eq(qd_job_total_steps(&job, 1), 17);
}
END_TEST

START_TEST(slots_are_dealt_whole_in_order_and_evenly) {
    for (int slots = 1; slots <= 40; slots++)
        for (int dp = 1; dp <= slots; dp++) {
            qd_job job = {.slots_data = slots};
            int next = 0;
            for (int i = 0; i < dp; i++) {
                int first, end;
                qd_job_slot_range(&job, dp, i, &first, &end);
                ck_assert_int_eq(first, next);
                ck_assert_int_ge(end - first, slots / dp);
                ck_assert_int_le(end - first, (slots + dp - 1) / dp);
                next = end;
            }
            ck_assert_int_eq(next, slots);
        }
    qd_job large = {.slots_data = 65536};
    int first, end;
    qd_job_slot_range(&large, 65536, 65535, &first, &end);
    ck_assert_int_eq(first, 65535);
    ck_assert_int_eq(end, 65536);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("job");
    tcase_add_test(tc, every_job_file_we_ship_is_accepted);
    tcase_add_test(tc, what_is_left_out_has_the_documented_default);
    tcase_add_test(tc, slots_ranks_and_layout_follow_from_each_other);
    tcase_add_test(tc, ranks_of_tensor_groups_are_rounded_to_whole_groups);
    tcase_add_test(tc, default_slots_are_the_largest_divisor_of_the_batch_up_to_eight);
    tcase_add_test(tc, a_linear_model_has_an_empty_list_of_layers);
    tcase_add_test(tc, an_emitted_job_parses_back_to_the_same_job);
    tcase_add_test(tc, a_job_that_is_refused_touches_nothing);
    tcase_add_test(tc, a_file_that_is_not_there_or_too_long_is_named);
    tcase_add_test(tc, what_does_not_determine_the_result_may_change);
    tcase_add_test(tc, recomputation_does_not_determine_the_result);
    tcase_add_test(tc, what_determines_the_result_may_not_change);
    tcase_add_test(tc, the_length_of_a_schedule_determines_the_result);
    tcase_add_test(tc, epochs_become_steps_rounded_up);
    tcase_add_test(tc, slots_are_dealt_whole_in_order_and_evenly);
    Suite *suite = suite_create("models/job");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
