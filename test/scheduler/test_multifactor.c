/* Multifactor priority and fair shares: who comes first, and when that changes. Expected times are
 * worked out by hand from the formulas in policy_multifactor.c and shares.h. */
#include <math.h>

#include "core_kit.h"
#include "scheduler/shares.h"

/* One rank, held by job 1 until it is ended. */
static void open_busy(const qd_scheduling *scheduling) {
    kit_open_policy(1, scheduling);
    kit_at(0);
    qd_event event = estimated(1, 1, 1e6);
    event.submit.account = 9;
    kit_feed(event);
}

static qd_scheduling only(const char *factor) {
    qd_scheduling s = *scheduling_of("multifactor");
    s.weight_class = strcmp(factor, "class") == 0 ? 1000 : 0;
    s.weight_urgency = strcmp(factor, "urgency") == 0 ? 1000 : 0;
    s.weight_age = strcmp(factor, "age") == 0 ? 1000 : 0;
    s.weight_fair_share = strcmp(factor, "fair_share") == 0 ? 1000 : 0;
    s.weight_size = strcmp(factor, "size") == 0 ? 1000 : 0;
    return s;
}

/* Job 1 ends then; which of the others runs now? */
static int64_t next_at(double seconds) {
    kit_at(seconds);
    kit_end(1, QD_OUTCOME_DONE);
    qd_job_view view;
    for (int i = 1; i < qd_core_job_count(kit.core); i++) {
        qd_core_job(kit.core, i, &view);
        if (view.state == QD_STATE_RUNNING)
            return view.job;
    }
    return 0;
}

START_TEST(the_more_important_job_comes_first) {
    qd_scheduling s = only("class");
    open_busy(&s);
    qd_event low = estimated(2, 1, 10), high = estimated(3, 1, 10);
    low.submit.importance = -1;
    high.submit.importance = 1;
    feed_at(1, low);
    feed_at(2, high);
    ck_assert_int_eq(next_at(3), 3);
    kit_close();
}
END_TEST

/* 5 points of class (1000 x 1/200) against 6 of nice. */
START_TEST(nice_takes_points_off) {
    qd_scheduling s = only("class");
    open_busy(&s);
    qd_event nice = estimated(2, 1, 10), plain = estimated(3, 1, 10);
    nice.submit.nice = 6;
    nice.submit.importance = 1;
    feed_at(1, nice);
    feed_at(2, plain);
    ck_assert_int_eq(next_at(3), 3);
    kit_close();
}
END_TEST

START_TEST(equal_jobs_start_in_the_order_of_their_submission) {
    for (int i = 0; i < 2; i++) {
        qd_scheduling s = only(i ? "age" : "none");
        open_busy(&s);
        for (int job = 2; job <= 5; job++) {
            qd_event event = estimated(job, 1, 10);
            event.more = job < 5;
            kit_at(1);
            kit_feed(event);
        }
        ck_assert_int_eq(next_at(3), 2);
        kit_close();
    }
}
END_TEST

/* 1000 points a week of age; 100 of importance are 500 points: worth half a week. */
START_TEST(age_overtakes_importance_when_it_is_worth_more) {
    for (int late = 0; late < 2; late++) {
        qd_scheduling s = only("age");
        s.weight_class = 1000;
        open_busy(&s);
        qd_event important = estimated(3, 1, 10);
        important.submit.importance = 100;
        feed_at(1, estimated(2, 1, 10));
        feed_at(1 + s.age_s / 2 + (late ? 1 : -1), important);
        ck_assert_int_eq(next_at(2 * s.age_s), late ? 2 : 3);
        kit_close();
    }
}
END_TEST

/* Deadline 100,000, run 10,000: it must start by 90,000, and its urgency rises from 3,600 on. */
START_TEST(urgency_rises_from_when_the_deadline_comes_into_sight) {
    static const struct {
        double at_s;
        int64_t next;
    } cases[] = {{3500, 2}, {3700, 3}, {99000, 3}};
    for (int i = 0; i < 3; i++) {
        qd_scheduling s = only("urgency");
        open_busy(&s);
        qd_event urgent = estimated(3, 1, 10000);
        urgent.submit.deadline_ns = 100000000000000;
        feed_at(1, estimated(2, 1, 10));
        feed_at(2, urgent);
        ck_assert_int_eq(qd_core_wake_ns(kit.core), 3600000000000);
        ck_assert_int_eq(next_at(cases[i].at_s), cases[i].next);
        kit_close();
    }
}
END_TEST

/* 1000 points of urgency in a day against 500 of importance: half a day after 3,600. */
START_TEST(the_core_asks_to_be_woken_when_the_urgent_one_passes_the_head) {
    qd_scheduling s = only("urgency");
    s.weight_class = 1000;
    kit_open_policy(2, &s);
    feed_at(0, estimated(1, 1, 1e6));
    qd_event wide = estimated(2, 2, 10), urgent = estimated(3, 1, 1e6);
    wide.submit.importance = 100;
    urgent.submit.deadline_ns = (int64_t)((3600 + s.urgency_s + 1e6) * 1e9);
    feed_at(1, wide);
    feed_at(2, urgent); /* would delay the wide one */
    expect_state(3, QD_STATE_PENDING);
    feed_at(3600, now());
    double passes_s = (double)qd_core_wake_ns(kit.core) * 1e-9;
    ck_assert_double_eq_tol(passes_s, 3600 + s.urgency_s / 2, 1e-3);
    feed_at(passes_s - 1, now());
    expect_state(3, QD_STATE_PENDING);
    feed_at(passes_s, now());
    expect_state(3, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

START_TEST(a_wide_job_comes_first_where_size_counts) {
    qd_scheduling s = only("size");
    kit_open_policy(4, &s);
    feed_at(0, estimated(1, 4, 1e6));
    feed_at(1, estimated(2, 1, 10));
    feed_at(2, estimated(3, 4, 10));
    ck_assert_int_eq(next_at(3), 3);
    kit_close();
}
END_TEST

/* u submits four jobs at 0, v one at 1: a start is charged when it happens, so at 100 the first
 * rank that is free goes to v. */
START_TEST(a_burst_is_counted_before_it_has_run) {
    qd_scheduling s = only("fair_share");
    kit_open_policy(2, &s);
    for (int job = 1; job <= 4; job++) {
        qd_event event = estimated(job, 1, 100);
        event.more = job < 4;
        kit_at(0);
        kit_feed(event);
    }
    qd_event v = estimated(5, 1, 100);
    v.submit.account = 1;
    feed_at(1, v);
    kit_at(100);
    kit_end(1, QD_OUTCOME_DONE);
    expect_state(5, QD_STATE_RUNNING);
    expect_state(3, QD_STATE_PENDING);
    kit_close();
}
END_TEST

/* Three free ranks: u has the earlier jobs, and after each start the other account is next. */
START_TEST(shares_are_counted_anew_within_one_decision) {
    qd_scheduling s = only("fair_share");
    kit_open_policy(3, &s);
    for (int job = 1; job <= 4; job++) {
        qd_event event = estimated(job, 1, 100);
        event.submit.account = job <= 3 ? 0 : 1;
        event.more = job < 4;
        kit_at(0);
        kit_feed(event);
    }
    expect_state(1, QD_STATE_RUNNING);
    expect_state(2, QD_STATE_RUNNING);
    expect_state(3, QD_STATE_PENDING);
    expect_state(4, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* ---- shares ---- */

/* Accounts beside each other, all alike. */
static const qd_team_tree *flat(void) {
    static qd_team_tree *tree;
    if (!tree)
        ck_assert_int_eq(qd_teams_create(scheduling_of("multifactor"), &tree), 0);
    return tree;
}

START_TEST(usage_halves_with_the_half_life) {
    qd_shares shares;
    qd_shares_init(&shares, 1000, flat());
    qd_shares_see(&shares, 0);
    qd_shares_see(&shares, 1);
    qd_shares_use(&shares, 0, 0, 800);
    qd_shares_use(&shares, 1, 2000000000000, 200); /* two half-lives later: 200 of each */
    ck_assert_double_eq_tol(qd_shares_factor(&shares, 0), 0.5, 1e-12);
    ck_assert_double_eq_tol(qd_shares_factor(&shares, 1), 0.5, 1e-12);
}
END_TEST

START_TEST(tiny_usage_is_not_cut_to_nothing) {
    qd_shares shares;
    qd_shares_init(&shares, 30 * 86400, flat());
    for (int account = 0; account < 3; account++)
        qd_shares_see(&shares, account);
    for (int i = 0; i < 10; i++)
        qd_shares_use(&shares, 0, i, 0.001);
    qd_shares_use(&shares, 1, 10, 0.005);
    ck_assert_double_eq(qd_shares_factor(&shares, 2), 1);
    ck_assert_double_lt(qd_shares_factor(&shares, 1), 1);
    ck_assert_double_lt(qd_shares_factor(&shares, 0), qd_shares_factor(&shares, 1));
}
END_TEST

START_TEST(nothing_overflows_in_ten_thousand_half_lives) {
    qd_shares shares;
    qd_shares_init(&shares, 1, flat());
    qd_shares_see(&shares, 0);
    qd_shares_see(&shares, 1);
    for (int64_t s = 0; s <= 10000; s++) {
        qd_shares_use(&shares, 0, s * 1000000000, 3);
        qd_shares_use(&shares, 1, s * 1000000000, 1);
    }
    /* Sums of the same geometric series: three quarters and a quarter. */
    ck_assert_double_eq_tol(qd_shares_factor(&shares, 0), exp2(-1.5), 1e-9);
    ck_assert_double_eq_tol(qd_shares_factor(&shares, 1), exp2(-0.5), 1e-9);
}
END_TEST

START_TEST(what_is_taken_back_leaves_nothing) {
    qd_shares shares;
    qd_shares_init(&shares, 1000, flat());
    qd_shares_see(&shares, 0);
    qd_shares_use(&shares, 0, 5, 100);
    qd_shares_use(&shares, 0, 5, -100);
    ck_assert_double_eq(qd_shares_factor(&shares, 0), 1);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("multifactor");
    tcase_add_test(tc, the_more_important_job_comes_first);
    tcase_add_test(tc, nice_takes_points_off);
    tcase_add_test(tc, equal_jobs_start_in_the_order_of_their_submission);
    tcase_add_test(tc, age_overtakes_importance_when_it_is_worth_more);
    tcase_add_test(tc, urgency_rises_from_when_the_deadline_comes_into_sight);
    tcase_add_test(tc, the_core_asks_to_be_woken_when_the_urgent_one_passes_the_head);
    tcase_add_test(tc, a_wide_job_comes_first_where_size_counts);
    tcase_add_test(tc, a_burst_is_counted_before_it_has_run);
    tcase_add_test(tc, shares_are_counted_anew_within_one_decision);
    tcase_add_test(tc, usage_halves_with_the_half_life);
    tcase_add_test(tc, tiny_usage_is_not_cut_to_nothing);
    tcase_add_test(tc, nothing_overflows_in_ten_thousand_half_lives);
    tcase_add_test(tc, what_is_taken_back_leaves_nothing);
    Suite *suite = suite_create("scheduler/multifactor");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
