/* Who makes room for whom, by class of importance: lo < mid < hi. */
#include "core_kit.h"
#include "scheduler/why.h"

enum { LO = -50, MID = 0, HI = 50 };

static void open_by_class(int ranks, double min_run_s, double grace_s) {
    qd_scheduling scheduling = *scheduling_of("multifactor");
    scheduling.preempt_by = QD_PREEMPT_CLASS;
    scheduling.min_run_s = min_run_s;
    scheduling.save_grace_s = grace_s;
    kit_open_policy(ranks, &scheduling);
}

static qd_event of_class(int importance, qd_event event) {
    event.submit.importance = importance;
    return event;
}

static qd_event progress(int64_t job, int64_t step, int64_t saved) {
    return (qd_event){.kind = QD_EVENT_PROGRESS,
                      .job = job,
                      .attempt = kit_job(job).attempt,
                      .step = step,
                      .saved = saved};
}

/* Jobs from..to are in that state. */
static void expect_states(int64_t from, int64_t to, qd_job_state state) {
    for (int64_t job = from; job <= to; job++)
        expect_state(job, state);
}

/* Trap 15, K: six gangs of 2, one of which lost least; a save takes 5 s. */
START_TEST(one_rank_costs_one_gang_the_cheapest_and_no_second_one_while_it_saves) {
    open_by_class(12, 10, 60);
    for (int64_t job = 1; job <= 6; job++)
        feed_at(0.001 * (double)job, of_class(LO, submit(job, 2, 2)));
    feed_at(50, progress(4, 10, 10));
    feed_at(100, of_class(HI, submit(7, 1, 1)));
    expect_state(4, QD_STATE_COMPLETING);
    ck_assert_str_eq(kit_job(4).reason, "makes room for job 7");
    feed_at(101, now());
    feed_at(102, of_class(LO, submit(8, 1, 1)));
    expect_states(1, 3, QD_STATE_RUNNING);
    expect_states(5, 6, QD_STATE_RUNNING);
    end_at(105, 4, QD_OUTCOME_SAVED);
    expect_state(7, QD_STATE_RUNNING);
    expect_state(8, QD_STATE_RUNNING); /* the rank to spare went back to the queue */
    expect_state(4, QD_STATE_PENDING);
    ck_assert_int_eq(kit_job(4).preemptions, 1);
    ck_assert_int_eq(kit_job(1).preemptions, 0);
    kit_close();
}
END_TEST

/* Trap 16 with K. */
START_TEST(freed_ranks_are_kept_for_the_preemptor_but_not_from_a_higher_class) {
    open_by_class(8, 10, 60);
    feed_at(0, of_class(LO, submit(1, 8, 8)));       /* L */
    feed_at(100, of_class(MID, submit(2, 6, 6)));    /* H */
    feed_at(101, of_class(LO, submit(3, 2, 2)));     /* M */
    feed_at(102, of_class(HI, estimated(4, 8, 10))); /* K */
    end_at(103, 1, QD_OUTCOME_SAVED);
    expect_state(4, QD_STATE_RUNNING);
    expect_states(1, 3, QD_STATE_PENDING);
    end_at(113, 4, QD_OUTCOME_DONE);
    expect_state(2, QD_STATE_RUNNING);
    expect_state(3, QD_STATE_RUNNING); /* beside it: L needs more */
    ck_assert_int_eq(kit_job(1).preemptions, 1);
    kit_close();
}
END_TEST

/* Trap 16 without K. */
START_TEST(a_third_job_does_not_take_what_is_freed_for_another) {
    open_by_class(8, 10, 60);
    feed_at(0, of_class(LO, submit(1, 8, 8)));
    feed_at(100, of_class(MID, submit(2, 6, 6)));
    feed_at(101, of_class(MID, estimated(3, 4, 5))); /* would be done before, were it free */
    feed_at(102, of_class(LO, submit(4, 2, 2)));
    expect_states(2, 4, QD_STATE_PENDING);
    /* Half of L answers first: enough for M and job 3, but it is kept. */
    for (int rank = 1; rank <= 4; rank++)
        feed_at(103 + rank * 0.01, ended(1, rank, QD_OUTCOME_SAVED));
    expect_states(2, 4, QD_STATE_PENDING);
    for (int rank = 5; rank <= 8; rank++)
        feed_at(104 + rank * 0.01, ended(1, rank, QD_OUTCOME_SAVED));
    expect_state(2, QD_STATE_RUNNING);
    expect_state(3, QD_STATE_PENDING);
    kit_close();
}
END_TEST

/* Trap 19. */
START_TEST(equals_do_not_preempt_each_other) {
    open_by_class(4, 10, 60);
    feed_at(0, of_class(HI, submit(1, 3, 3)));
    feed_at(10, of_class(HI, submit(2, 3, 3)));
    feed_at(1000, now());
    expect_state(1, QD_STATE_RUNNING);
    expect_state(2, QD_STATE_PENDING);
    kit_close();
}
END_TEST

/* Trap 19, under attained service: G1 and G2 take turns, no more often than once a quantum, and
 * each turn is training for the one that has it. */
START_TEST(equals_take_turns_no_more_often_than_once_a_quantum) {
    qd_scheduling scheduling = *scheduling_of("attained");
    scheduling.quantum_s = 60;
    scheduling.limits[0] = 100;
    scheduling.limits[1] = 1000;
    scheduling.limits[2] = 2000;
    kit_open_policy(4, &scheduling);
    feed_at(0, submit(1, 3, 3));
    feed_at(10, submit(2, 3, 3));
    int64_t started_ns = 0;
    int turns = 0;
    for (int64_t running = 1; kit.time_ns < INT64_C(100000000000000);) {
        int64_t wake_ns = qd_core_wake_ns(kit.core);
        if (wake_ns == INT64_MAX)
            break;
        feed_at((double)wake_ns * 1e-9, now());
        if (kit_job(running).state != QD_STATE_COMPLETING)
            continue;
        ck_assert_int_ge(kit.time_ns - started_ns, INT64_C(60000000000));
        kit.time_ns--;
        kit_end(running, QD_OUTCOME_SAVED);
        running = 3 - running;
        expect_state(running, QD_STATE_RUNNING);
        started_ns = kit.time_ns;
        turns++;
    }
    ck_assert_int_ge(turns, 3);
    kit_close();
}
END_TEST

/* Under attained service: four 2-rank jobs of 100 s keep 8 ranks busy, one more comes every 25 s,
 * and none is ever older than a quantum when they are looked at. W, which wants all 8, comes at 80.
 */
START_TEST(a_wide_job_does_not_starve_behind_ever_young_narrow_ones) {
    qd_scheduling scheduling = *scheduling_of("attained");
    scheduling.quantum_s = 200;
    int64_t ends_s[200] = {0}, next = 1;
    kit_open_policy(8, &scheduling);
    for (int i = 0; i < 4; i++) {
        ends_s[next] = 200 + 25 * i;
        feed_at(100 + 25 * i, submit(next++, 2, 2));
    }
    feed_at(180, submit(next, 8, 8));
    int64_t wide = next++;
    for (int64_t at_s = 200; at_s < 3000 && kit_job(wide).state == QD_STATE_PENDING; at_s += 25) {
        for (int64_t job = 1; job < next; job++) {
            bool runs = job != wide && kit_job(job).state == QD_STATE_RUNNING;
            if (runs && ends_s[job] == 0)
                ends_s[job] = at_s - 25 + 100;
            if (runs && ends_s[job] <= at_s)
                end_at((double)at_s, job, QD_OUTCOME_DONE);
        }
        feed_at((double)at_s, submit(next++, 2, 2));
    }
    expect_state(wide, QD_STATE_RUNNING);
    /* 4 times 200 s of patience, and 2 quanta. */
    ck_assert_int_le(kit.time_ns / 1000000000, 180 + (4 + 2) * 200);
    kit_close();
}
END_TEST

/* Trap 34: J waits for 500 s, runs for 100, and has waited for 500 again; K has waited for 550
 * then, L for 450. */
START_TEST(who_made_room_has_its_age_at_the_next_decision) {
    qd_why why;
    open_by_class(4, 1, 60);
    qd_event x = of_class(HI, submit(1, 4, 4));
    x.submit.keeps_ranks = 1;
    feed_at(0, x);
    feed_at(0, of_class(LO, submit(2, 4, 4)));   /* J */
    feed_at(50, of_class(LO, submit(3, 4, 4)));  /* K */
    feed_at(150, of_class(LO, submit(4, 4, 4))); /* L */
    end_at(500, 1, QD_OUTCOME_DONE);
    expect_state(2, QD_STATE_RUNNING);
    feed_at(600, of_class(HI, submit(5, 4, 4)));
    end_at(600, 2, QD_OUTCOME_SAVED);
    expect_state(5, QD_STATE_RUNNING);
    ck_assert_int_eq(qd_why_ask(kit.core, 2, &why), 0);
    ck_assert_int_eq(why.age_ns, INT64_C(500000000000));
    end_at(610, 5, QD_OUTCOME_DONE);
    expect_state(3, QD_STATE_RUNNING);
    end_at(620, 3, QD_OUTCOME_DONE);
    expect_state(2, QD_STATE_RUNNING);
    expect_state(4, QD_STATE_PENDING);
    kit_close();
}
END_TEST

/* Trap 42: run 1 was 100 s of a limit of 200, run 2 begins at 105. */
START_TEST(the_late_report_of_an_earlier_run_is_dropped) {
    open_by_class(4, 1, 60);
    qd_event j = of_class(LO, submit(1, 4, 4));
    j.submit.limit_ns = INT64_C(200000000000);
    feed_at(0, j);
    feed_at(100, of_class(HI, submit(2, 4, 4)));
    end_at(100, 1, QD_OUTCOME_SAVED);
    end_at(105, 2, QD_OUTCOME_DONE);
    expect_state(1, QD_STATE_RUNNING);
    uint64_t before = qd_core_digest(kit.core);
    feed_at(105, failed(1, 1, QD_ELOST, "killed by 9"));
    expect("");
    ck_assert_uint_eq(qd_core_digest(kit.core), before);
    expect_state(1, QD_STATE_RUNNING);
    ck_assert_int_eq(kit_job(1).attempt, 2);
    ck_assert_int_eq(qd_core_wake_ns(kit.core), INT64_C(205000000000)); /* two segments count */
    kit_close();
}
END_TEST

/* Trap 20: 20 s to load, 10 s a step; jobs of 5 s come all the time. */
START_TEST(each_run_saves_a_new_step_before_it_makes_room) {
    open_by_class(4, 1, 60);
    qd_event p = of_class(LO, submit(1, 4, 4));
    p.submit.tells = 1;
    feed_at(0, p);
    double at = 0;
    for (int k = 1; k <= 5; k++) {
        int64_t hi = 1 + k;
        feed_at(at + 5, of_class(HI, submit(hi, 4, 4)));
        feed_at(at + 25, now());
        expect_state(1, QD_STATE_RUNNING);
        feed_at(at + 30, progress(1, k, k - 1));
        expect_state(1, QD_STATE_COMPLETING);
        end_at(at + 30.5, 1, QD_OUTCOME_SAVED);
        expect_state(hi, QD_STATE_RUNNING);
        end_at(at + 35.5, hi, QD_OUTCOME_DONE);
        expect_state(1, QD_STATE_RUNNING);
        ck_assert_int_eq(kit_job(1).preemptions, k);
        at += 35.5;
    }
    kit_close();
}
END_TEST

/* Trap 22: ten gangs of 10; the seventh has saved last. */
START_TEST(one_whole_gang_yields_that_with_the_least_unsaved_work) {
    open_by_class(100, 10, 60);
    for (int64_t job = 1; job <= 10; job++)
        feed_at(0.001 * (double)job, of_class(LO, submit(job, 10, 10)));
    for (int64_t job = 1; job <= 10; job++)
        if (job != 7)
            feed_at(50 + 0.1 * (double)job, progress(job, 5, 5));
    feed_at(90, progress(7, 5, 5));
    feed_at(100, of_class(HI, submit(11, 10, 10)));
    expect_states(1, 6, QD_STATE_RUNNING);
    expect_state(7, QD_STATE_COMPLETING);
    expect_states(8, 10, QD_STATE_RUNNING);
    end_at(101, 7, QD_OUTCOME_SAVED);
    expect_state(11, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* 2 + 2 + 8 ranks; unsaved: 10 s, 10 s, 4 s. For 3 ranks, 40 rank-seconds of two gangs or 32 of
 * one; for 10, the wide one and only one of the others. */
START_TEST(the_set_that_loses_least_yields_and_nobody_who_is_not_needed) {
    for (int wide = 0; wide < 2; wide++) {
        open_by_class(12, 1, 60);
        feed_at(0, of_class(LO, submit(1, 2, 2)));
        feed_at(0.001, of_class(LO, submit(2, 2, 2)));
        feed_at(0.002, of_class(LO, submit(3, 8, 8)));
        for (int64_t job = 1; job <= 2; job++)
            feed_at(10 + 0.01 * (double)job, progress(job, 1, 1));
        feed_at(16, progress(3, 1, 1));
        feed_at(20, of_class(HI, submit(4, wide ? 10 : 3, 10)));
        expect_state(1, QD_STATE_RUNNING);
        expect_state(2, wide ? QD_STATE_COMPLETING : QD_STATE_RUNNING);
        expect_state(3, QD_STATE_COMPLETING);
        kit_close();
    }
}
END_TEST

START_TEST(the_lowest_class_yields_first_however_much_it_loses) {
    open_by_class(4, 1, 60);
    feed_at(0, of_class(LO, submit(1, 2, 2)));
    feed_at(50, of_class(MID, submit(2, 2, 2)));
    feed_at(60, of_class(HI, submit(3, 2, 2)));
    expect_state(1, QD_STATE_COMPLETING);
    expect_state(2, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* Even all who could make room would not be enough: nobody is told to. */
START_TEST(nobody_makes_room_where_it_would_not_be_enough) {
    open_by_class(8, 1, 60);
    feed_at(0, of_class(LO, submit(1, 4, 4)));
    feed_at(1, of_class(HI, submit(2, 4, 4)));
    feed_at(10, of_class(MID, submit(3, 6, 6)));
    expect_state(1, QD_STATE_RUNNING);
    qd_event keeps = of_class(LO, submit(4, 1, 1));
    keeps.submit.keeps_ranks = 1;
    kit_close();

    open_by_class(4, 1, 60);
    feed_at(0, keeps);
    feed_at(1, of_class(LO, submit(5, 3, 3)));
    feed_at(10, of_class(HI, submit(6, 4, 4)));
    expect_states(4, 5, QD_STATE_RUNNING);
    feed_at(11, cancel(6, ""));
    feed_at(12, of_class(HI, submit(7, 3, 3)));
    expect_state(4, QD_STATE_RUNNING);
    expect_state(5, QD_STATE_COMPLETING);
    kit_close();
}
END_TEST

START_TEST(a_job_is_left_alone_for_its_minimum_run_and_told_then_without_any_other_event) {
    open_by_class(4, 60, 60);
    feed_at(10, of_class(LO, submit(1, 4, 4)));
    feed_at(20, of_class(HI, submit(2, 4, 4)));
    expect_state(1, QD_STATE_RUNNING);
    ck_assert_int_eq(qd_core_wake_ns(kit.core), INT64_C(70000000000));
    feed_at(70, now());
    expect_state(1, QD_STATE_COMPLETING);
    kit_close();
}
END_TEST

/* The end that the members' words add up to, whatever was asked meanwhile. */
START_TEST(who_ends_within_its_grace_keeps_its_own_state) {
    static const struct {
        qd_outcome outcome;
        qd_job_state state;
    } ends[] = {{QD_OUTCOME_DONE, QD_STATE_COMPLETED},
                {QD_OUTCOME_FAILED, QD_STATE_FAILED},
                {QD_OUTCOME_SAVED, QD_STATE_PENDING}};
    for (int i = 0; i < 3; i++) {
        open_by_class(4, 1, 60);
        feed_at(0, of_class(LO, submit(1, 4, 4)));
        feed_at(10, of_class(HI, submit(2, 4, 4)));
        end_at(15, 1, ends[i].outcome);
        expect_state(1, ends[i].state);
        expect_state(2, QD_STATE_RUNNING);
        kit_close();
    }
}
END_TEST

START_TEST(who_has_not_saved_within_its_grace_is_ended_and_comes_back) {
    open_by_class(2, 1, 30);
    feed_at(0, of_class(LO, submit(1, 2, 2)));
    feed_at(10, of_class(HI, submit(2, 2, 2)));
    ck_assert_int_eq(qd_core_wake_ns(kit.core), INT64_C(40000000000));
    feed_at(40, now());
    expect("ABORT job 1 attempt 1 epoch 1 ranks 1-2: had not saved after 30 s\n");
    kit_at(41);
    kit_end(1, QD_OUTCOME_ABORTED);
    expect("JOB_STATE job 1 attempt 1 PENDING: cut off, waits for 2 ranks\n"
           "JOB_STATE job 2 attempt 1 RUNNING: runs on 2 ranks\n"
           "START job 2 attempt 1 epoch 2 ranks 1-2: room was made for it\n");
    kit_at(50);
    kit_end(2, QD_OUTCOME_DONE);
    expect_state(1, QD_STATE_RUNNING);
    ck_assert_int_eq(kit_job(1).attempt, 2);
    kit_close();
}
END_TEST

/* H is cancelled while L saves: L goes on before M, which came first to the ranks. */
START_TEST(a_preemption_is_undone_when_the_preemptor_goes_away) {
    open_by_class(8, 1, 60);
    feed_at(0, of_class(LO, submit(1, 8, 8)));
    feed_at(50, of_class(LO, submit(2, 2, 2)));
    feed_at(100, of_class(HI, submit(3, 6, 6)));
    feed_at(101, cancel(3, "no more"));
    for (int rank = 1; rank <= 8; rank++)
        feed_at(102 + 0.1 * rank, ended(1, rank, QD_OUTCOME_SAVED));
    expect_state(1, QD_STATE_RUNNING);
    expect_state(2, QD_STATE_PENDING);
    ck_assert_int_eq(kit_job(1).attempt, 2);
    kit_close();
}
END_TEST

START_TEST(a_held_preemptor_gives_its_claim_up) {
    open_by_class(4, 1, 60);
    feed_at(0, of_class(LO, submit(1, 4, 4)));
    feed_at(10, of_class(HI, submit(2, 4, 4)));
    feed_at(11, (qd_event){.kind = QD_EVENT_HOLD, .job = 2});
    end_at(12, 1, QD_OUTCOME_SAVED);
    expect_state(1, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* The rank that is lost was part of what was being freed. */
START_TEST(a_claim_that_cannot_be_met_any_more_is_given_up_and_others_make_room) {
    open_by_class(6, 1, 60);
    feed_at(0, of_class(LO, submit(1, 3, 3)));
    feed_at(1, of_class(LO, submit(2, 3, 3)));
    feed_at(2, progress(2, 1, 1));
    feed_at(10, of_class(HI, submit(3, 3, 3)));
    expect_state(2, QD_STATE_COMPLETING);
    expect_state(1, QD_STATE_RUNNING);
    feed_at(11, lost(kit_job(2).ranks[0], "silent"));
    expect_state(1, QD_STATE_COMPLETING);
    ck_assert_int_eq(kit_job(2).lost_ranks, 1);
    end_at(12, 1, QD_OUTCOME_SAVED);
    expect_state(3, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* The wide head of a higher class is promised 108; the lower job behind it may fill the gap. */
START_TEST(backfill_leaves_claims_alone_and_the_head_its_start) {
    open_by_class(8, 1, 8);
    feed_at(0, of_class(MID, estimated(1, 4, 100)));
    feed_at(1, of_class(LO, estimated(2, 4, 500)));
    feed_at(10, of_class(HI, estimated(3, 4, 98))); /* claims what job 2 frees by 18 */
    feed_at(11, of_class(HI, estimated(4, 8, 10)));
    feed_at(12, of_class(LO, estimated(5, 1, 2)));
    expect_state(5, QD_STATE_PENDING);
    end_at(14, 2, QD_OUTCOME_SAVED);
    expect_state(3, QD_STATE_RUNNING);
    expect_state(1, QD_STATE_RUNNING); /* job 4 would need job 3, too, an equal */
    expect_state(5, QD_STATE_PENDING);
    kit_close();
}
END_TEST

START_TEST(why_names_who_makes_room_until_when) {
    qd_why why;
    open_by_class(4, 1, 60);
    feed_at(0, of_class(LO, submit(1, 4, 4)));
    feed_at(10, of_class(HI, submit(2, 4, 4)));
    ck_assert_int_eq(qd_why_ask(kit.core, 2, &why), 0);
    ck_assert_int_eq(why.count, 1);
    ck_assert_int_eq(why.reasons[0].reason, QD_REASON_RESOURCES);
    ck_assert_int_eq(why.reasons[0].blockers[0].job, 1);
    ck_assert_int_eq(why.start_ns / 1000000, 70000);
    kit_close();
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("preemption");
    tcase_add_test(tc, one_rank_costs_one_gang_the_cheapest_and_no_second_one_while_it_saves);
    tcase_add_test(tc, freed_ranks_are_kept_for_the_preemptor_but_not_from_a_higher_class);
    tcase_add_test(tc, a_third_job_does_not_take_what_is_freed_for_another);
    tcase_add_test(tc, equals_do_not_preempt_each_other);
    tcase_add_test(tc, equals_take_turns_no_more_often_than_once_a_quantum);
    tcase_add_test(tc, a_wide_job_does_not_starve_behind_ever_young_narrow_ones);
    tcase_add_test(tc, who_made_room_has_its_age_at_the_next_decision);
    tcase_add_test(tc, the_late_report_of_an_earlier_run_is_dropped);
    tcase_add_test(tc, each_run_saves_a_new_step_before_it_makes_room);
    tcase_add_test(tc, one_whole_gang_yields_that_with_the_least_unsaved_work);
    tcase_add_test(tc, the_set_that_loses_least_yields_and_nobody_who_is_not_needed);
    tcase_add_test(tc, the_lowest_class_yields_first_however_much_it_loses);
    tcase_add_test(tc, nobody_makes_room_where_it_would_not_be_enough);
    tcase_add_test(tc,
                   a_job_is_left_alone_for_its_minimum_run_and_told_then_without_any_other_event);
    tcase_add_test(tc, who_ends_within_its_grace_keeps_its_own_state);
    tcase_add_test(tc, who_has_not_saved_within_its_grace_is_ended_and_comes_back);
    tcase_add_test(tc, a_preemption_is_undone_when_the_preemptor_goes_away);
    tcase_add_test(tc, a_held_preemptor_gives_its_claim_up);
    tcase_add_test(tc, a_claim_that_cannot_be_met_any_more_is_given_up_and_others_make_room);
    tcase_add_test(tc, backfill_leaves_claims_alone_and_the_head_its_start);
    tcase_add_test(tc, why_names_who_makes_room_until_when);
    Suite *suite = suite_create("scheduler/preemption");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
