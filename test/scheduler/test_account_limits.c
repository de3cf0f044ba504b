/* What an account may hold at a time: jobs and ranks. */
#include "core_kit.h"
#include "scheduler/why.h"

static void open_limited(const char *policy, int ranks, int64_t jobs, int64_t account_ranks) {
    qd_scheduling scheduling = *scheduling_of(policy);
    scheduling.account_jobs = jobs;
    scheduling.account_ranks = account_ranks;
    kit_open_policy(ranks, &scheduling);
}

static qd_event of(int account, qd_event event) {
    event.submit.account = account;
    return event;
}

static qd_event important(int importance, qd_event event) {
    event.submit.importance = importance;
    return event;
}

/* Trap 6: accounts u and v are 0 and 1. */
START_TEST(a_head_that_its_account_keeps_waiting_is_in_nobodys_way) {
    static const char *const policies[] = {"fifo",         "sjf",         "easy",
                                           "conservative", "multifactor", "attained"};
    qd_why why;
    for (int i = 0; i < 6; i++) {
        open_limited(policies[i], 8, 0, 4);
        feed_at(0, of(0, estimated(1, 4, 1000)));
        feed_at(1, of(0, estimated(2, 4, 10)));
        feed_at(2, of(1, estimated(3, 4, 2000)));
        expect_state(3, QD_STATE_RUNNING);
        ck_assert_int_eq(qd_why_ask(kit.core, 2, &why), 0);
        ck_assert_int_eq(why.count, 1);
        ck_assert_int_eq(why.reasons[0].reason, QD_REASON_ACCOUNT_RANKS);
        ck_assert_int_eq(why.reasons[0].blocker_count, 1);
        ck_assert_int_eq(why.reasons[0].blockers[0].job, 1);
        ck_assert_int_eq(why.start_ns / 1000000, 1000000);
        ck_assert_str_eq(kit_job(2).reason, "AssocGrpNodeLimit: waits for others of its account");
        end_at(900, 1, QD_OUTCOME_DONE);
        expect_state(2, QD_STATE_RUNNING);
        kit_close();
    }
}
END_TEST

/* Trap 31. */
START_TEST(a_failed_job_gives_ranks_and_quota_back_in_one_event) {
    open_limited("easy", 8, 0, 4);
    feed_at(0, submit(1, 4, 4));
    feed_at(1, submit(2, 4, 4));
    for (int rank = 1; rank <= 4; rank++) {
        feed_at(10 + rank, failed(1, rank, QD_EIO, "no launch"));
        expect_state(1, rank < 4 ? QD_STATE_COMPLETING : QD_STATE_FAILED);
        expect_state(2, rank < 4 ? QD_STATE_PENDING : QD_STATE_RUNNING);
    }
    kit_close();
}
END_TEST

/* Trap 17, a1. */
START_TEST(a_job_wider_than_its_account_may_ever_be_is_refused_at_once) {
    open_limited("easy", 8, 0, 3);
    feed_at(0, submit(1, 4, 4));
    expect("JOB_STATE job 1 attempt 0 PENDING: AssocGrpNodeLimit: waits for others of its account\n"
           "JOB_STATE job 1 attempt 0 CANCELLED: AssocGrpNodeLimit: needs 4 ranks, its account may "
           "hold 3\n");
    feed_at(1, submit(2, 3, 3));
    expect_state(2, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

START_TEST(an_account_runs_as_many_jobs_as_it_may_and_the_next_in_order) {
    open_limited("easy", 8, 2, 0);
    for (int64_t job = 1; job <= 4; job++)
        feed_at((double)job, submit(job, 1, 1));
    expect_state(2, QD_STATE_RUNNING);
    expect_state(3, QD_STATE_PENDING);
    ck_assert_str_eq(kit_job(3).reason, "AssocGrpJobsLimit: waits for others of its account");
    feed_at(5, of(1, submit(5, 1, 1)));
    expect_state(5, QD_STATE_RUNNING);
    end_at(6, 2, QD_OUTCOME_DONE);
    expect_state(3, QD_STATE_RUNNING);
    expect_state(4, QD_STATE_PENDING);
    kit_close();
}
END_TEST

START_TEST(a_held_or_cancelled_job_leaves_its_place_to_another_of_its_account) {
    open_limited("easy", 4, 0, 4);
    feed_at(0, of(1, estimated(1, 4, 100)));
    feed_at(1, submit(2, 4, 4));
    feed_at(2, submit(3, 3, 3));
    feed_at(3, submit(4, 3, 3));
    feed_at(4, (qd_event){.kind = QD_EVENT_HOLD, .job = 2});
    ck_assert_str_eq(kit_job(3).reason, "waits for 3 ranks");
    feed_at(5, cancel(3, ""));
    ck_assert_str_eq(kit_job(4).reason, "waits for 3 ranks");
    feed_at(6, (qd_event){.kind = QD_EVENT_RELEASE, .job = 2});
    ck_assert_str_eq(kit_job(2).reason, "AssocGrpNodeLimit: waits for others of its account");
    end_at(100, 1, QD_OUTCOME_DONE);
    expect_state(4, QD_STATE_RUNNING);
    expect_state(2, QD_STATE_PENDING);
    kit_close();
}
END_TEST

/* Account 1 keeps the cluster busy; account 0 may hold 4. */
START_TEST(an_important_job_takes_the_place_of_lesser_ones_in_the_queue_but_not_of_running_ones) {
    open_limited("multifactor", 4, 0, 4);
    feed_at(0, of(1, estimated(1, 4, 100)));
    feed_at(1, submit(2, 2, 2));
    feed_at(2, submit(3, 2, 2));
    feed_at(3, important(10, submit(4, 2, 2)));
    ck_assert_str_eq(kit_job(4).reason, "waits for 2 ranks");
    ck_assert_str_eq(kit_job(3).reason, "AssocGrpNodeLimit: waits for others of its account");
    ck_assert_str_eq(kit_job(2).reason, "waits for 2 ranks");
    end_at(100, 1, QD_OUTCOME_DONE);
    expect_state(4, QD_STATE_RUNNING);
    expect_state(2, QD_STATE_RUNNING);
    feed_at(101, important(20, submit(5, 2, 2)));
    expect_state(5, QD_STATE_PENDING);
    end_at(102, 2, QD_OUTCOME_DONE);
    expect_state(5, QD_STATE_RUNNING);
    expect_state(3, QD_STATE_PENDING);
    kit_close();
}
END_TEST

/* One of the array waits for its account, and goes away there: the next one is let through. */
START_TEST(a_member_of_an_array_that_leaves_the_gate_of_its_account_leaves_its_place) {
    open_limited("easy", 4, 1, 0);
    feed_at(0, submit(1, 1, 1));
    for (int64_t job = 2; job <= 4; job++) {
        qd_event event = submit(job, 1, 1);
        event.submit.array = 2;
        event.submit.array_most = job == 2;
        feed_at((double)job, event);
    }
    ck_assert_str_eq(kit_job(2).reason, "AssocGrpJobsLimit: waits for others of its account");
    ck_assert_str_eq(kit_job(3).reason, "JobArrayTaskLimit: waits for others of its array");
    feed_at(5, (qd_event){.kind = QD_EVENT_HOLD, .job = 2});
    ck_assert_str_eq(kit_job(3).reason, "AssocGrpJobsLimit: waits for others of its account");
    feed_at(6, cancel(3, ""));
    end_at(7, 1, QD_OUTCOME_DONE);
    expect_state(4, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* Trap 33: nor does it age behind the limit of its account. */
START_TEST(a_job_behind_its_accounts_limit_does_not_grow_old) {
    qd_why why;
    open_limited("multifactor", 8, 1, 0);
    feed_at(0, estimated(1, 1, 500));
    feed_at(1, submit(2, 1, 1));
    feed_at(400, now());
    ck_assert_int_eq(qd_why_ask(kit.core, 2, &why), 0);
    ck_assert_int_eq(why.age_ns, 0);
    kit_close();
}
END_TEST

/* fifo deals spare ranks out; no more of them than the account may hold. */
START_TEST(spare_ranks_are_dealt_within_the_limit) {
    open_limited("fifo", 8, 0, 5);
    feed_at(0, submit(1, 2, 8));
    ck_assert_int_eq(kit_job(1).rank_count, 5);
    feed_at(1, of(1, submit(2, 1, 8)));
    ck_assert_int_eq(kit_job(2).rank_count, 3);
    kit_close();
}
END_TEST

/* It waits again with its least ranks: what it had beyond them, others of its account may hold. */
START_TEST(a_gang_that_was_not_launched_leaves_its_spare_ranks_to_others_of_its_account) {
    open_limited("fifo", 12, 0, 6);
    qd_event wide = submit(1, 4, 6);
    wide.submit.tells = 1;
    feed_at(0, wide);
    ck_assert_int_eq(kit_job(1).rank_count, 6);
    feed_at(1, submit(2, 2, 2));
    ck_assert_str_eq(kit_job(2).reason, "AssocGrpNodeLimit: waits for others of its account");
    feed_at(2, lost(6, ""));
    for (int rank = 1; rank <= 5; rank++)
        feed_at(2 + rank, ended(1, rank, QD_OUTCOME_ABORTED));
    ck_assert_int_eq(kit_job(1).attempt, 2);
    ck_assert_int_eq(kit_job(1).rank_count, 4);
    expect_state(2, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* Job 3 leaves more to job 4 than that takes: job 2, which came to the gate later, fits then. */
START_TEST(what_the_displaced_leave_and_the_newcomer_does_not_take_lets_others_in) {
    open_limited("multifactor", 8, 0, 6);
    feed_at(0, of(1, submit(1, 6, 6)));
    qd_event held = submit(2, 3, 3);
    held.submit.held = 1;
    feed_at(1, held);
    feed_at(2, submit(3, 5, 5));
    ck_assert_str_eq(kit_job(3).reason, "waits for 5 ranks");
    feed_at(3, (qd_event){.kind = QD_EVENT_RELEASE, .job = 2});
    ck_assert_str_eq(kit_job(2).reason, "AssocGrpNodeLimit: waits for others of its account");
    feed_at(4, important(1, submit(4, 3, 3)));
    ck_assert_str_eq(kit_job(4).reason, "waits for 3 ranks");
    ck_assert_str_eq(kit_job(3).reason, "AssocGrpNodeLimit: waits for others of its account");
    ck_assert_str_eq(kit_job(2).reason, "waits for 3 ranks");
    kit_close();
}
END_TEST

/* Trap 37: a start is charged when it happens. Accounts u and v are 0 and 1. */
START_TEST(after_a_burst_the_first_rank_goes_to_the_account_that_has_used_nothing) {
    qd_scheduling scheduling = *scheduling_of("multifactor");
    kit_open_policy(4, &scheduling);
    for (int64_t job = 1; job <= 100; job++)
        feed_at(0.0001 * (double)job, of(0, estimated(job, 1, 100)));
    feed_at(1, of(1, estimated(101, 1, 100)));
    end_at(100, 1, QD_OUTCOME_DONE);
    expect_state(101, QD_STATE_RUNNING);
    expect_state(5, QD_STATE_PENDING);
    kit_close();
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("account limits");
    tcase_add_test(tc, a_head_that_its_account_keeps_waiting_is_in_nobodys_way);
    tcase_add_test(tc, a_failed_job_gives_ranks_and_quota_back_in_one_event);
    tcase_add_test(tc, a_job_wider_than_its_account_may_ever_be_is_refused_at_once);
    tcase_add_test(tc, an_account_runs_as_many_jobs_as_it_may_and_the_next_in_order);
    tcase_add_test(tc, a_held_or_cancelled_job_leaves_its_place_to_another_of_its_account);
    tcase_add_test(
        tc, an_important_job_takes_the_place_of_lesser_ones_in_the_queue_but_not_of_running_ones);
    tcase_add_test(tc, a_member_of_an_array_that_leaves_the_gate_of_its_account_leaves_its_place);
    tcase_add_test(tc, a_job_behind_its_accounts_limit_does_not_grow_old);
    tcase_add_test(tc, spare_ranks_are_dealt_within_the_limit);
    tcase_add_test(tc,
                   a_gang_that_was_not_launched_leaves_its_spare_ranks_to_others_of_its_account);
    tcase_add_test(tc, what_the_displaced_leave_and_the_newcomer_does_not_take_lets_others_in);
    tcase_add_test(tc, after_a_burst_the_first_rank_goes_to_the_account_that_has_used_nothing);
    Suite *suite = suite_create("scheduler/account_limits");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
