/* Ranks that are drained: given to nobody, taken from nobody. */
#include "core_kit.h"
#include "scheduler/why.h"

/* Trap 4: 16 ranks, 8 of them drained. */
START_TEST(jobs_too_wide_for_the_ranks_in_service_are_in_nobodys_way) {
    qd_why why;
    kit_open_policy(16, scheduling_of("easy"));
    for (int rank = 1; rank <= 8; rank++)
        feed_at(0, drain_rank(rank));
    for (int64_t job = 1; job <= 1000; job++)
        feed_at(1, estimated(job, 12, 10));
    feed_at(2, estimated(1001, 2, 1000));
    feed_at(3, estimated(1002, 2, 1000));
    expect_state(1001, QD_STATE_RUNNING);
    expect_state(1002, QD_STATE_RUNNING);
    ck_assert_int_eq(qd_why_ask(kit.core, 500, &why), 0);
    ck_assert_int_eq(why.count, 1);
    ck_assert_int_eq(why.reasons[0].reason, QD_REASON_NODES);
    ck_assert_int_eq(why.reasons[0].ranks, 8);
    ck_assert_int_eq(why.ranks, 12);
    for (int rank = 1; rank <= 8; rank++)
        feed_at(4, resume_rank(rank));
    expect_state(1, QD_STATE_RUNNING);
    expect_state(2, QD_STATE_PENDING);
    kit_close();
}
END_TEST

/* Trap 26; test_restart.c has the restart. */
START_TEST(a_rank_drained_inside_a_gang_is_counted_out_only_when_it_ends) {
    kit_open_policy(8, scheduling_of("easy"));
    feed_at(0, estimated(1, 4, 200));
    feed_at(50, drain_rank(3));
    expect_state(1, QD_STATE_RUNNING);
    ck_assert_int_eq(kit_free_ranks(), 4);
    feed_at(60, drain_rank(3)); /* again: nothing new */
    feed_at(60, estimated(2, 7, 10));
    qd_why why;
    ck_assert_int_eq(qd_why_ask(kit.core, 2, &why), 0);
    ck_assert_int_eq(why.start_ns / 1000000, 200000);
    feed_at(61, cancel(2, ""));
    feed_at(62, estimated(3, 8, 10));
    ck_assert_str_eq(kit_job(3).reason, "ReqNodeNotAvail: waits for drained ranks");
    kit_at(200);
    kit_end(1, QD_OUTCOME_DONE);
    ck_assert_int_eq(kit_free_ranks(), 7);
    feed_at(201, resume_rank(3));
    expect_state(3, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* Trap 43. */
START_TEST(a_job_cancelled_while_ranks_are_drained_is_gone_and_the_shutdown_comes) {
    kit_open_policy(2, scheduling_of("easy"));
    feed_at(0, drain_rank(2));
    feed_at(1, submit(1, 2, 2));
    feed_at(2, closed());
    feed_at(3, cancel(1, ""));
    expect("JOB_STATE job 1 attempt 0 CANCELLED: cancelled\nSHUTDOWN\n");
    feed_at(4, resume_rank(2));
    expect("");
    kit_close();
}
END_TEST

START_TEST(a_drained_rank_that_is_lost_comes_back_to_nobody) {
    kit_open_policy(4, scheduling_of("easy"));
    feed_at(0, submit(1, 2, 2));
    feed_at(1, drain_rank(1));
    feed_at(2, lost(1, "silent"));
    feed_at(3, ended(1, 2, QD_OUTCOME_ABORTED));
    feed_at(4, resume_rank(1));
    ck_assert_int_eq(kit_free_ranks(), 3);
    kit_close();
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("drained ranks");
    tcase_add_test(tc, jobs_too_wide_for_the_ranks_in_service_are_in_nobodys_way);
    tcase_add_test(tc, a_rank_drained_inside_a_gang_is_counted_out_only_when_it_ends);
    tcase_add_test(tc, a_job_cancelled_while_ranks_are_drained_is_gone_and_the_shutdown_comes);
    tcase_add_test(tc, a_drained_rank_that_is_lost_comes_back_to_nobody);
    Suite *suite = suite_create("scheduler/drained_ranks");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
