/*
 * A gang that loses a rank: it waits again with its age and goes on from what it had saved, its
 * ranks are let go together, and what becomes free completes it before others are let in.
 */
#include "core_kit.h"
#include "core_trial.h"

static qd_event progress(int64_t job, int attempt, int64_t step, int64_t saved) {
    return (qd_event){.kind = QD_EVENT_PROGRESS,
                      .job = job,
                      .attempt = attempt,
                      .step = step,
                      .saved = saved,
                      .steps = 1000};
}

static qd_event of_account(qd_event event, int account) {
    event.submit.account = account;
    event.submit.tells = 1;
    return event;
}

static qd_event important(qd_event event, int importance) {
    event.submit.importance = importance;
    return event;
}

/* Those who still hold ranks of the gang's newest attempt answer that they were called off. */
static void others_answer_at(double seconds, int64_t job, int lost_rank) {
    qd_job_view view = kit_job(job);
    int count = view.rank_count, attempt = view.attempt, ranks[16], n = 0;
    for (int i = 0; i < count; i++)
        if (view.ranks[i] != lost_rank)
            ranks[n++] = view.ranks[i];
    for (int i = 0; i < n; i++) {
        qd_event event = ended(job, ranks[i], QD_OUTCOME_ABORTED);
        event.attempt = attempt;
        feed_at(seconds, event);
    }
}

static bool is_member(int64_t job, int rank) {
    qd_job_view view = kit_job(job);
    for (int i = 0; i < view.rank_count; i++)
        if (view.ranks[i] == rank)
            return true;
    return false;
}

/* Trap 25, up to the arrival of N at 41: G has 8 of 9 ranks, X the ninth, for x_s. */
static void open_short_of_one(const char *policy, double spare_wait_s, double x_s) {
    qd_scheduling scheduling = *scheduling_of(policy);
    scheduling.spare_wait_s = spare_wait_s;
    scheduling.quantum_s = 1000;
    kit_open_policy(9, &scheduling);
    feed_at(0, of_account(estimated(1, 8, 1000), 0));
    feed_at(0, of_account(estimated(2, 1, x_s), 1));
    feed_at(30, progress(1, 1, 30, 20));
    feed_at(30, progress(2, 1, 1, 1));
    feed_at(40, lost(4, "silent for 10 s"));
    expect_state(1, QD_STATE_COMPLETING);
    others_answer_at(40.5, 1, 4);
    expect("JOB_STATE job 1 attempt 1 PENDING: lost a rank, waits for 8 ranks\n");
    ck_assert_int_eq(kit_job(1).lost_ranks, 1);
}

static const char *const policies[] = {"fifo", "easy", "conservative", "multifactor", "attained"};

/* Trap 25: N, of an account that has used nothing, is not let into the hole. */
START_TEST(the_next_free_rank_goes_to_the_gang_that_lost_one) {
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        open_short_of_one(policies[i], 600, 50);
        feed_at(41, of_account(estimated(3, 1, 100), 2));
        expect_state(3, QD_STATE_PENDING);
        end_at(50, 2, QD_OUTCOME_DONE);
        ck_assert_msg(kit_job(1).state == QD_STATE_RUNNING, "%s", policies[i]);
        ck_assert(is_member(1, 9) && !is_member(1, 4));
        ck_assert_int_eq(kit_job(1).attempt, 2);
        expect_state(3, QD_STATE_PENDING);
        end_at(700, 1, QD_OUTCOME_DONE);
        expect_state(3, QD_STATE_RUNNING);
        kit_close();
    }
}
END_TEST

/* Its seven are not parked: who is gone by then may have some of them. */
START_TEST(who_does_not_delay_the_gang_starts_beside_it) {
    open_short_of_one("multifactor", 600, 50);
    ck_assert_double_eq(kit_start_s(1), 50);
    feed_at(41, of_account(estimated(3, 1, 8), 2));
    expect_state(3, QD_STATE_RUNNING);
    end_at(49, 3, QD_OUTCOME_DONE);
    end_at(50, 2, QD_OUTCOME_DONE);
    expect_state(1, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* Trap 25, its second half: nobody knows when X ends, and the wait for a spare rank ends first.
 * Then G waits with its age, behind N, and its seven are anybody's. */
START_TEST(after_the_wait_for_a_spare_rank_the_gang_waits_as_others_do) {
    open_short_of_one("multifactor", 600, 0);
    feed_at(41, of_account(estimated(3, 1, 100), 2));
    expect_state(3, QD_STATE_PENDING);
    ck_assert_int_eq(qd_core_wake_ns(kit.core), INT64_C(640500000000));
    feed_at(640.5, now());
    expect_state(3, QD_STATE_RUNNING);
    expect_state(1, QD_STATE_PENDING);
    kit_close();
    open_short_of_one("multifactor", 0, 50);
    feed_at(41, of_account(estimated(3, 1, 100), 2));
    expect_state(3, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

START_TEST(who_is_more_important_is_not_passed) {
    open_short_of_one("multifactor", 600, 50);
    feed_at(41,
            important(of_account(estimated(3, 1, 100), 2), 1)); /* fits: G is first among its own */
    expect_state(3, QD_STATE_RUNNING);
    feed_at(42, of_account(estimated(4, 1, 100), 2));
    expect_state(4, QD_STATE_PENDING);
    kit_close();
    open_short_of_one("multifactor", 600, 50);
    feed_at(41,
            important(of_account(estimated(3, 8, 100), 2), 1)); /* does not fit: it is the head */
    expect_state(3, QD_STATE_PENDING);
    end_at(50, 2, QD_OUTCOME_DONE);
    expect_state(3, QD_STATE_RUNNING);
    expect_state(1, QD_STATE_PENDING);
    kit_close();
}
END_TEST

/* N waits already when the rank is lost, and each of the others answers at another time. */
START_TEST(the_ranks_of_a_gang_that_lost_one_are_let_go_together) {
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        kit_open_policy(8, scheduling_of(policies[i]));
        feed_at(0, of_account(estimated(1, 6, 1000), 0));
        feed_at(0, of_account(estimated(2, 2, 1000), 1));
        feed_at(5, of_account(estimated(3, 3, 1000), 2));
        feed_at(30, progress(1, 1, 30, 20));
        end_at(39, 2, QD_OUTCOME_DONE);
        feed_at(40, lost(4, "silent"));
        for (int rank = 1; rank <= 6; rank++) {
            if (rank == 4)
                continue;
            expect_state(1, QD_STATE_COMPLETING);
            expect_state(3, QD_STATE_PENDING);
            feed_at(40 + rank, ended(1, rank, QD_OUTCOME_ABORTED));
        }
        expect_state(1, QD_STATE_RUNNING); /* 2 and 5 are 7 */
        ck_assert_int_eq(kit_job(1).rank_count, 6);
        expect_state(3, QD_STATE_PENDING);
        kit_close();
    }
}
END_TEST

START_TEST(a_kept_rank_that_is_lost_or_drained_meanwhile_is_missing) {
    for (int drained = 0; drained < 2; drained++) {
        kit_open_policy(9, scheduling_of("multifactor"));
        feed_at(0, of_account(estimated(1, 8, 1000), 0));
        feed_at(30, progress(1, 1, 30, 20));
        feed_at(40, lost(4, "silent"));
        feed_at(41, ended(1, 1, QD_OUTCOME_ABORTED));
        feed_at(42, drained ? drain_rank(1) : lost(1, "silent"));
        others_answer_at(43, 1, 4);
        expect_state(1, drained ? QD_STATE_PENDING : QD_STATE_FAILED); /* 7 of 8 ranks */
        kit_close();
    }
}
END_TEST

/* Job 1 runs on 2 of 8 ranks; one of them is lost and the other answers. */
static void lose_one(void) {
    qd_job_view view = kit_job(1);
    int attempt = view.attempt, other = view.ranks[0];
    kit_feed(lost(view.ranks[1], "silent"));
    qd_event event = ended(1, other, QD_OUTCOME_ABORTED);
    event.attempt = attempt;
    kit_feed(event);
}

START_TEST(a_job_that_loses_ranks_without_saving_a_step_fails_in_the_end) {
    for (int saves = 0; saves < 2; saves++) {
        kit_open_policy(8, scheduling_of("easy"));
        feed_at(0, of_account(estimated(1, 2, 100), 0));
        for (int attempt = 1; attempt <= 4; attempt++) {
            expect_state(1, QD_STATE_RUNNING);
            kit_feed(progress(1, attempt, 10 * attempt, saves ? 10 * attempt : 0));
            lose_one();
        }
        expect_state(1, saves ? QD_STATE_RUNNING : QD_STATE_FAILED);
        ck_assert_int_eq(kit_job(1).lost_ranks, 4);
        ck_assert_int_eq(kit_job(1).preemptions, 0);
        kit_close();
    }
}
END_TEST

START_TEST(a_job_that_is_cancelled_while_its_members_answer_does_not_come_back) {
    kit_open_policy(4, scheduling_of("easy"));
    feed_at(0, of_account(estimated(1, 2, 100), 0));
    feed_at(1, progress(1, 1, 1, 1));
    feed_at(2, lost(2, "silent"));
    feed_at(3, cancel(1, "not any more"));
    feed_at(4, ended(1, 1, QD_OUTCOME_ABORTED));
    expect_state(1, QD_STATE_FAILED);
    ck_assert_int_eq(kit_free_ranks(), 3);
    kit_close();
}
END_TEST

/* ---- histories full of losses, under the eyes of the witness ---- */

enum { HISTORIES = 60, EVENTS = 150 };

static uint32_t draw(trial *t, uint32_t n) {
    return t->source.draw(t->source.context, n);
}

/* Mostly steps, answers and jobs that tell of their steps; a loss now and then. */
static qd_event draw_event(trial *t) {
    for (;;) {
        qd_event e = trial_draw_event(t);
        qd_job_view view;
        int jobs = qd_core_job_count(t->core);
        if (draw(t, 25) == 0) {
            e.kind = QD_EVENT_WORKER_LOST;
            e.rank = 1 + (int)draw(t, (uint32_t)t->witness.worker_ranks);
        } else if (jobs > 0 && draw(t, 2) == 0) {
            qd_core_job(t->core, (int)draw(t, (uint32_t)jobs), &view);
            e = progress(view.job, view.attempt, 1 + draw(t, 50), draw(t, 2));
            e.time_ns = t->witness.time_ns;
            if (view.state != QD_STATE_RUNNING)
                continue;
        }
        if (e.kind == QD_EVENT_SUBMIT) {
            e.submit.tells = 1;
            e.submit.held = 0;
            e.submit.begin_ns = e.submit.limit_ns = 0;
            e.submit.after[0] = '\0';
        }
        if (e.kind == QD_EVENT_SUBMIT || e.kind == QD_EVENT_MEMBER_ENDED ||
            e.kind == QD_EVENT_WORKER_LOST || e.kind == QD_EVENT_PROGRESS ||
            e.kind == QD_EVENT_TIME)
            return e;
    }
}

/* Returns how many gangs came back after a loss. */
static int run_history(const char *policy, uint64_t seed) {
    trial t;
    uint64_t number = seed;
    qd_scheduling scheduling = *scheduling_of(policy);
    scheduling.spare_wait_s = (double)(seed % 4);
    scheduling.quantum_s = 1;
    ck_assert(trial_begin_with(&t, (trial_source){trial_draw_splitmix, &seed}, 12, &scheduling));
    int count = trial_live(&t, &(trial_plan){.draw = draw_event,
                                             .events = EVENTS,
                                             .kind = QD_ACTION_JOB_STATE,
                                             .reason = "lost a rank"});
    ck_assert_msg(count >= 0, "%s, history %llu: %s", policy, (unsigned long long)number, t.broken);
    return count;
}

START_TEST(no_history_of_losses_breaks_a_rule) {
    int count = 0;
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++)
        for (uint64_t seed = 0; seed < HISTORIES; seed++)
            count += run_history(policies[i], 1000 * i + seed);
    ck_assert_int_ge(count, HISTORIES);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("gangs that lost a rank");
    TCase *tc = tcase_create("regroup");
    suite_add_tcase(suite, tc);
    tcase_add_test(tc, the_next_free_rank_goes_to_the_gang_that_lost_one);
    tcase_add_test(tc, who_does_not_delay_the_gang_starts_beside_it);
    tcase_add_test(tc, after_the_wait_for_a_spare_rank_the_gang_waits_as_others_do);
    tcase_add_test(tc, who_is_more_important_is_not_passed);
    tcase_add_test(tc, the_ranks_of_a_gang_that_lost_one_are_let_go_together);
    tcase_add_test(tc, a_kept_rank_that_is_lost_or_drained_meanwhile_is_missing);
    tcase_add_test(tc, a_job_that_loses_ranks_without_saving_a_step_fails_in_the_end);
    tcase_add_test(tc, a_job_that_is_cancelled_while_its_members_answer_does_not_come_back);
    tcase_add_test(tc, no_history_of_losses_breaks_a_rule);
    tcase_set_timeout(tc, 120);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad != 0;
}
