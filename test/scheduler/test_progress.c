/* What a job tells of its steps, and the predictions that follow. */
#include "core_kit.h"
#include "scheduler/why.h"

static qd_event progress(int64_t job, int64_t step, int64_t saved, int64_t steps) {
    return (qd_event){.kind = QD_EVENT_PROGRESS,
                      .job = job,
                      .attempt = kit_job(job).attempt,
                      .step = step,
                      .saved = saved,
                      .steps = steps};
}

static int64_t start_ms(int64_t job) {
    qd_why why;
    ck_assert_int_eq(qd_why_ask(kit.core, job, &why), 0);
    return why.start_ns == INT64_MAX ? -1 : why.start_ns / 1000000;
}

/* 100 steps, the first one told of at 10 s, the 11th at 30 s: 2 s each, so the end is at 208 s. */
START_TEST(steps_left_times_what_a_step_takes_foretells_the_end) {
    kit_open_policy(4, scheduling_of("easy"));
    feed_at(0, submit(1, 4, 4));
    feed_at(1, estimated(2, 4, 20));
    ck_assert_int_eq(start_ms(2), -1);
    feed_at(10, progress(1, 1, 0, 100));
    ck_assert_int_eq(start_ms(2), -1);
    feed_at(30, progress(1, 11, 5, 100));
    ck_assert_int_eq(start_ms(2), 208000);
    /* It grows slower: 40 steps in 190 s. */
    feed_at(200, progress(1, 41, 40, 100));
    ck_assert_int_eq(start_ms(2), 480250);
    kit_close();
}
END_TEST

START_TEST(what_is_measured_replaces_an_estimate_but_not_a_limit) {
    kit_open_policy(4, scheduling_of("easy"));
    qd_event event = estimated(1, 4, 1000);
    event.submit.limit_ns = 150000000000;
    feed_at(0, event);
    feed_at(1, estimated(2, 4, 20));
    ck_assert_int_eq(start_ms(2), 150000);
    feed_at(10, progress(1, 1, 0, 31));
    feed_at(20, progress(1, 11, 0, 31));
    ck_assert_int_eq(start_ms(2), 40000);
    feed_at(30, progress(1, 12, 0, 1000));
    ck_assert_int_eq(start_ms(2), 150000);
    kit_close();
}
END_TEST

/* What is left of a job that made room is foretold by what its steps took before. */
START_TEST(a_job_that_comes_back_is_predicted_by_its_earlier_steps) {
    qd_why why;
    qd_scheduling scheduling = *scheduling_of("attained");
    scheduling.quantum_s = 60;
    scheduling.limits[0] = 10;
    kit_open_policy(1, &scheduling);
    feed_at(0, submit(1, 1, 1));
    feed_at(10, progress(1, 1, 0, 101));
    feed_at(50, progress(1, 21, 0, 101));
    feed_at(60, submit(2, 1, 1));
    expect_state(1, QD_STATE_COMPLETING);
    kit_end(1, QD_OUTCOME_SAVED);
    expect_state(2, QD_STATE_RUNNING);
    kit_at(70);
    kit_end(2, QD_OUTCOME_DONE);
    expect_state(1, QD_STATE_RUNNING);
    ck_assert_int_eq(qd_why_ask(kit.core, 1, &why), 0);
    ck_assert_int_eq(why.end_ns / 1000000, 70000 + 80 * 2000);
    kit_close();
}
END_TEST

START_TEST(a_late_word_of_an_earlier_attempt_changes_nothing) {
    kit_open_policy(2, scheduling_of("easy"));
    feed_at(0, submit(1, 1, 1));
    feed_at(1, progress(1, 1, 0, 10));
    kit_at(2);
    kit_end(1, QD_OUTCOME_DONE);
    uint64_t before = qd_core_digest(kit.core);
    kit.time_ns--;
    kit_feed(progress(1, 5, 0, 10));
    ck_assert_uint_eq(qd_core_digest(kit.core), before);
    qd_event event = progress(1, 5, 6, 10);
    kit_refused(event, "PROGRESS: job 1: step 5 of 10, 6 of them saved");
    event.attempt = 2;
    kit_refused(event, "PROGRESS: job 1 had 1 attempts, not 2");
    kit_close();
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("progress");
    tcase_add_test(tc, steps_left_times_what_a_step_takes_foretells_the_end);
    tcase_add_test(tc, what_is_measured_replaces_an_estimate_but_not_a_limit);
    tcase_add_test(tc, a_job_that_comes_back_is_predicted_by_its_earlier_steps);
    tcase_add_test(tc, a_late_word_of_an_earlier_attempt_changes_nothing);
    Suite *suite = suite_create("scheduler/progress");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
