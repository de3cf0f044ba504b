/* EASY and conservative backfill, case by case; the property tests hold them to their definition.
 */
#include "core_kit.h"

static void open_easy(int ranks) {
    kit_open_policy(ranks, scheduling_of("easy"));
}

static void complete_at(double seconds, int64_t job) {
    kit_at(seconds);
    kit_end(job, QD_OUTCOME_DONE);
}

/* Trap 1: four 2-rank jobs of 100 s keep 8 ranks busy, one more of them comes every 25 s; W wants
 * all 8. */
static void open_with_wide_head(const char *policy) {
    kit_open_policy(8, scheduling_of(policy));
    for (int i = 0; i < 4; i++)
        feed_at(25 * i, estimated(i + 1, 2, 100));
    feed_at(80, estimated(5, 8, 50)); /* W: can start at 175 */
    ck_assert_double_eq(kit_start_s(5), 175);
}

static const char *const with_backfill[] = {"easy", "multifactor"};

START_TEST(a_wide_job_starts_on_time_though_narrow_ones_keep_coming) {
    open_with_wide_head(with_backfill[_i]);
    int64_t late = 6;
    for (int i = 0; i < 4; i++) {
        complete_at(100 + 25 * i, i + 1);
        feed_at(100 + 25 * i, estimated(late++, 2, 100));
        expect_state(5, i < 3 ? QD_STATE_PENDING : QD_STATE_RUNNING);
        if (i < 3)
            ck_assert_double_eq(kit_start_s(5), 175);
    }
    for (int64_t job = 6; job < late; job++)
        expect_state(job, QD_STATE_PENDING);
    kit_close();
}
END_TEST

/* Trap 1. */
START_TEST(a_job_that_ends_before_the_head_needs_its_ranks_starts) {
    open_with_wide_head(with_backfill[_i]);
    complete_at(100, 1);
    feed_at(100, estimated(6, 2, 76));
    expect_state(6, QD_STATE_PENDING); /* would end at 176 */
    feed_at(100, estimated(7, 2, 70));
    expect_state(7, QD_STATE_RUNNING);
    ck_assert_double_eq(kit_start_s(5), 175);
    kit_close();
}
END_TEST

START_TEST(a_job_on_ranks_that_the_head_will_not_need_starts_however_long) {
    open_easy(8);
    feed_at(0, estimated(1, 4, 100));
    feed_at(1, estimated(2, 6, 50)); /* starts at 100 and leaves 2 */
    feed_at(2, estimated(3, 2, 100000));
    expect("JOB_STATE job 3 attempt 0 PENDING: waits for 2 ranks\n"
           "JOB_STATE job 3 attempt 1 RUNNING: runs on 2 ranks\n"
           "START job 3 attempt 1 epoch 2 ranks 5-6: does not delay job 2\n");
    feed_at(3, estimated(4, 1, 100000));
    expect_state(4, QD_STATE_PENDING);
    kit_close();
}
END_TEST

/* Trap 2: an estimate of 100 s; really 160. At 100 its prediction becomes 150, and at 150 225. */
START_TEST(a_job_outruns_its_estimate_and_lives_and_the_prediction_moves) {
    open_easy(4);
    feed_at(0, estimated(1, 3, 100));
    feed_at(5, estimated(2, 4, 100));
    ck_assert_int_eq(qd_core_wake_ns(kit.core), 100000000000);
    feed_at(100, now());
    feed_at(101, estimated(3, 1, 50)); /* would end at 151 */
    expect_state(3, QD_STATE_PENDING);
    feed_at(102, estimated(4, 1, 400));
    expect_state(4, QD_STATE_PENDING);
    feed_at(103, estimated(5, 1, 40)); /* the new prediction covers it */
    expect_state(5, QD_STATE_RUNNING);
    complete_at(143, 5);
    expect_state(1, QD_STATE_RUNNING);
    complete_at(160, 1);
    expect_state(2, QD_STATE_RUNNING);
    expect_state(4, QD_STATE_PENDING);
    kit_close();
}
END_TEST

START_TEST(nobody_passes_a_head_whose_start_nobody_knows) {
    static const char *const policies[] = {"easy", "conservative"};
    for (int i = 0; i < 2; i++) {
        kit_open_policy(4, scheduling_of(policies[i]));
        feed_at(0, submit(1, 2, 2));
        feed_at(1, estimated(2, 4, 10));
        feed_at(2, estimated(3, 2, 50));
        expect_state(3, QD_STATE_PENDING);
        complete_at(9, 1);
        expect_state(2, QD_STATE_RUNNING);
        kit_close();
    }
}
END_TEST

/* The shadow is known although another running job's end is not. */
START_TEST(a_head_that_does_not_need_the_unknown_one_can_be_passed) {
    open_easy(4);
    feed_at(0, submit(1, 1, 1));
    feed_at(1, estimated(2, 2, 100));
    feed_at(2, estimated(3, 3, 10));
    feed_at(3, estimated(4, 1, 90));
    expect_state(4, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* Trap 3. */
START_TEST(plans_of_short_jobs_do_not_overlap) {
    kit_open_policy(4, scheduling_of("conservative"));
    feed_at(0, estimated(1, 4, 100));
    feed_at(1, estimated(2, 4, 20));
    feed_at(2, estimated(3, 4, 20));
    ck_assert_double_eq(kit_start_s(2), 100);
    ck_assert_double_eq(kit_start_s(3), 120);
    complete_at(100, 1);
    expect_state(2, QD_STATE_RUNNING);
    ck_assert_double_eq(kit_start_s(3), 120);
    complete_at(120, 2);
    expect_state(3, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* Trap 3, in nanoseconds. */
START_TEST(plans_shorter_than_any_grain_do_not_overlap) {
    kit_open_policy(4, scheduling_of("conservative"));
    feed_at(0, estimated(1, 4, 1e-6));
    feed_at(1e-7, estimated(2, 4, 2e-9));
    feed_at(2e-7, estimated(3, 4, 2e-9));
    ck_assert_int_eq(qd_core_wake_ns(kit.core), 1000);
    complete_at(1e-6, 1);
    expect_state(2, QD_STATE_RUNNING);
    expect_state(3, QD_STATE_PENDING);
    kit_close();
}
END_TEST

/* Under EASY only the head is kept from being delayed; under conservative all are. */
START_TEST(conservative_keeps_the_second_in_the_queue_from_being_delayed_too) {
    static const struct {
        const char *policy;
        qd_job_state expected;
    } cases[] = {{"easy", QD_STATE_RUNNING}, {"conservative", QD_STATE_PENDING}};
    for (int i = 0; i < 2; i++) {
        kit_open_policy(8, scheduling_of(cases[i].policy));
        feed_at(0, estimated(1, 4, 100));
        feed_at(1, estimated(2, 6, 100)); /* at 100, to 200 */
        feed_at(2, estimated(3, 8, 100)); /* at 200 */
        feed_at(3, estimated(4, 2, 300)); /* would delay 3, not 2 */
        expect_state(4, cases[i].expected);
        kit_close();
    }
}
END_TEST

START_TEST(a_plan_is_made_anew_when_a_job_ends_early) {
    kit_open_policy(8, scheduling_of("conservative"));
    feed_at(0, estimated(1, 8, 100));
    feed_at(1, estimated(2, 8, 100));
    feed_at(2, estimated(3, 8, 100));
    complete_at(50, 1);
    expect_state(2, QD_STATE_RUNNING);
    ck_assert_int_eq(qd_core_wake_ns(kit.core), 150000000000);
    feed_at(60, cancel(3, ""));
    feed_at(61, estimated(4, 8, 10));
    ck_assert_int_eq(qd_core_wake_ns(kit.core), 150000000000);
    complete_at(150, 2);
    expect_state(4, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

START_TEST(ends_of_one_instant_are_all_heard_before_a_decision) {
    open_easy(8);
    feed_at(0, estimated(1, 4, 100));
    feed_at(0, estimated(2, 4, 100));
    feed_at(1, estimated(3, 8, 100));
    feed_at(2, estimated(4, 4, 100));
    for (int rank = 1; rank <= 8; rank++) {
        qd_event event = ended(rank <= 4 ? 1 : 2, rank, QD_OUTCOME_DONE);
        event.more = rank < 8;
        feed_at(100, event);
    }
    expect_state(3, QD_STATE_RUNNING);
    expect_state(4, QD_STATE_PENDING);
    kit_close();
}
END_TEST

START_TEST(every_pending_job_has_a_predicted_start_or_none_that_anybody_knows) {
    open_easy(4);
    feed_at(0, estimated(1, 3, 100));
    feed_at(1, estimated(2, 4, 20));
    feed_at(2, estimated(3, 4, 20));
    ck_assert_double_eq(kit_start_s(2), 100);
    ck_assert_double_eq(kit_start_s(3), 120);
    feed_at(3, submit(4, 4, 4));
    feed_at(4, estimated(5, 4, 5));
    ck_assert_double_eq(kit_start_s(4), 140);
    ck_assert_double_eq(kit_start_s(5), -1);
    feed_at(100, now()); /* overdue: 150 now */
    ck_assert_double_eq(kit_start_s(2), 150);
    ck_assert_double_eq(kit_start_s(3), 170);
    kit_close();
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("backfill");
    tcase_add_loop_test(tc, a_wide_job_starts_on_time_though_narrow_ones_keep_coming, 0, 2);
    tcase_add_loop_test(tc, a_job_that_ends_before_the_head_needs_its_ranks_starts, 0, 2);
    tcase_add_test(tc, a_job_on_ranks_that_the_head_will_not_need_starts_however_long);
    tcase_add_test(tc, a_job_outruns_its_estimate_and_lives_and_the_prediction_moves);
    tcase_add_test(tc, nobody_passes_a_head_whose_start_nobody_knows);
    tcase_add_test(tc, a_head_that_does_not_need_the_unknown_one_can_be_passed);
    tcase_add_test(tc, plans_of_short_jobs_do_not_overlap);
    tcase_add_test(tc, plans_shorter_than_any_grain_do_not_overlap);
    tcase_add_test(tc, conservative_keeps_the_second_in_the_queue_from_being_delayed_too);
    tcase_add_test(tc, a_plan_is_made_anew_when_a_job_ends_early);
    tcase_add_test(tc, ends_of_one_instant_are_all_heard_before_a_decision);
    tcase_add_test(tc, every_pending_job_has_a_predicted_start_or_none_that_anybody_knows);
    Suite *suite = suite_create("scheduler/backfill");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
