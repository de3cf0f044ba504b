/* Ranks kept from others for a while: held back in time, given to those they are for, repaired, and
 * given back. */
#include "core_kit.h"
#include "scheduler/why.h"

static int64_t ns(double seconds) {
    return (int64_t)(seconds * 1e9);
}

static qd_event maintenance(int64_t number, double from_s, double until_s) {
    qd_event event = reserve(number, 0, from_s, until_s);
    event.reserve.kind = QD_RESERVATION_MAINTENANCE;
    return event;
}

static qd_event again(qd_event event, double every_s) {
    event.reserve.every_ns = ns(every_s);
    return event;
}

static qd_event unreserve(int64_t number) {
    qd_event event = {.kind = QD_EVENT_UNRESERVE};
    event.reserve.number = number;
    return event;
}

static qd_event of(qd_event event, int64_t reservation) {
    event.submit.reservation = reservation;
    return event;
}

static qd_event keeps_ranks(qd_event event) {
    event.submit.keeps_ranks = 1;
    return event;
}

/* A save takes no more than 10 s. */
static void open_policy(const char *policy, int ranks) {
    qd_scheduling scheduling = *scheduling_of(policy);
    scheduling.save_grace_s = 10;
    scheduling.min_run_s = 5;
    kit_open_policy(ranks, &scheduling);
}

static qd_reservation_view reservation(int i) {
    qd_reservation_view view;
    ck_assert(qd_core_reservation(kit.core, i, &view));
    return view;
}

static double wake_s(void) {
    return (double)qd_core_wake_ns(kit.core) * 1e-9;
}

static const char *const all_policies[] = {"fifo",         "sjf",         "easy",
                                           "conservative", "multifactor", "attained"};
enum { POLICIES = sizeof all_policies / sizeof all_policies[0] };

/* Trap 10, the rest of it: test_reservation_book.c has who is refused. */
START_TEST(a_job_predicted_to_end_just_when_its_reservation_does_is_allowed) {
    open_policy("easy", 8);
    feed_at(0, reserve(1, 4, 100, 200));
    feed_at(1, reserve(2, 6, 200, 300));
    kit_at(2);
    kit_refused(reserve(3, 4, 150, 250),
                "RESERVE: reservation r3: beside reservation r2 it lacks 2 ranks in [200 s, 250 "
                "s)");
    feed_at(3, of(estimated(1, 4, 100), 1));
    expect_state(1, QD_STATE_PENDING);
    ck_assert_str_eq(kit_job(1).reason, "Reservation: waits for its reservation");
    feed_at(100, now());
    expect_state(1, QD_STATE_RUNNING);
    feed_at(195, now());
    expect_state(1, QD_STATE_RUNNING);
    end_at(200, 1, QD_OUTCOME_DONE);
    expect_state(1, QD_STATE_COMPLETED);
    ck_assert_int_eq(reservation(0).is.number, 2);
    ck_assert_int_eq(reservation(0).has, 6);
    kit_close();
}
END_TEST

/* Trap 11. */
START_TEST(one_that_begins_this_instant_comes_before_the_head_of_the_queue) {
    for (int i = 0; i < POLICIES; i++) {
        open_policy(all_policies[i], 8);
        feed_at(0, estimated(1, 8, 100));
        feed_at(1, reserve(1, 8, 100, 200));
        feed_at(2, estimated(2, 4, 50));
        end_at(100, 1, QD_OUTCOME_DONE);
        ck_assert_int_eq(reservation(0).has, 8);
        ck_assert_msg(kit_job(2).state == QD_STATE_PENDING, "%s", all_policies[i]);
        feed_at(199, now());
        expect_state(2, QD_STATE_PENDING);
        feed_at(200, now());
        ck_assert_msg(kit_job(2).state == QD_STATE_RUNNING, "%s", all_policies[i]);
        kit_close();
    }
}
END_TEST

/* Trap 12. */
START_TEST(deleting_what_never_began_gives_back_its_claim_and_no_ranks) {
    open_policy("conservative", 8);
    feed_at(0, estimated(1, 6, 500));
    feed_at(1, reserve(1, 2, 300, 400));
    feed_at(10, unreserve(1));
    feed_at(11, estimated(2, 4, 50));
    feed_at(12, estimated(3, 2, 488));
    expect_state(3, QD_STATE_RUNNING);
    feed_at(499, now());
    expect_state(2, QD_STATE_PENDING);
    end_at(500, 1, QD_OUTCOME_DONE);
    expect_state(2, QD_STATE_RUNNING);
    kit_refused(unreserve(1), "UNRESERVE: there is no reservation 1");
    kit_close();
}
END_TEST

/* Trap 13. */
START_TEST(a_rank_that_dies_in_a_running_reservation_is_replaced_alone) {
    open_policy("easy", 8);
    feed_at(0, reserve(1, 4, 100, 200));
    feed_at(1, of(estimated(1, 2, 90), 1));
    feed_at(100, now());
    ck_assert_int_eq(kit_job(1).ranks[0], 1);
    ck_assert_int_eq(kit_job(1).ranks[1], 2);
    feed_at(119, estimated(2, 4, 50));
    feed_at(120, lost(4, "silent"));
    ck_assert_int_eq(reservation(0).has, 3); /* degraded: none is free */
    feed_at(130, estimated(3, 1, 5));
    expect_state(3, QD_STATE_PENDING);
    end_at(140, 2, QD_OUTCOME_DONE);
    ck_assert_int_eq(reservation(0).has, 4); /* the first that becomes free is its own */
    expect_state(3, QD_STATE_RUNNING);
    ck_assert_int_eq(kit_job(3).ranks[0], 6);
    expect_state(1, QD_STATE_RUNNING);
    ck_assert_int_eq(kit_job(1).ranks[0], 1);
    ck_assert_int_eq(kit_job(1).attempt, 1);
    kit_close();
}
END_TEST

START_TEST(a_job_that_would_not_be_out_in_time_does_not_start_before_it) {
    for (int i = 0; i < POLICIES - 1; i++) { /* attained knows no run times */
        open_policy(all_policies[i], 8);
        feed_at(0, reserve(1, 6, 100, 200));
        feed_at(1, estimated(1, 3, 100));
        ck_assert_msg(kit_job(1).state == QD_STATE_PENDING, "%s", all_policies[i]);
        feed_at(200, now());
        ck_assert_msg(kit_job(1).state == QD_STATE_RUNNING, "%s", all_policies[i]);
        kit_close();
        open_policy(all_policies[i], 8);
        feed_at(0, reserve(1, 6, 100, 200));
        feed_at(1, estimated(1, 3, 99));
        feed_at(2, estimated(2, 2, 1000));
        ck_assert_msg(kit_job(1).state == QD_STATE_RUNNING, "%s", all_policies[i]);
        ck_assert_msg(kit_job(2).state == QD_STATE_RUNNING, "%s", all_policies[i]);
        end_at(100, 1, QD_OUTCOME_DONE);
        ck_assert_int_eq(reservation(0).has, 6);
        kit_close();
    }
}
END_TEST

START_TEST(a_job_whose_run_nobody_knows_starts_and_is_saved_by_the_start) {
    for (int i = 0; i < POLICIES; i++) {
        open_policy(all_policies[i], 8);
        feed_at(0, reserve(1, 6, 100, 200));
        feed_at(1, submit(1, 8, 8));
        ck_assert_msg(kit_job(1).state == QD_STATE_RUNNING, "%s", all_policies[i]);
        ck_assert_double_le(wake_s(), 90);
        feed_at(89, now());
        expect_state(1, QD_STATE_RUNNING);
        feed_at(90, now());
        expect_state(1, QD_STATE_COMPLETING);
        ck_assert_str_eq(kit_job(1).reason, "makes room for reservation r1");
        end_at(95, 1, QD_OUTCOME_SAVED);
        ck_assert_msg(kit_job(1).state == QD_STATE_PENDING, "%s", all_policies[i]);
        feed_at(100, now());
        ck_assert_int_eq(reservation(0).has, 6);
        expect_state(1, QD_STATE_PENDING);
        feed_at(200, now());
        ck_assert_msg(kit_job(1).state == QD_STATE_RUNNING, "%s", all_policies[i]);
        ck_assert_int_eq(kit_job(1).attempt, 2);
        kit_close();
    }
}
END_TEST

START_TEST(who_makes_way_are_as_few_as_will_do_and_they_do_not_claim_their_ranks_back) {
    qd_scheduling scheduling = *scheduling_of("multifactor");
    scheduling.save_grace_s = 10;
    scheduling.preempt_by = QD_PREEMPT_CLASS;
    kit_open_policy(8, &scheduling);
    feed_at(0, submit(1, 3, 3));
    feed_at(1, submit(2, 3, 3));
    feed_at(2, submit(3, 2, 2));
    feed_at(3, reserve(1, 2, 100, 200));
    feed_at(90, now());
    expect_state(1, QD_STATE_RUNNING);
    expect_state(2, QD_STATE_RUNNING);
    expect_state(3, QD_STATE_COMPLETING);
    end_at(91, 3, QD_OUTCOME_SAVED);
    expect_state(3, QD_STATE_PENDING);
    feed_at(100, now());
    ck_assert_int_eq(reservation(0).has, 2);
    expect_state(3, QD_STATE_PENDING);
    feed_at(200, now());
    expect_state(3, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

START_TEST(a_job_that_outruns_its_estimate_is_told_when_it_does_and_cut_off_at_the_start) {
    open_policy("fifo", 4);
    feed_at(0, reserve(1, 4, 100, 200));
    feed_at(1, estimated(1, 4, 95));
    feed_at(90, now());
    expect_state(1, QD_STATE_RUNNING); /* it will be out at 96 */
    ck_assert_double_eq(wake_s(), 96);
    feed_at(96, now());
    expect_state(1, QD_STATE_COMPLETING);
    ck_assert_double_eq(wake_s(), 100);
    feed_at(100, now());
    expect("ABORT job 1 attempt 1 epoch 1 ranks 1-4: had not saved after 4 s\n");
    ck_assert_int_eq(reservation(0).has, 0);
    end_at(100.5, 1, QD_OUTCOME_ABORTED);
    ck_assert_int_eq(reservation(0).has, 4);
    expect_state(1, QD_STATE_PENDING);
    kit_close();
}
END_TEST

START_TEST(one_that_must_not_be_told_is_taken_at_its_word_and_keeps_its_ranks) {
    open_policy("easy", 4);
    feed_at(0, reserve(1, 3, 100, 200));
    feed_at(1, keeps_ranks(submit(1, 2, 2))); /* could run for ever */
    expect_state(1, QD_STATE_PENDING);
    feed_at(2, keeps_ranks(estimated(2, 2, 50)));
    feed_at(3, unreserve(1));
    expect_state(2, QD_STATE_RUNNING);
    feed_at(4, reserve(2, 3, 60, 100));
    feed_at(59, now());
    expect_state(2, QD_STATE_RUNNING);
    feed_at(60, now());
    expect_state(2, QD_STATE_RUNNING);
    ck_assert_int_eq(reservation(0).has, 0);
    end_at(70, 2, QD_OUTCOME_DONE);
    ck_assert_int_eq(reservation(0).has, 2);
    kit_close();
}
END_TEST

START_TEST(jobs_still_inside_are_saved_by_the_end_and_wait_as_others_do) {
    open_policy("fifo", 4);
    feed_at(0, reserve(1, 4, 10, 100));
    feed_at(1, of(submit(1, 2, 2), 1));
    feed_at(2, of(estimated(2, 2, 50), 1));
    feed_at(10, now());
    expect_state(1, QD_STATE_RUNNING);
    expect_state(2, QD_STATE_RUNNING);
    end_at(60, 2, QD_OUTCOME_DONE);
    feed_at(61, estimated(3, 1, 1)); /* of nobody's: it stays outside */
    expect_state(3, QD_STATE_PENDING);
    feed_at(90, now());
    expect_state(1, QD_STATE_COMPLETING);
    ck_assert_str_eq(kit_job(1).reason, "its reservation ends");
    end_at(92, 1, QD_OUTCOME_SAVED);
    expect_state(1, QD_STATE_PENDING);
    feed_at(99, now());
    expect_state(1, QD_STATE_PENDING);
    feed_at(100, now());
    expect_state(1, QD_STATE_RUNNING);
    expect_state(3, QD_STATE_RUNNING);
    qd_reservation_view view;
    ck_assert(!qd_core_reservation(kit.core, 0, &view));
    kit_close();
}
END_TEST

START_TEST(one_that_outstays_its_reservation_holds_its_ranks_as_others_do) {
    open_policy("easy", 4);
    feed_at(0, reserve(1, 4, 10, 100));
    feed_at(1, keeps_ranks(of(estimated(1, 3, 80), 1)));
    feed_at(10, now());
    expect_state(1, QD_STATE_RUNNING);
    feed_at(100, now());
    expect_state(1, QD_STATE_RUNNING);
    feed_at(101, estimated(2, 2, 5));
    feed_at(102, estimated(3, 1, 5));
    expect_state(2, QD_STATE_PENDING);
    expect_state(3, QD_STATE_RUNNING);
    end_at(105, 1, QD_OUTCOME_DONE);
    expect_state(2, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

START_TEST(nobody_runs_in_maintenance_and_nobody_may_name_it) {
    open_policy("easy", 4);
    feed_at(0, maintenance(1, 100, 200));
    kit_at(1);
    kit_refused(of(submit(1, 1, 1), 1), "SUBMIT: job 1: reservation r1 is for maintenance");
    feed_at(2, submit(1, 1, 1));
    feed_at(3, submit(2, 3, 3));
    feed_at(90, now());
    expect_state(1, QD_STATE_COMPLETING);
    expect_state(2, QD_STATE_COMPLETING);
    end_at(92, 1, QD_OUTCOME_SAVED);
    end_at(93, 2, QD_OUTCOME_SAVED);
    feed_at(100, now());
    ck_assert_int_eq(reservation(0).has, 4);
    feed_at(150, estimated(3, 1, 1));
    expect_state(3, QD_STATE_PENDING);
    feed_at(200, now());
    expect_state(1, QD_STATE_RUNNING);
    expect_state(2, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

START_TEST(a_reservation_that_cannot_take_a_job_refuses_it_by_name) {
    open_policy("fifo", 8);
    qd_event event = reserve(1, 4, 100, 200);
    event.reserve.account = 3;
    feed_at(0, event);
    kit_at(1);
    kit_refused(of(submit(1, 5, 5), 1), "SUBMIT: job 1: needs 5 ranks, reservation r1 has 4");
    kit_at(1);
    kit_refused(of(submit(1, 1, 1), 1),
                "SUBMIT: job 1: reservation r1 is for account 3, not for 0");
    kit_at(1);
    kit_refused(of(submit(1, 1, 1), 7), "SUBMIT: job 1: there is no reservation 7");
    kit_close();
}
END_TEST

START_TEST(one_that_comes_again_begins_again_with_those_that_wait_for_it) {
    open_policy("easy", 4);
    feed_at(0, again(reserve(1, 2, 100, 200), 3600));
    feed_at(1, of(submit(1, 2, 2), 1));
    feed_at(100, now());
    expect_state(1, QD_STATE_RUNNING);
    feed_at(190, now());
    end_at(195, 1, QD_OUTCOME_SAVED);
    expect_state(1, QD_STATE_PENDING);
    feed_at(200, now());
    expect_state(1, QD_STATE_PENDING);
    ck_assert_int_eq(reservation(0).is.from_ns, ns(3700));
    /* As long as the gap: beside it there is no room for so wide a job, ever, so it yields. */
    feed_at(201, estimated(2, 4, 5000));
    expect_state(2, QD_STATE_RUNNING);
    feed_at(3690, now());
    end_at(3695, 2, QD_OUTCOME_SAVED);
    feed_at(3700, now());
    expect_state(1, QD_STATE_RUNNING);
    ck_assert_int_eq(kit_job(1).attempt, 2);
    kit_close();
}
END_TEST

START_TEST(backfill_passes_a_head_that_waits_for_a_reservation_to_end) {
    open_policy("easy", 8);
    feed_at(0, reserve(1, 6, 100, 200));
    feed_at(1, estimated(1, 4, 150)); /* promised 200 */
    feed_at(2, estimated(2, 6, 98));  /* out at 100 */
    feed_at(3, estimated(3, 2, 300)); /* beside both */
    feed_at(4, estimated(4, 1, 96));
    expect_state(1, QD_STATE_PENDING);
    expect_state(2, QD_STATE_RUNNING);
    expect_state(3, QD_STATE_RUNNING);
    expect_state(4, QD_STATE_PENDING);
    end_at(50, 2, QD_OUTCOME_DONE);
    feed_at(51, estimated(5, 4, 49));
    expect_state(4, QD_STATE_PENDING); /* 50 s from 50 on would be enough, not 96 */
    expect_state(5, QD_STATE_RUNNING);
    end_at(100, 5, QD_OUTCOME_DONE);
    feed_at(200, now());
    expect_state(1, QD_STATE_RUNNING);
    expect_state(4, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

START_TEST(a_copy_of_the_core_goes_on_with_its_reservations) {
    open_policy("conservative", 8);
    feed_at(0, reserve(1, 4, 10, 100));
    feed_at(1, again(reserve(2, 2, 50, 60), 3600));
    feed_at(2, of(submit(1, 2, 2), 1));
    feed_at(3, of(estimated(2, 3, 20), 1));
    feed_at(4, submit(3, 4, 4));
    feed_at(10, now());
    qd_core *copy;
    qd_action_list actions;
    ck_assert_int_eq(qd_core_copy(kit.core, &copy), 0);
    ck_assert_uint_eq(qd_core_digest(copy), qd_core_digest(kit.core));
    for (double s = 11; s < 120; s++) {
        qd_event event = now();
        event.time_ns = ns(s);
        ck_assert_int_eq(qd_core_handle(copy, &event, &actions), 0);
        feed_at(s, now());
        ck_assert_uint_eq(qd_core_digest(copy), qd_core_digest(kit.core));
    }
    qd_core_destroy(copy);
    kit_close();
}
END_TEST

static qd_why why(int64_t job) {
    qd_why answer;
    ck_assert_int_eq(qd_why_ask(kit.core, job, &answer), 0);
    return answer;
}

START_TEST(why_names_the_reservation_in_the_way_and_until_when) {
    open_policy("easy", 4);
    feed_at(0, maintenance(1, 100, 200));
    feed_at(1, reserve(2, 3, 300, 400));
    feed_at(2, of(estimated(1, 3, 50), 2));
    feed_at(3, estimated(2, 1, 98));
    feed_at(4, estimated(3, 2, 50));
    expect_state(3, QD_STATE_RUNNING);
    qd_why answer = why(2);
    ck_assert_int_eq(answer.count, 1);
    ck_assert_int_eq(answer.reasons[0].reason, QD_REASON_MAINTENANCE);
    ck_assert_str_eq(qd_reason_names[QD_REASON_MAINTENANCE],
                     "ReqNodeNotAvail, Reserved for maintenance");
    ck_assert_str_eq(answer.reasons[0].reservation, "r1");
    ck_assert_int_eq(answer.reasons[0].until_ns, ns(200));
    ck_assert_int_eq(answer.start_ns, ns(200));
    answer = why(1);
    ck_assert_int_eq(answer.count, 1);
    ck_assert_int_eq(answer.reasons[0].reason, QD_REASON_RESERVATION);
    ck_assert_str_eq(answer.reasons[0].reservation, "r2");
    ck_assert_int_eq(answer.reasons[0].until_ns, ns(300));
    ck_assert_int_eq(answer.start_ns, ns(300));
    end_at(54, 3, QD_OUTCOME_DONE);
    feed_at(150, estimated(4, 2, 200));
    answer = why(4); /* until 200 by maintenance, then behind job 2 and beside r2 */
    ck_assert_int_eq(answer.reasons[0].reason, QD_REASON_MAINTENANCE);
    feed_at(200, now());
    expect_state(2, QD_STATE_RUNNING);
    answer = why(4);
    ck_assert_int_eq(answer.count, 1);
    ck_assert_int_eq(answer.reasons[0].reason, QD_REASON_RESERVATION);
    ck_assert_int_eq(answer.reasons[0].until_ns, ns(400));
    ck_assert_int_eq(answer.start_ns, ns(400));
    kit_close();
}
END_TEST

/* It was made room for before the reservation was known, and would run beyond its beginning. */
START_TEST(a_claim_waits_for_a_reservation_that_has_come_into_its_way) {
    qd_scheduling scheduling = *scheduling_of("multifactor");
    scheduling.save_grace_s = 10;
    scheduling.min_run_s = 5;
    scheduling.preempt_by = QD_PREEMPT_CLASS;
    kit_open_policy(8, &scheduling);
    qd_event low = estimated(1, 6, 1000);
    low.submit.importance = -1;
    feed_at(0, low);
    feed_at(10, estimated(2, 4, 1000));
    expect_state(1, QD_STATE_COMPLETING);
    feed_at(12, reserve(1, 4, 15, 30));
    feed_at(13, ended(1, kit_job(1).ranks[0], QD_OUTCOME_SAVED));
    feed_at(13, ended(1, kit_job(1).ranks[1], QD_OUTCOME_SAVED));
    expect_state(2, QD_STATE_PENDING);
    feed_at(15, now());
    ck_assert_int_eq(reservation(0).has, 4);
    for (int i = 2; i < 6; i++)
        feed_at(18, ended(1, kit_job(1).ranks[i], QD_OUTCOME_SAVED));
    expect_state(2, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("reservations");
    TCase *tc = tcase_create("reservations");
    tcase_set_timeout(tc, 30);
    suite_add_tcase(suite, tc);
    tcase_add_test(tc, a_job_predicted_to_end_just_when_its_reservation_does_is_allowed);
    tcase_add_test(tc, one_that_begins_this_instant_comes_before_the_head_of_the_queue);
    tcase_add_test(tc, deleting_what_never_began_gives_back_its_claim_and_no_ranks);
    tcase_add_test(tc, a_rank_that_dies_in_a_running_reservation_is_replaced_alone);
    tcase_add_test(tc, a_job_that_would_not_be_out_in_time_does_not_start_before_it);
    tcase_add_test(tc, a_job_whose_run_nobody_knows_starts_and_is_saved_by_the_start);
    tcase_add_test(tc, who_makes_way_are_as_few_as_will_do_and_they_do_not_claim_their_ranks_back);
    tcase_add_test(tc,
                   a_job_that_outruns_its_estimate_is_told_when_it_does_and_cut_off_at_the_start);
    tcase_add_test(tc, one_that_must_not_be_told_is_taken_at_its_word_and_keeps_its_ranks);
    tcase_add_test(tc, jobs_still_inside_are_saved_by_the_end_and_wait_as_others_do);
    tcase_add_test(tc, one_that_outstays_its_reservation_holds_its_ranks_as_others_do);
    tcase_add_test(tc, nobody_runs_in_maintenance_and_nobody_may_name_it);
    tcase_add_test(tc, a_reservation_that_cannot_take_a_job_refuses_it_by_name);
    tcase_add_test(tc, one_that_comes_again_begins_again_with_those_that_wait_for_it);
    tcase_add_test(tc, backfill_passes_a_head_that_waits_for_a_reservation_to_end);
    tcase_add_test(tc, a_copy_of_the_core_goes_on_with_its_reservations);
    tcase_add_test(tc, why_names_the_reservation_in_the_way_and_until_when);
    tcase_add_test(tc, a_claim_waits_for_a_reservation_that_has_come_into_its_way);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad != 0;
}
