/* Slow ranks: which are, and that a job leaves them for idle ones where that gains more than it
 * costs. */
#include "core_kit.h"
#include "core_trial.h"
#include "scheduler/policy.h"

static qd_event progress(int64_t job, int attempt, int64_t step) {
    return (qd_event){.kind = QD_EVENT_PROGRESS,
                      .job = job,
                      .attempt = attempt,
                      .step = step,
                      .saved = step,
                      .steps = 1000};
}

static qd_event takes(int64_t job, int attempt, int rank, double busy_s) {
    return (qd_event){.kind = QD_EVENT_RANK_TIME,
                      .job = job,
                      .attempt = attempt,
                      .rank = rank,
                      .busy_ns = (int64_t)(busy_s * 1e9)};
}

/* A gang of four on ranks 1 to 4 of so many; a step takes 1 s, 1000 in all; ten are done at 10. */
static void open_gang(int workers, double ratio, double cost_s) {
    qd_scheduling scheduling = *scheduling_of("easy");
    scheduling.swap = true;
    scheduling.swap_ratio = ratio;
    scheduling.swap_cost_s = cost_s;
    kit_open_policy(workers, &scheduling);
    qd_event job = estimated(1, 4, 1000);
    job.submit.tells = 1;
    feed_at(0, job);
    feed_at(0, progress(1, 1, 0));
    feed_at(10, progress(1, 1, 10));
}

/* All four report, rank 3 so. */
static void report(double at, int attempt, double third_s) {
    for (int i = 0; i < 4; i++) {
        int rank = kit_job(1).ranks[i];
        feed_at(at, takes(1, attempt, rank, rank == 3 ? third_s : 0.5));
    }
}

static bool is_member(int rank) {
    qd_job_view view = kit_job(1);
    for (int i = 0; i < view.rank_count; i++)
        if (view.ranks[i] == rank)
            return true;
    return false;
}

/* Rank 3 is slow at the third report; the first one is complete only with rank 4's word. */
START_TEST(a_slow_rank_is_swapped_for_an_idle_one) {
    open_gang(6, 1.25, 60);
    report(11, 1, 1);
    report(12, 1, 1);
    report(13, 1, 1);
    expect_state(1, QD_STATE_RUNNING);
    feed_at(14, takes(1, 1, 3, 1));
    expect("JOB_STATE job 1 attempt 1 RESIZING: moves: 1 rank is slow\n"
           "RESIZE job 1 attempt 1 epoch 1 ranks 1-2,4-5: moves: 1 rank is slow\n"
           "STOP job 1 attempt 1 epoch 1 ranks 1-4: moves: 1 rank is slow\n");
    ck_assert_int_eq(kit_free_ranks(), 1); /* 6 */
    end_at(15, 1, QD_OUTCOME_SAVED);
    expect_state(1, QD_STATE_RUNNING);
    ck_assert(is_member(5) && !is_member(3));
    ck_assert_int_eq(kit_job(1).attempt, 2);
    ck_assert_int_eq(kit_job(1).resizes, 1);
    ck_assert_int_eq(kit_job(1).preemptions, 0);
    ck_assert_int_eq(kit_free_ranks(), 2); /* 3 and 6: who does not mind may have it */
    kit_close();
}
END_TEST

/* 986 s are left at most, of which half are gained by leaving a rank that takes twice as long. */
START_TEST(nobody_moves_for_less_than_it_costs) {
    for (int dear = 0; dear < 2; dear++) {
        open_gang(6, 1.25, dear ? 500 : 480);
        for (int i = 0; i < 5; i++)
            report(11 + i, 1, 1);
        expect_state(1, dear ? QD_STATE_RUNNING : QD_STATE_RESIZING);
        kit_close();
    }
}
END_TEST

START_TEST(nobody_moves_while_somebody_waits) {
    open_gang(6, 1.25, 60);
    feed_at(10.5, estimated(2, 6, 10));
    for (int i = 0; i < 5; i++)
        report(11 + i, 1, 1);
    expect_state(1, QD_STATE_RUNNING);
    feed_at(20, cancel(2, ""));
    expect_state(1, QD_STATE_RESIZING);
    kit_close();
}
END_TEST

/* While it saves, for 120 s from 14 on, it holds what it leaves and what it goes to. */
START_TEST(nobody_moves_to_a_rank_that_is_promised_before_the_other_is_free) {
    for (int soon = 0; soon < 2; soon++) {
        open_gang(6, 1.25, 60);
        qd_event event = {.kind = QD_EVENT_RESERVE};
        event.reserve = (qd_reservation){.number = 1,
                                         .name = "r1",
                                         .ranks = 2,
                                         .account = -1,
                                         .from_ns = INT64_C(1000000000) * (soon ? 133 : 134),
                                         .until_ns = INT64_C(600000000000)};
        feed_at(10.5, event);
        for (int i = 0; i < 4; i++)
            report(11 + i, 1, 1);
        expect_state(1, soon ? QD_STATE_RUNNING : QD_STATE_RESIZING);
        kit_close();
    }
}
END_TEST

START_TEST(a_job_that_keeps_its_ranks_does_not_move) {
    open_gang(6, 1.25, 60);
    kit_close();
    qd_scheduling scheduling = *scheduling_of("easy");
    scheduling.swap = true;
    kit_open_policy(6, &scheduling);
    qd_event job = estimated(1, 4, 1000);
    job.submit.tells = job.submit.keeps_ranks = 1;
    feed_at(0, job);
    feed_at(1, progress(1, 1, 1));
    for (int i = 0; i < 5; i++)
        report(11 + i, 1, 1);
    expect_state(1, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* Two bursts of two reports, and the two bounds: slow above 1.25, not any more below 1.125. */
START_TEST(a_burst_moves_nobody_and_what_lies_between_the_bounds_changes_nothing) {
    open_gang(6, 1.25, 60);
    report(11, 1, 0.5);
    for (int i = 0; i < 4; i++) {
        report(12 + 3 * i, 1, 1);
        report(13 + 3 * i, 1, 1);
        report(14 + 3 * i, 1, 0.6); /* 1.2 */
    }
    expect_state(1, QD_STATE_RUNNING);
    kit_close();
    open_gang(4, 1.25, 60); /* no rank is idle */
    for (int i = 0; i < 4; i++)
        report(11 + i, 1, 1);
    for (int i = 0; i < 4; i++)
        report(15 + i, 1, 0.6); /* still slow */
    expect_state(1, QD_STATE_RUNNING);
    for (int i = 0; i < 3; i++)
        report(19 + i, 1, 0.55); /* 1.1: not any more */
    kit_close();
}
END_TEST

/* Rank 3 is left at once; rank 5, which takes its place, is slow too: known when its attempt says
 * so, and not chosen again: rank 6 is. */
START_TEST(a_rank_that_is_known_to_be_slow_is_not_chosen) {
    open_gang(6, 1.25, 60);
    for (int i = 0; i < 4; i++)
        report(11 + i, 1, 1);
    end_at(20, 1, QD_OUTCOME_SAVED);
    feed_at(21, progress(1, 2, 11));
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 4; k++) {
            int rank = kit_job(1).ranks[k];
            feed_at(22 + i, takes(1, 2, rank, rank == 5 ? 2 : 0.5));
        }
    expect_state(1, QD_STATE_RESIZING);
    end_at(30, 1, QD_OUTCOME_SAVED);
    ck_assert(is_member(6) && !is_member(3) && !is_member(5));
    kit_close();
}
END_TEST

START_TEST(a_late_word_about_a_pace_changes_nothing) {
    open_gang(6, 1.25, 60);
    for (int i = 0; i < 4; i++)
        report(11 + i, 1, 1);
    end_at(20, 1, QD_OUTCOME_SAVED);
    uint64_t before = qd_core_digest(kit.core);
    qd_event late = takes(1, 1, 3, 1);
    kit.time_ns--;
    kit_feed(late);
    ck_assert_uint_eq(qd_core_digest(kit.core), before);
    kit_refused(takes(1, 2, 3, 1), "RANK_TIME: rank 3 is no member of job 1 attempt 2");
    kit_refused(takes(1, 2, 1, 0), "RANK_TIME: rank 1 is busy for 0 ns; more than 0 is needed");
    kit_close();
}
END_TEST

/* ---- histories full of reports, under the eyes of the witness ---- */

enum { HISTORIES = 200, EVENTS = 200 };

static uint32_t draw(trial *t, uint32_t n) {
    return t->source.draw(t->source.context, n);
}

/* A member of some running gang reports, or the gang tells of a step; else what comes. */
static qd_event draw_event(trial *t) {
    for (;;) {
        qd_event e = trial_draw_event(t);
        qd_job_view view;
        int jobs = qd_core_job_count(t->core);
        if (jobs > 0 && draw(t, 8) > 0) {
            qd_core_job(t->core, (int)draw(t, (uint32_t)jobs), &view);
            if (view.state != QD_STATE_RUNNING)
                continue;
            int rank = view.ranks[draw(t, (uint32_t)view.rank_count)];
            e = draw(t, 8) ? takes(view.job, view.attempt, rank, rank % 4 ? 1 : 2)
                           : progress(view.job, view.attempt, 1 + draw(t, 50));
            e.time_ns = t->witness.time_ns;
        }
        if (e.kind == QD_EVENT_SUBMIT)
            e.submit.tells = 1;
        bool ends_all = e.kind == QD_EVENT_CLOSED || e.kind == QD_EVENT_DRAIN;
        if (!ends_all)
            return e;
    }
}

/* Returns how many gangs moved. */
static int run_history(uint64_t seed) {
    trial t;
    qd_scheduling scheduling = *scheduling_of(qd_policy_names[seed % 6]);
    scheduling.swap = true;
    scheduling.swap_cost_s = 0.1;
    uint64_t number = seed;
    ck_assert(trial_begin_with(&t, (trial_source){trial_draw_splitmix, &seed}, 12, &scheduling));
    int count = trial_live(
        &t, &(trial_plan){
                .draw = draw_event, .events = EVENTS, .kind = QD_ACTION_RESIZE, .reason = "moves"});
    ck_assert_msg(count >= 0, "history %llu: %s", (unsigned long long)number, t.broken);
    return count;
}

START_TEST(no_history_of_slow_ranks_breaks_a_rule) {
    int count = 0;
    for (uint64_t seed = 0; seed < HISTORIES; seed++)
        count += run_history(seed);
    ck_assert_int_ge(count, HISTORIES / 10);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("slow ranks");
    TCase *tc = tcase_create("swap");
    suite_add_tcase(suite, tc);
    tcase_add_test(tc, a_slow_rank_is_swapped_for_an_idle_one);
    tcase_add_test(tc, nobody_moves_for_less_than_it_costs);
    tcase_add_test(tc, nobody_moves_while_somebody_waits);
    tcase_add_test(tc, nobody_moves_to_a_rank_that_is_promised_before_the_other_is_free);
    tcase_add_test(tc, a_job_that_keeps_its_ranks_does_not_move);
    tcase_add_test(tc, a_burst_moves_nobody_and_what_lies_between_the_bounds_changes_nothing);
    tcase_add_test(tc, a_rank_that_is_known_to_be_slow_is_not_chosen);
    tcase_add_test(tc, a_late_word_about_a_pace_changes_nothing);
    tcase_add_test(tc, no_history_of_slow_ranks_breaks_a_rule);
    tcase_set_timeout(tc, 120);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad != 0;
}
