/* Gangs that move elsewhere so that a job gets ranks together: who, where to, and when nobody does.
 */
#include "core_kit.h"
#include "core_trial.h"
#include "scheduler/policy.h"

static qd_event in_island(qd_event event) {
    event.submit.demand.within = QD_WITHIN_ISLAND;
    return event;
}

static qd_event of_class(qd_event event, int importance) {
    event.submit.importance = importance;
    return event;
}

static qd_event that_keeps_its_ranks(qd_event event) {
    event.submit.keeps_ranks = 1;
    return event;
}

/* Islands of four ranks, each a host of its own. */
static void open_islands(int count, const qd_scheduling *scheduling) {
    ck_assert_int_eq(qd_core_create(4 * count, scheduling, &kit.core), 0);
    for (int rank = 1; rank <= 4 * count; rank++) {
        qd_event event = ready(rank);
        event.place = (qd_place){.host = (rank + 3) / 4, .island = 1};
        kit.time_ns = -1;
        kit_feed(event);
    }
}

static qd_scheduling moving(const char *policy, int most) {
    qd_scheduling scheduling = *scheduling_of(policy);
    scheduling.migrate = true;
    scheduling.migrate_per_hour = most;
    scheduling.migrate_cost_s = 20;
    scheduling.min_run_s = 10;
    return scheduling;
}

static void assert_ranks(int64_t job, int count, const int *ranks) {
    qd_job_view view = kit_job(job);
    ck_assert_int_eq(view.state, QD_STATE_RUNNING);
    ck_assert_int_eq(view.rank_count, count);
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(view.ranks[i], ranks[i]);
}

/* Job 3 alone in the first island, and job 2 on two ranks of the second: five are free. */
static void open_scattered(const qd_scheduling *scheduling, qd_event third) {
    open_islands(2, scheduling);
    feed_at(0, estimated(1, 3, 50));
    feed_at(0, estimated(2, 2, 1000));
    feed_at(0, third);
    assert_ranks(2, 2, (int[]){5, 6});
    assert_ranks(3, 1, (int[]){4});
    end_at(50, 1, QD_OUTCOME_DONE);
}

static const char *const policies[] = {"fifo", "sjf", "easy", "conservative", "multifactor"};

/* The one rank is cheaper to move than the two. Nobody gets the ranks that become free meanwhile.
 */
START_TEST(the_cheapest_gang_moves_and_the_job_gets_ranks_together) {
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        qd_scheduling scheduling = moving(policies[i], 4);
        open_scattered(&scheduling, estimated(3, 1, 1000));
        feed_at(60, in_island(estimated(4, 4, 100)));
        expect("JOB_STATE job 4 attempt 0 PENDING: waits for 4 ranks\n"
               "JOB_STATE job 3 attempt 1 RESIZING: moves: job 4 gets ranks together\n"
               "RESIZE job 3 attempt 1 epoch 3 ranks 7: moves: job 4 gets ranks together\n"
               "STOP job 3 attempt 1 epoch 3 ranks 4: moves: job 4 gets ranks together\n");
        feed_at(61, estimated(5, 1, 1000));
        expect_state(5, QD_STATE_PENDING);
        end_at(62, 3, QD_OUTCOME_SAVED);
        assert_ranks(3, 1, (int[]){7});
        assert_ranks(4, 4, (int[]){1, 2, 3, 4});
        assert_ranks(2, 2, (int[]){5, 6});
        assert_ranks(5, 1, (int[]){8});
        ck_assert_int_eq(kit_job(3).resizes, 1);
        ck_assert_int_eq(kit_job(3).preemptions, 0);
        kit_close();
    }
}
END_TEST

START_TEST(a_gang_that_may_not_be_told_or_is_more_important_stays) {
    const qd_event stays[] = {that_keeps_its_ranks(estimated(3, 1, 1000)),
                              of_class(estimated(3, 1, 1000), 1)};
    for (int i = 0; i < 2; i++) {
        qd_scheduling scheduling = moving("easy", 4);
        open_scattered(&scheduling, stays[i]);
        feed_at(60, in_island(estimated(4, 4, 100)));
        expect_state(3, QD_STATE_RUNNING);
        expect_state(2, QD_STATE_RESIZING); /* to two ranks of the first island */
        end_at(61, 2, QD_OUTCOME_SAVED);
        assert_ranks(4, 4, (int[]){5, 6, 7, 8});
        kit_close();
    }
}
END_TEST

START_TEST(nobody_moves_unless_it_is_switched_on) {
    open_scattered(scheduling_of("easy"), estimated(3, 1, 1000));
    feed_at(60, in_island(estimated(4, 4, 100)));
    expect("JOB_STATE job 4 attempt 0 PENDING: waits for 4 ranks\n");
    kit_close();
}
END_TEST

/* Job 3 is predicted to end at 70, or 90: a move takes 20. */
START_TEST(nobody_moves_for_a_job_that_fits_soon) {
    for (int late = 0; late < 2; late++) {
        qd_scheduling scheduling = moving("easy", 4);
        open_scattered(&scheduling, estimated(3, 1, late ? 90 : 70));
        feed_at(60, in_island(estimated(4, 4, 100)));
        expect_state(3, late ? QD_STATE_RESIZING : QD_STATE_RUNNING);
        kit_close();
    }
}
END_TEST

START_TEST(nobody_moves_before_it_has_run_for_its_least_time) {
    qd_scheduling scheduling = moving("easy", 4);
    scheduling.min_run_s = 100;
    open_scattered(&scheduling, estimated(3, 1, 1000));
    feed_at(60, in_island(estimated(4, 4, 100)));
    expect_state(3, QD_STATE_RUNNING);
    feed_at(100, now());
    expect_state(3, QD_STATE_RESIZING);
    kit_close();
}
END_TEST

/* One an hour: the second job waits until the hour is over. */
START_TEST(no_more_gangs_move_than_may_in_an_hour) {
    qd_scheduling scheduling = moving("easy", 1);
    open_scattered(&scheduling, estimated(3, 1, 100000));
    feed_at(60, in_island(estimated(4, 4, 10)));
    end_at(61, 3, QD_OUTCOME_SAVED);
    assert_ranks(4, 4, (int[]){1, 2, 3, 4});
    feed_at(70, estimated(5, 1, 100000)); /* on 8 */
    end_at(71, 2, QD_OUTCOME_DONE);       /* 5 and 6 are free */
    end_at(72, 4, QD_OUTCOME_DONE);
    feed_at(73, estimated(6, 1, 100000));
    assert_ranks(6, 1, (int[]){5});
    feed_at(74, estimated(7, 2, 50)); /* best fit: the first island */
    assert_ranks(7, 2, (int[]){1, 2});
    feed_at(75, estimated(8, 1, 100000)); /* on 6: the second island is full */
    feed_at(76, estimated(9, 1, 100000));
    assert_ranks(9, 1, (int[]){3});
    end_at(80, 7, QD_OUTCOME_DONE);
    end_at(81, 8, QD_OUTCOME_DONE); /* free: 1, 2, 4 and 6 */
    feed_at(100, in_island(estimated(10, 4, 10)));
    expect_state(9, QD_STATE_RUNNING);
    feed_at(3659, now());
    expect_state(9, QD_STATE_RUNNING);
    feed_at(3661, now());
    expect_state(9, QD_STATE_RESIZING);
    kit_close();
}
END_TEST

/* The places are found before anybody is told: of three gangs one has nowhere to go. */
START_TEST(nobody_moves_where_it_would_not_be_enough) {
    qd_scheduling scheduling = moving("easy", 4);
    open_islands(2, &scheduling);
    feed_at(0, in_island(estimated(1, 2, 1000)));
    feed_at(0, in_island(estimated(2, 3, 1000)));
    feed_at(0, estimated(3, 1, 1000)); /* the fourth of the second island */
    assert_ranks(3, 1, (int[]){8});
    end_at(20, 3, QD_OUTCOME_DONE);
    feed_at(60, in_island(estimated(4, 3, 100))); /* 1 would have to go where one is free */
    expect_state(1, QD_STATE_RUNNING);
    expect_state(2, QD_STATE_RUNNING);
    expect_state(4, QD_STATE_PENDING);
    kit_close();
}
END_TEST

START_TEST(a_gang_that_needs_an_island_moves_to_another_one_as_a_whole) {
    qd_scheduling scheduling = moving("easy", 4);
    open_islands(3, &scheduling);
    feed_at(0, estimated(1, 2, 50));
    feed_at(0, in_island(estimated(2, 2, 1000)));
    feed_at(0, that_keeps_its_ranks(estimated(3, 2, 1000)));
    feed_at(0, that_keeps_its_ranks(estimated(4, 3, 1000)));
    assert_ranks(2, 2, (int[]){3, 4});
    assert_ranks(3, 2, (int[]){5, 6});
    end_at(50, 1, QD_OUTCOME_DONE);
    feed_at(60, in_island(estimated(5, 4, 100)));
    expect_state(2, QD_STATE_RESIZING);
    end_at(61, 2, QD_OUTCOME_SAVED);
    assert_ranks(2, 2, (int[]){7, 8});
    assert_ranks(5, 4, (int[]){1, 2, 3, 4});
    kit_close();
}
END_TEST

/* It waits as it would have, and its gang, having lost where it was going, waits too. */
START_TEST(a_target_that_is_lost_meanwhile_leaves_everybody_as_they_would_be) {
    qd_scheduling scheduling = moving("easy", 4);
    open_scattered(&scheduling, estimated(3, 1, 1000));
    feed_at(60, in_island(estimated(4, 4, 100)));
    feed_at(61, lost(7, "silent"));
    end_at(62, 3, QD_OUTCOME_SAVED);
    assert_ranks(4, 4, (int[]){1, 2, 3, 4});
    assert_ranks(3, 1, (int[]){8});
    kit_close();
}
END_TEST

/* ---- histories of scattered jobs, under the eyes of the witness ---- */

enum { HISTORIES = 80, EVENTS = 100 };

static qd_event draw_event(trial *t) {
    for (;;) {
        qd_event e = trial_draw_event(t);
        if (e.kind == QD_EVENT_SUBMIT) {
            bool wide = t->source.draw(t->source.context, 4) == 0;
            e.submit.tells = e.submit.keeps_ranks = e.submit.held = 0;
            e.submit.begin_ns = e.submit.limit_ns = 0;
            e.submit.after[0] = '\0';
            e.submit.ranks_min = wide ? 4 : 1;
            e.submit.ranks_max = e.submit.ranks_min;
            e.submit.ranks_step = 0;
            e.submit.demand = (qd_demand){.within = wide ? QD_WITHIN_ISLAND : 0};
        }
        uint32_t one = t->source.draw(t->source.context, 6);
        if (e.kind == QD_EVENT_TIME || (one < 3 && e.kind == QD_EVENT_SUBMIT) ||
            (one < 2 && (e.kind == QD_EVENT_MEMBER_ENDED || e.kind == QD_EVENT_WORKER_LOST)))
            return e;
    }
}

/* Returns how many gangs moved. */
static int run_history(uint64_t seed) {
    trial t;
    qd_scheduling scheduling = moving(qd_policy_names[seed % 6], (int)(seed % 3) * 2);
    scheduling.migrate_cost_s = 0.1;
    scheduling.min_run_s = 0;
    uint64_t number = seed;
    ck_assert(trial_begin_with(&t, (trial_source){trial_draw_splitmix, &seed}, 16, &scheduling));
    int count = trial_live(&t, &(trial_plan){.draw = draw_event,
                                             .events = EVENTS,
                                             .ranks_of_host = 4,
                                             .kind = QD_ACTION_RESIZE,
                                             .reason = "moves"});
    ck_assert_msg(count >= 0, "history %llu: %s", (unsigned long long)number, t.broken);
    return count;
}

START_TEST(no_history_of_moves_breaks_a_rule) {
    int count = 0;
    for (uint64_t seed = 0; seed < HISTORIES; seed++)
        count += run_history(seed);
    ck_assert_int_ge(count, HISTORIES / 10);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("migration");
    TCase *tc = tcase_create("migration");
    suite_add_tcase(suite, tc);
    tcase_add_test(tc, the_cheapest_gang_moves_and_the_job_gets_ranks_together);
    tcase_add_test(tc, a_gang_that_may_not_be_told_or_is_more_important_stays);
    tcase_add_test(tc, nobody_moves_unless_it_is_switched_on);
    tcase_add_test(tc, nobody_moves_for_a_job_that_fits_soon);
    tcase_add_test(tc, nobody_moves_before_it_has_run_for_its_least_time);
    tcase_add_test(tc, no_more_gangs_move_than_may_in_an_hour);
    tcase_add_test(tc, nobody_moves_where_it_would_not_be_enough);
    tcase_add_test(tc, a_gang_that_needs_an_island_moves_to_another_one_as_a_whole);
    tcase_add_test(tc, a_target_that_is_lost_meanwhile_leaves_everybody_as_they_would_be);
    tcase_add_test(tc, no_history_of_moves_breaks_a_rule);
    tcase_set_timeout(tc, 120);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad != 0;
}
