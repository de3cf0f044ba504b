/* A limit is enforced, an estimate is not; and what a limit means for predictions. */
#include "core_kit.h"

static qd_event limited(qd_event event, double limit_s) {
    event.submit.limit_ns = (int64_t)(limit_s * 1e9);
    return event;
}

static qd_event new_limit(int64_t job, double limit_s) {
    return limited((qd_event){.kind = QD_EVENT_LIMIT, .job = job}, limit_s);
}

static void open_easy(int ranks) {
    kit_open_policy(ranks, scheduling_of("easy"));
}

START_TEST(a_job_that_reaches_its_limit_saves_and_times_out) {
    open_easy(2);
    feed_at(0, limited(submit(1, 2, 2), 100));
    ck_assert_int_eq(qd_core_wake_ns(kit.core), INT64_C(100000000000));
    feed_at(100, now());
    expect("JOB_STATE job 1 attempt 1 COMPLETING: TimeLimit: ran for its limit of 100 s\n"
           "STOP job 1 attempt 1 epoch 1 ranks 1-2: TimeLimit: ran for its limit of 100 s\n");
    end_at(103, 1, QD_OUTCOME_SAVED);
    expect("JOB_STATE job 1 attempt 1 TIMEOUT: TimeLimit: ran for its limit of 100 s\n");
    kit_close();
}
END_TEST

START_TEST(a_job_that_is_done_when_told_of_its_limit_is_completed) {
    open_easy(2);
    feed_at(0, limited(submit(1, 2, 2), 100));
    feed_at(100, now());
    end_at(101, 1, QD_OUTCOME_DONE);
    expect_state(1, QD_STATE_COMPLETED);
    kit_close();
}
END_TEST

START_TEST(a_limit_is_kept_though_nobody_waits_and_though_no_policy_wants_to_wake) {
    kit_open_policy(2, scheduling_of("fifo"));
    feed_at(0, limited(submit(1, 1, 1), 7));
    feed_at(3, new_limit(1, 5));
    ck_assert_int_eq(qd_core_wake_ns(kit.core), INT64_C(5000000000));
    feed_at(5, now());
    expect_state(1, QD_STATE_COMPLETING);
    ck_assert_int_eq(qd_core_wake_ns(kit.core), INT64_MAX);
    kit_close();
}
END_TEST

START_TEST(a_limit_below_what_was_run_stops_the_job_at_once) {
    open_easy(2);
    feed_at(0, submit(1, 2, 2));
    feed_at(50, new_limit(1, 10));
    expect_state(1, QD_STATE_COMPLETING);
    kit_close();
}
END_TEST

/* Trap 8. */
START_TEST(a_limit_extended_under_a_plan_moves_the_predictions_and_is_never_put_back) {
    open_easy(8);
    feed_at(0, limited(submit(1, 4, 4), 100));
    feed_at(1, estimated(2, 8, 50));
    ck_assert_double_eq(kit_start_s(2), 100);
    feed_at(50, new_limit(1, 200));
    ck_assert_double_eq(kit_start_s(2), 200);
    feed_at(60, estimated(3, 4, 120));
    expect_state(3, QD_STATE_RUNNING);
    feed_at(100, now());
    expect_state(1, QD_STATE_RUNNING);
    end_at(180, 3, QD_OUTCOME_DONE);
    feed_at(200, now());
    expect_state(1, QD_STATE_COMPLETING);
    end_at(200, 1, QD_OUTCOME_SAVED);
    expect_state(2, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* Trap 8, its second half: a priority changed by hand; nothing that happens later changes it back.
 */
START_TEST(a_priority_changed_by_hand_holds_through_what_comes_later) {
    qd_scheduling scheduling = *scheduling_of("multifactor");
    scheduling.preempt_by = QD_PREEMPT_CLASS;
    kit_open_policy(4, &scheduling);
    feed_at(0, limited(submit(1, 4, 4), 100));
    feed_at(1, estimated(2, 4, 50));
    feed_at(2, estimated(3, 4, 50));
    ck_assert_double_eq(kit_start_s(3), 150);
    qd_event event = {.kind = QD_EVENT_PRIORITY, .job = 3};
    event.submit.importance = -1;
    feed_at(3, event);
    event.job = 1;
    event.submit.importance = 5;
    feed_at(4, event);
    event.job = 3; /* above 2, not above 1, which runs */
    event.submit.importance = 5;
    feed_at(70, event);
    expect_state(1, QD_STATE_RUNNING);
    ck_assert_double_eq(kit_start_s(3), 100);
    ck_assert_double_eq(kit_start_s(2), 150);
    feed_at(80, new_limit(1, 90));
    feed_at(81, new_limit(2, 1000));
    ck_assert_double_eq(kit_start_s(3), 90);
    feed_at(90, now());
    end_at(91, 1, QD_OUTCOME_SAVED);
    expect_state(3, QD_STATE_RUNNING);
    expect_state(2, QD_STATE_PENDING);
    event.submit.importance = 101;
    kit_refused(event, "PRIORITY: job 3: importance 101; accepted: -100 .. 100");
    kit_close();
}
END_TEST

/* Trap 7, its last outcome: A, of which nobody knows when it ends, runs on half of the ranks that H
 * needs. It sinks once it has had 20 rank-seconds, at 10; who runs is looked at every 8 s. So H
 * starts at the look at 16 at the latest, as soon as A has saved. */
START_TEST(a_job_without_end_loses_to_one_that_waits_in_bounded_time) {
    qd_scheduling scheduling = *scheduling_of("attained");
    scheduling.quantum_s = 8;
    scheduling.limits[0] = 20;
    kit_open_policy(4, &scheduling);
    feed_at(0, submit(1, 2, 2));
    feed_at(1, submit(2, 4, 4));
    feed_at(8, now());
    expect_state(1, QD_STATE_RUNNING);
    ck_assert_int_eq(qd_core_wake_ns(kit.core), INT64_C(16000000000));
    feed_at(16, now());
    expect_state(1, QD_STATE_COMPLETING);
    end_at(17, 1, QD_OUTCOME_SAVED);
    expect_state(2, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* Trap 7. */
START_TEST(without_an_estimate_or_a_limit_the_start_behind_it_is_unknown_and_nobody_passes) {
    open_easy(4);
    feed_at(0, submit(1, 2, 2));
    feed_at(1, estimated(2, 4, 10));
    feed_at(2, estimated(3, 2, 50));
    ck_assert_double_eq(kit_start_s(2), -1);
    expect_state(3, QD_STATE_PENDING);
    feed_at(3, new_limit(1, 100));
    ck_assert_double_eq(kit_start_s(2), 100);
    expect_state(3, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* An estimate of 60 s and a limit of 70: at 60 the rule says 91, and the limit 70. */
START_TEST(a_prediction_moved_on_does_not_pass_the_limit) {
    open_easy(4);
    feed_at(0, limited(estimated(1, 3, 60), 70));
    feed_at(1, estimated(2, 4, 10));
    feed_at(60, now());
    ck_assert_double_eq(kit_start_s(2), 70);
    kit_close();
}
END_TEST

START_TEST(a_limit_counts_the_run_of_all_attempts) {
    qd_scheduling scheduling = *scheduling_of("attained");
    scheduling.quantum_s = 10;
    scheduling.limits[0] = 10;
    kit_open_policy(1, &scheduling);
    feed_at(0, limited(submit(1, 1, 1), 25));
    feed_at(1, submit(2, 1, 1));
    feed_at(10, now());
    expect_state(1, QD_STATE_COMPLETING); /* makes room for 2 */
    end_at(12, 1, QD_OUTCOME_SAVED);
    expect_state(1, QD_STATE_PENDING);
    end_at(20, 2, QD_OUTCOME_DONE);
    expect_state(1, QD_STATE_RUNNING);
    feed_at(33, now()); /* 12 + 13 */
    expect_state(1, QD_STATE_COMPLETING);
    end_at(33, 1, QD_OUTCOME_SAVED);
    expect_state(1, QD_STATE_TIMEOUT);
    kit_close();
}
END_TEST

START_TEST(a_negative_limit_is_refused) {
    open_easy(1);
    feed_at(0, submit(1, 1, 1));
    kit_refused(new_limit(1, -1), "LIMIT: job 1: a negative limit");
    kit_refused(new_limit(2, 1), "LIMIT: no job 2 was ever submitted");
    kit_close();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("limits");
    TCase *tc = tcase_create("limits");
    suite_add_tcase(suite, tc);
    tcase_add_test(tc, a_job_that_reaches_its_limit_saves_and_times_out);
    tcase_add_test(tc, a_job_that_is_done_when_told_of_its_limit_is_completed);
    tcase_add_test(tc, a_limit_is_kept_though_nobody_waits_and_though_no_policy_wants_to_wake);
    tcase_add_test(tc, a_limit_below_what_was_run_stops_the_job_at_once);
    tcase_add_test(tc, a_priority_changed_by_hand_holds_through_what_comes_later);
    tcase_add_test(tc, a_job_without_end_loses_to_one_that_waits_in_bounded_time);
    tcase_add_test(tc, a_limit_extended_under_a_plan_moves_the_predictions_and_is_never_put_back);
    tcase_add_test(tc,
                   without_an_estimate_or_a_limit_the_start_behind_it_is_unknown_and_nobody_passes);
    tcase_add_test(tc, a_prediction_moved_on_does_not_pass_the_limit);
    tcase_add_test(tc, a_limit_counts_the_run_of_all_attempts);
    tcase_add_test(tc, a_negative_limit_is_refused);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad != 0;
}
