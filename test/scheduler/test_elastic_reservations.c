/* Elastic jobs beside reservations: what they were lent is given back in time, and they neither
 * start wider nor grow into what is promised. P: {4..8} of 8 ranks. A save takes no more than 10 s.
 */
#include "core_kit.h"

static int64_t ns(double seconds) {
    return (int64_t)(seconds * 1e9);
}

static void open_growing(const char *policy, int ranks) {
    qd_scheduling scheduling = *scheduling_of(policy);
    scheduling.save_grace_s = 10;
    scheduling.min_run_s = 5;
    scheduling.grow = true;
    scheduling.grow_min_run_s = 5;
    scheduling.grow_cost_s = 5;
    kit_open_policy(ranks, &scheduling);
}

static qd_event of(qd_event event, int64_t reservation) {
    event.submit.reservation = reservation;
    return event;
}

static qd_event resize(int64_t job, int ranks) {
    qd_event event = {.kind = QD_EVENT_RESIZE, .job = job};
    event.submit.ranks_min = ranks;
    return event;
}

static qd_event up_to(qd_event event, int ranks) {
    event.submit.ranks_max = ranks;
    return event;
}

static void expect_held(int i, int ranks) {
    qd_reservation_view view;
    ck_assert(qd_core_reservation(kit.core, i, &view));
    ck_assert_int_eq(view.has, ranks);
}

static void expect_size(int64_t job, int count) {
    ck_assert_int_eq(kit_job(job).rank_count, count);
}

/* Trap 14: told a save before, so that they are idle at 100; who fits before then has them. */
START_TEST(a_lent_rank_comes_back_by_the_start_of_a_reservation) {
    open_growing("easy", 8);
    feed_at(0, submit(1, 4, 8));
    expect_size(1, 8);
    feed_at(1, reserve(1, 4, 100, 200));
    ck_assert_int_eq(qd_core_wake_ns(kit.core), ns(90));
    feed_at(90, now());
    expect("JOB_STATE job 1 attempt 1 RESIZING: shrinks to 4 ranks: makes room for reservation r1\n"
           "RESIZE job 1 attempt 1 epoch 1 ranks 1-4: shrinks to 4 ranks: makes room for "
           "reservation r1\n"
           "STOP job 1 attempt 1 epoch 1 ranks 1-8: shrinks to 4 ranks: makes room for "
           "reservation r1\n");
    end_at(92, 1, QD_OUTCOME_SAVED);
    expect_state(1, QD_STATE_RUNNING);
    expect_size(1, 4);
    feed_at(93, estimated(2, 4, 8));
    expect_state(2, QD_STATE_PENDING);
    feed_at(94, estimated(3, 4, 6));
    expect_state(3, QD_STATE_RUNNING);
    end_at(100, 3, QD_OUTCOME_DONE);
    expect_held(0, 4);
    expect_size(1, 4);
    feed_at(200, now());
    expect_state(2, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* Trap 14: a rigid one is saved whole, and has its age. */
START_TEST(a_rigid_job_is_saved_whole_by_the_start_and_keeps_its_age) {
    open_growing("easy", 8);
    feed_at(0, submit(1, 8, 8));
    feed_at(1, reserve(1, 4, 100, 200));
    feed_at(2, submit(2, 8, 8));
    feed_at(90, now());
    expect_state(1, QD_STATE_COMPLETING);
    end_at(95, 1, QD_OUTCOME_SAVED);
    expect_state(1, QD_STATE_PENDING);
    feed_at(100, now());
    expect_held(0, 4);
    feed_at(200, now());
    expect_state(1, QD_STATE_RUNNING);
    expect_state(2, QD_STATE_PENDING);
    kit_close();
}
END_TEST

/* It loses what it had not saved, and not its ranks. */
START_TEST(one_that_does_not_save_in_time_is_cut_off_at_the_start_and_goes_on) {
    open_growing("easy", 8);
    feed_at(0, submit(1, 4, 8));
    feed_at(1, reserve(1, 4, 100, 200));
    feed_at(90, now());
    feed_at(100, now());
    expect("ABORT job 1 attempt 1 epoch 1 ranks 1-8: had not saved after 10 s\n");
    expect_held(0, 0);
    end_at(101, 1, QD_OUTCOME_ABORTED);
    expect_state(1, QD_STATE_RUNNING);
    expect_size(1, 4);
    expect_held(0, 4);
    kit_close();
}
END_TEST

/* Those that give as much as is needed and no more, and nobody is saved whole beside them. */
START_TEST(loans_come_back_before_anybody_is_saved_whole) {
    open_growing("fifo", 8);
    feed_at(0, submit(1, 2, 4));
    feed_at(0, submit(2, 2, 2));
    feed_at(0, submit(3, 1, 4));
    int wide = kit_job(1).rank_count + kit_job(3).rank_count;
    feed_at(1, reserve(1, 8 - wide + 1, 100, 200));
    feed_at(90, now());
    expect_state(2, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

START_TEST(a_job_starts_no_wider_and_grows_no_earlier_than_leaves_a_reservation_its_ranks) {
    open_growing("easy", 8);
    feed_at(0, reserve(1, 4, 100, 200));
    feed_at(1, up_to(estimated(1, 4, 500), 8));
    expect_size(1, 4);
    feed_at(50, now());
    expect_state(1, QD_STATE_RUNNING);
    feed_at(60, resize(1, 8)); /* nor by hand */
    expect_state(1, QD_STATE_RUNNING);
    feed_at(100, now());
    expect_held(0, 4);
    expect_state(1, QD_STATE_RUNNING);
    feed_at(200, now());
    expect_state(1, QD_STATE_RESIZING);
    end_at(201, 1, QD_OUTCOME_SAVED);
    expect_size(1, 8);
    kit_close();
}
END_TEST

/* 90 s on 8 ranks; at 85 it is to have 4, and would hold them beyond 100. */
START_TEST(one_that_is_being_resized_does_not_go_on_into_a_reservation) {
    open_growing("easy", 8);
    feed_at(0, up_to(estimated(1, 4, 180), 8));
    expect_size(1, 8);
    feed_at(1, reserve(1, 8, 100, 200));
    feed_at(85, resize(1, 4));
    expect_state(1, QD_STATE_RESIZING);
    feed_at(90, now());
    expect("JOB_STATE job 1 attempt 1 COMPLETING: makes room for reservation r1\n");
    end_at(94, 1, QD_OUTCOME_SAVED);
    expect_state(1, QD_STATE_PENDING);
    feed_at(100, now());
    expect_held(0, 8);
    kit_close();
}
END_TEST

/* Told at 95 to make room for a more important job, it has 5 s, not 10: the reservation counted on
 * its end at 98. */
START_TEST(who_makes_room_for_another_is_out_when_a_reservation_begins) {
    qd_scheduling scheduling = *scheduling_of("multifactor");
    scheduling.preempt_by = QD_PREEMPT_CLASS;
    scheduling.save_grace_s = 10;
    scheduling.min_run_s = 5;
    kit_open_policy(8, &scheduling);
    qd_event important = estimated(3, 4, 1), equal = submit(2, 4, 4);
    important.submit.importance = equal.submit.importance = 50;
    feed_at(0, estimated(1, 4, 98));
    feed_at(0, equal);
    feed_at(1, reserve(1, 4, 100, 200));
    feed_at(95, important);
    expect_state(1, QD_STATE_COMPLETING);
    feed_at(100, now());
    expect("ABORT job 1 attempt 1 epoch 1 ranks 1-4: had not saved after 5 s\n");
    end_at(100, 1, QD_OUTCOME_ABORTED);
    expect_held(0, 4);
    expect_state(3, QD_STATE_PENDING);
    kit_close();
}
END_TEST

START_TEST(a_job_in_a_reservation_is_not_resized) {
    open_growing("easy", 8);
    feed_at(0, reserve(1, 6, 10, 100));
    feed_at(1, of(up_to(submit(1, 2, 6), 6), 1));
    feed_at(10, now());
    expect_state(1, QD_STATE_RUNNING);
    expect_size(1, 2);
    kit_at(20);
    kit_refused(resize(1, 4),
                "RESIZE: job 1 runs in a reservation; accepted: one that runs outside");
    feed_at(50, now());
    expect_size(1, 2);
    kit_close();
}
END_TEST

/* 2 islands of 4. The reservation has 6 ranks, 4 of them together. */
START_TEST(a_job_in_a_reservation_has_the_place_that_it_demands) {
    qd_scheduling scheduling = *scheduling_of("easy");
    ck_assert_int_eq(qd_core_create(8, &scheduling, &kit.core), 0);
    for (int rank = 1; rank <= 8; rank++) {
        qd_event event = ready(rank);
        event.place = (qd_place){.host = 1, .island = 1 + (rank > 4), .memory_bytes = 1 << 20};
        kit_feed(event);
    }
    kit_feed(reserve(1, 6, 10, 1000));
    qd_event first = of(submit(1, 1, 1), 1), island = of(submit(2, 4, 4), 1);
    island.submit.demand.within = QD_WITHIN_ISLAND;
    kit_feed(first);
    kit_feed(island);
    feed_at(10, now());
    expect_state(1, QD_STATE_RUNNING);
    expect_state(2, QD_STATE_RUNNING);
    qd_job_view view = kit_job(2);
    for (int i = 1; i < view.rank_count; i++)
        ck_assert_int_eq(view.ranks[i] > 4, view.ranks[0] > 4);
    kit_close();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("elastic jobs beside reservations");
    TCase *tc = tcase_create("elastic jobs beside reservations");
    suite_add_tcase(suite, tc);
    tcase_add_test(tc, a_lent_rank_comes_back_by_the_start_of_a_reservation);
    tcase_add_test(tc, a_rigid_job_is_saved_whole_by_the_start_and_keeps_its_age);
    tcase_add_test(tc, one_that_does_not_save_in_time_is_cut_off_at_the_start_and_goes_on);
    tcase_add_test(tc, loans_come_back_before_anybody_is_saved_whole);
    tcase_add_test(tc,
                   a_job_starts_no_wider_and_grows_no_earlier_than_leaves_a_reservation_its_ranks);
    tcase_add_test(tc, one_that_is_being_resized_does_not_go_on_into_a_reservation);
    tcase_add_test(tc, who_makes_room_for_another_is_out_when_a_reservation_begins);
    tcase_add_test(tc, a_job_in_a_reservation_is_not_resized);
    tcase_add_test(tc, a_job_in_a_reservation_has_the_place_that_it_demands);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad != 0;
}
