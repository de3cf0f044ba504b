/* Jobs that become wider or narrower while they run: E: {2..6} has 6. lo < mid < hi. */
#include "core_kit.h"
#include "scheduler/why.h"

enum { LO = -50, MID = 0, HI = 50 };

static void open_by(int preempt_by, int ranks, double min_run_s) {
    qd_scheduling scheduling = *scheduling_of("multifactor");
    scheduling.preempt_by = preempt_by;
    scheduling.min_run_s = min_run_s;
    kit_open_policy(ranks, &scheduling);
}

static qd_event of_class(int importance, qd_event event) {
    event.submit.importance = importance;
    return event;
}

static qd_event in_steps(int64_t job, int ranks_min, int ranks_max, int step) {
    qd_event event = submit(job, ranks_min, ranks_max);
    event.submit.ranks_step = step;
    return event;
}

static qd_event resize(int64_t job, int ranks, const char *why) {
    qd_event event = {.kind = QD_EVENT_RESIZE, .job = job};
    event.submit.ranks_min = ranks;
    return with_text(event, why);
}

static void expect_size(int64_t job, int count) {
    ck_assert_int_eq(kit_job(job).rank_count, count);
}

static void expect_ranks(int64_t job, int first, int count) {
    qd_job_view view = kit_job(job);
    ck_assert_int_eq(view.rank_count, count);
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(view.ranks[i], first + i);
}

/* A job of its class on so many of its ranks, by hand. */
static void run_on(int importance, qd_event event, int ranks) {
    double at = (double)kit.time_ns * 1e-9;
    feed_at(at, of_class(importance, event));
    if (ranks == event.submit.ranks_min)
        return;
    feed_at(at, resize(event.submit.job, ranks, ""));
    end_at(at, event.submit.job, QD_OUTCOME_SAVED);
    expect_size(event.submit.job, ranks);
}

/* ---- by hand ---- */

/* Trap 27. fifo deals what is left over, so that E has 6 of the 8. */
START_TEST(a_shrink_wakes_who_fits_without_any_further_event) {
    kit_open_policy(8, scheduling_of("fifo"));
    feed_at(0, submit(1, 2, 6));
    feed_at(50, submit(2, 4, 4));
    expect_state(2, QD_STATE_PENDING);
    feed_at(100, resize(1, 4, "by hand"));
    expect("JOB_STATE job 1 attempt 1 RESIZING: shrinks to 4 ranks: by hand\n"
           "RESIZE job 1 attempt 1 epoch 1 ranks 1-4: shrinks to 4 ranks: by hand\n"
           "STOP job 1 attempt 1 epoch 1 ranks 1-6: shrinks to 4 ranks: by hand\n");
    /* What it gives back is N's as soon as it is free; what it keeps is nobody's meanwhile. */
    for (int rank = 1; rank <= 4; rank++)
        feed_at(100, ended(1, rank, QD_OUTCOME_SAVED));
    expect_state(2, QD_STATE_PENDING);
    feed_at(100, ended(1, 5, QD_OUTCOME_SAVED));
    feed_at(100, ended(1, 6, QD_OUTCOME_SAVED));
    expect("JOB_STATE job 1 attempt 2 RUNNING: runs on 4 ranks\n"
           "START job 1 attempt 2 epoch 2 ranks 1-4: goes on, on other ranks\n"
           "JOB_STATE job 2 attempt 1 RUNNING: runs on 4 ranks\n"
           "START job 2 attempt 1 epoch 3 ranks 5-8: its turn\n");
    ck_assert_int_eq(kit_job(1).resizes, 1);
    ck_assert_int_eq(kit_job(1).preemptions, 0);
    kit_close();
}
END_TEST

/* Trap 28: 5 ranks. E: {2..5} has 3, X: 1r. E wants 5. */
START_TEST(a_job_grows_as_far_as_ranks_are_idle_and_is_never_counted_twice) {
    kit_open_policy(5, scheduling_of("fifo"));
    feed_at(0, submit(1, 1, 1));
    feed_at(1, submit(2, 1, 1));
    feed_at(2, submit(3, 2, 5));
    expect_ranks(3, 3, 3);
    end_at(3, 2, QD_OUTCOME_DONE);
    feed_at(10, resize(3, 5, ""));
    expect("JOB_STATE job 3 attempt 1 RESIZING: grows to 4 ranks\n"
           "RESIZE job 3 attempt 1 epoch 3 ranks 2-5: grows to 4 ranks\n"
           "STOP job 3 attempt 1 epoch 3 ranks 3-5: grows to 4 ranks\n");
    feed_at(11, submit(4, 1, 1)); /* the fifth rank is not idle any more */
    expect_state(4, QD_STATE_PENDING);
    end_at(12, 3, QD_OUTCOME_SAVED);
    expect_state(3, QD_STATE_RUNNING);
    expect_ranks(3, 2, 4);
    expect_state(4, QD_STATE_PENDING);
    end_at(13, 3, QD_OUTCOME_DONE);
    expect_state(4, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* E: {2..6} has 5 of the 10, of which 4 are drained: it goes on with the last and 5 others. */
START_TEST(a_job_of_which_ranks_are_drained_gets_others_beside_them) {
    kit_open_policy(10, scheduling_of("fifo"));
    feed_at(0, submit(1, 2, 6));
    feed_at(1, resize(1, 5, ""));
    end_at(1, 1, QD_OUTCOME_SAVED);
    expect_ranks(1, 1, 5);
    for (int rank = 1; rank <= 4; rank++)
        feed_at(2, (qd_event){.kind = QD_EVENT_RANK_DRAIN, .rank = rank, .text = ""});
    feed_at(3, resize(1, 6, ""));
    end_at(3, 1, QD_OUTCOME_SAVED);
    expect_ranks(1, 5, 6);
    kit_close();
}
END_TEST

/* Likewise, but in pairs: it stays as it is, and trains all the while. */
START_TEST(a_job_does_not_grow_to_what_its_layout_forbids) {
    kit_open_policy(5, scheduling_of("fifo"));
    feed_at(0, submit(1, 1, 1));
    feed_at(1, submit(2, 1, 1));
    feed_at(2, in_steps(3, 3, 5, 2));
    end_at(3, 2, QD_OUTCOME_DONE);
    feed_at(10, resize(3, 5, ""));
    expect("");
    expect_state(3, QD_STATE_RUNNING);
    expect_ranks(3, 3, 3);
    kit_close();
}
END_TEST

/* Trap 29: E: {4..12}, pipeline 4; 6 are free when it comes back. */
START_TEST(the_floor_is_the_minimum_of_the_job_and_not_its_last_size) {
    qd_scheduling by_class = *scheduling_of("multifactor");
    by_class.preempt_by = QD_PREEMPT_CLASS;
    by_class.min_run_s = 1;
    kit_open_policy(12, &by_class);
    feed_at(0, in_steps(1, 4, 12, 4));
    feed_at(1, resize(1, 8, ""));
    end_at(1, 1, QD_OUTCOME_SAVED);
    expect_ranks(1, 1, 8);
    qd_event hi = submit(2, 12, 12);
    hi.submit.importance = HI;
    feed_at(10, hi);
    end_at(11, 1, QD_OUTCOME_SAVED);
    expect_state(1, QD_STATE_PENDING);
    expect_state(2, QD_STATE_RUNNING);
    for (int rank = 7; rank <= 12; rank++)
        feed_at(12, (qd_event){.kind = QD_EVENT_RANK_DRAIN, .rank = rank});
    end_at(20, 2, QD_OUTCOME_DONE);
    expect_ranks(1, 1, 4);
    qd_event event = resize(1, 3, "");
    kit_refused(event, "RESIZE: job 1 to 3 ranks; accepted: 4 to 12 in steps of 4, the ranks of a "
                       "copy of its model (pipeline stages times tensor ranks)");
    kit_close();
}
END_TEST

START_TEST(only_a_job_that_runs_is_resized) {
    kit_open_ready(4);
    feed_at(1, submit(1, 4, 4));
    feed_at(2, submit(2, 2, 4));
    kit_refused(resize(2, 3, ""), "RESIZE: job 2 is PENDING; accepted: one that is RUNNING");
    kit_refused(resize(9, 3, ""), "RESIZE: no job 9 was ever submitted");
    kit_close();
}
END_TEST

/* Ranks 1-4 of 6 are kept; 2 is drained while it saves, 3 is lost when it has: two are left. */
START_TEST(what_is_lost_of_the_kept_ranks_makes_the_next_gang_smaller) {
    kit_open_policy(6, scheduling_of("fifo"));
    feed_at(0, submit(1, 1, 6));
    feed_at(1, resize(1, 4, ""));
    feed_at(2, (qd_event){.kind = QD_EVENT_RANK_DRAIN, .rank = 2});
    feed_at(3, ended(1, 3, QD_OUTCOME_SAVED));
    feed_at(4, lost(3, "silent"));
    const int others[] = {1, 2, 4, 5, 6};
    for (int i = 0; i < 5; i++)
        feed_at(5, ended(1, others[i], QD_OUTCOME_SAVED));
    expect("JOB_STATE job 1 attempt 2 RUNNING: runs on 2 ranks\n"
           "START job 1 attempt 2 epoch 2 ranks 1,4: goes on, on other ranks\n");
    kit_close();
}
END_TEST

START_TEST(with_fewer_than_its_minimum_it_waits_with_its_age) {
    kit_open_policy(4, scheduling_of("fifo"));
    feed_at(0, submit(1, 2, 4));
    feed_at(1, resize(1, 2, ""));
    feed_at(2, (qd_event){.kind = QD_EVENT_RANK_DRAIN, .rank = 1});
    feed_at(2, (qd_event){.kind = QD_EVENT_RANK_DRAIN, .rank = 3});
    feed_at(2, (qd_event){.kind = QD_EVENT_RANK_DRAIN, .rank = 4});
    end_at(3, 1, QD_OUTCOME_SAVED);
    expect_state(1, QD_STATE_PENDING);
    feed_at(4, (qd_event){.kind = QD_EVENT_RANK_RESUME, .rank = 3});
    expect_ranks(1, 2, 2);
    kit_close();
}
END_TEST

/* Each gives all ranks back, those that were kept too, and keeps its own state. */
START_TEST(a_job_that_ends_while_it_is_resized_keeps_its_own_state) {
    static const struct {
        qd_outcome outcome;
        qd_job_state state;
    } ends[] = {{QD_OUTCOME_DONE, QD_STATE_COMPLETED}, {QD_OUTCOME_FAILED, QD_STATE_FAILED}};
    for (int i = 0; i < 2; i++)
        for (int to = 2; to <= 6; to += 4) {
            kit_open_policy(6, scheduling_of("fifo"));
            feed_at(0, submit(1, 2, 2));
            feed_at(0, submit(2, 2, 6));
            feed_at(0, submit(3, 6, 6));
            end_at(1, 1, QD_OUTCOME_DONE);
            feed_at(2, resize(2, to, ""));
            end_at(3, 2, ends[i].outcome);
            expect_state(2, ends[i].state);
            expect_state(3, QD_STATE_RUNNING);
            kit_close();
        }
}
END_TEST

START_TEST(a_cancelled_resize_keeps_nothing) {
    kit_open_policy(6, scheduling_of("fifo"));
    feed_at(0, submit(1, 2, 6));
    feed_at(1, resize(1, 4, ""));
    feed_at(2, submit(2, 2, 2));
    feed_at(3, ended(1, 1, QD_OUTCOME_SAVED));
    feed_at(3, ended(1, 2, QD_OUTCOME_SAVED));
    expect_state(2, QD_STATE_PENDING);
    feed_at(4, cancel(1, "enough"));
    expect("JOB_STATE job 1 attempt 1 COMPLETING: enough\n"
           "ABORT job 1 attempt 1 epoch 1 ranks 3-6: enough\n"
           "JOB_STATE job 2 attempt 1 RUNNING: runs on 2 ranks\n"
           "START job 2 attempt 1 epoch 2 ranks 1-2: its turn\n");
    kit_close();
}
END_TEST

/* 100 steps on 4 ranks, 2 s each; after 10 of them on 2 ranks: 90 x 4 s. */
START_TEST(after_a_resize_the_step_time_is_scaled_by_ranks) {
    qd_why why;
    kit_open_policy(4, scheduling_of("fifo"));
    feed_at(0, submit(1, 2, 4));
    qd_event p = {.kind = QD_EVENT_PROGRESS, .job = 1, .attempt = 1, .steps = 100};
    feed_at(2, p);
    p.step = 10;
    feed_at(22, p);
    ck_assert_int_eq(qd_why_ask(kit.core, 1, &why), 0);
    ck_assert_int_eq(why.end_ns / 1000000, 202000);
    feed_at(22, resize(1, 2, ""));
    end_at(30, 1, QD_OUTCOME_SAVED);
    ck_assert_int_eq(qd_why_ask(kit.core, 1, &why), 0);
    ck_assert_int_eq(why.end_ns / 1000000, 390000);
    kit_close();
}
END_TEST

/* ---- to make room ---- */

/* Trap 21: 11 ranks. V: lo, {1..11}, on 11. H: hi, 1r. */
START_TEST(a_job_gives_as_many_ranks_as_are_needed_and_no_more) {
    open_by(QD_PREEMPT_CLASS, 11, 1);
    run_on(LO, submit(1, 1, 11), 11);
    feed_at(10, of_class(HI, submit(2, 1, 1)));
    expect("JOB_STATE job 2 attempt 0 PENDING: waits for 1 rank\n"
           "JOB_STATE job 1 attempt 2 RESIZING: shrinks to 10 ranks: makes room for job 2\n"
           "RESIZE job 1 attempt 2 epoch 2 ranks 1-10: shrinks to 10 ranks: makes room for job 2\n"
           "STOP job 1 attempt 2 epoch 2 ranks 1-11: shrinks to 10 ranks: makes room for job 2\n");
    end_at(11, 1, QD_OUTCOME_SAVED);
    expect_size(1, 10);
    expect_state(1, QD_STATE_RUNNING);
    expect_state(2, QD_STATE_RUNNING);
    ck_assert_int_eq(kit_job(1).preemptions, 1);
    kit_close();
}
END_TEST

/* Trap 14, the shrinking: P: lo, {4..8} in fours; H: hi, 4r, on exactly those that P gives. */
START_TEST(nobody_else_gets_what_is_given_or_kept) {
    open_by(QD_PREEMPT_CLASS, 8, 1);
    run_on(LO, in_steps(1, 4, 8, 4), 8);
    feed_at(50, of_class(HI, submit(2, 4, 4)));
    feed_at(51, of_class(MID, estimated(3, 1, 1)));
    for (int rank = 1; rank <= 8; rank++) {
        qd_event event = ended(1, rank, QD_OUTCOME_SAVED);
        event.attempt = 2;
        expect_state(2, QD_STATE_PENDING);
        feed_at(52, event);
        expect_state(3, QD_STATE_PENDING);
    }
    expect_ranks(1, 1, 4);
    expect_ranks(2, 5, 4);
    expect_state(2, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* Trap 18, the end: x1: {3..4} runs on 4 of 8, y1 on 1, y2 needs 4: equals. */
START_TEST(a_surplus_goes_to_equals_too_but_a_gang_does_not) {
    open_by(QD_PREEMPT_CLASS, 8, 1);
    run_on(MID, submit(1, 3, 4), 4);
    feed_at(1, submit(2, 1, 1));
    feed_at(10, submit(3, 4, 4));
    expect_state(1, QD_STATE_RESIZING);
    end_at(11, 1, QD_OUTCOME_SAVED);
    expect_size(1, 3);
    expect_state(3, QD_STATE_RUNNING);
    feed_at(20, submit(4, 1, 1)); /* nobody has anything to spare */
    feed_at(30, now());
    for (int64_t job = 1; job <= 3; job++)
        expect_state(job, QD_STATE_RUNNING);
    expect_state(4, QD_STATE_PENDING);
    kit_close();
}
END_TEST

START_TEST(a_surplus_is_not_given_to_a_lower_class) {
    open_by(QD_PREEMPT_CLASS, 4, 1);
    run_on(HI, submit(1, 1, 4), 4);
    feed_at(10, of_class(LO, submit(2, 1, 1)));
    expect_state(1, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* A rigid gang that has just saved would lose less, yet those who only shrink come first. */
START_TEST(surplus_ranks_are_taken_before_whole_gangs) {
    open_by(QD_PREEMPT_CLASS, 8, 1);
    run_on(LO, submit(1, 1, 4), 4);
    feed_at(1, of_class(LO, submit(2, 4, 4)));
    feed_at(9,
            (qd_event){.kind = QD_EVENT_PROGRESS, .job = 2, .attempt = 1, .step = 1, .saved = 1});
    feed_at(10, of_class(HI, submit(3, 3, 3)));
    expect_state(1, QD_STATE_RESIZING);
    expect_state(2, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* 4 + 4 ranks, 6 wanted: 3 of the elastic one's are not enough, the rigid gang is; and then 2 of
 * the other's will do. */
START_TEST(where_the_surplus_is_not_enough_a_gang_yields_and_no_surplus_beyond_need) {
    open_by(QD_PREEMPT_CLASS, 8, 1);
    run_on(LO, submit(1, 1, 4), 4);
    feed_at(1, of_class(LO, submit(2, 4, 4)));
    feed_at(9,
            (qd_event){.kind = QD_EVENT_PROGRESS, .job = 2, .attempt = 1, .step = 1, .saved = 1});
    feed_at(10, of_class(HI, submit(3, 6, 6)));
    expect_state(2, QD_STATE_COMPLETING);
    expect_state(1, QD_STATE_RESIZING);
    end_at(11, 1, QD_OUTCOME_SAVED);
    expect_size(1, 2);
    kit_close();
    open_by(QD_PREEMPT_SURPLUS, 8, 1); /* by which no gang yields */
    run_on(LO, submit(1, 1, 4), 4);
    feed_at(1, of_class(LO, submit(2, 4, 4)));
    feed_at(10, of_class(HI, submit(3, 6, 6)));
    expect_state(1, QD_STATE_RUNNING);
    expect_state(2, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* In pairs: 1 wanted, 2 given; 4 ranks: one of the other job would have been enough. */
START_TEST(ranks_are_given_in_steps_and_nobody_is_told_who_is_not_needed) {
    open_by(QD_PREEMPT_CLASS, 9, 1);
    run_on(LO, submit(1, 1, 3), 3);
    run_on(LO, in_steps(2, 2, 6, 2), 6);
    feed_at(9,
            (qd_event){.kind = QD_EVENT_PROGRESS, .job = 1, .attempt = 2, .step = 1, .saved = 1});
    feed_at(10, of_class(HI, submit(3, 4, 4)));
    /* Job 1 loses less, and has 2; job 2 gives 2. */
    expect_state(1, QD_STATE_RESIZING);
    expect_state(2, QD_STATE_RESIZING);
    end_at(11, 1, QD_OUTCOME_SAVED);
    end_at(11, 2, QD_OUTCOME_SAVED);
    expect_size(1, 1);
    expect_size(2, 4);
    expect_state(3, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

START_TEST(who_does_not_save_within_the_grace_goes_on_from_what_it_had_saved) {
    open_by(QD_PREEMPT_CLASS, 4, 1);
    run_on(LO, submit(1, 1, 4), 4);
    feed_at(10, of_class(HI, submit(2, 1, 1)));
    ck_assert_int_eq(qd_core_wake_ns(kit.core), INT64_C(130000000000));
    feed_at(130, now());
    expect("ABORT job 1 attempt 2 epoch 2 ranks 1-4: had not saved after 120 s\n");
    end_at(131, 1, QD_OUTCOME_ABORTED);
    expect_state(1, QD_STATE_RUNNING);
    expect_size(1, 3);
    expect_state(2, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* ---- into idle ranks ---- */

static void open_growing(const char *policy, int ranks) {
    qd_scheduling scheduling = *scheduling_of(policy);
    scheduling.grow = true;
    scheduling.grow_cost_s = 10;
    scheduling.grow_min_run_s = 60;
    kit_open_policy(ranks, &scheduling);
}

static qd_event elastic(int64_t job, int ranks_min, int ranks_max, double estimate_s) {
    qd_event event = submit(job, ranks_min, ranks_max);
    event.submit.estimate_ns = (int64_t)(estimate_s * 1e9);
    return event;
}

START_TEST(a_job_grows_into_idle_ranks_once_it_has_run_for_long_enough) {
    open_growing("easy", 4);
    feed_at(0, estimated(1, 2, 10));
    feed_at(0, elastic(2, 2, 4, 1000));
    expect_size(2, 2);
    end_at(10, 1, QD_OUTCOME_DONE);
    expect_state(2, QD_STATE_RUNNING);
    ck_assert_int_eq(qd_core_wake_ns(kit.core) / 1000000, 60000);
    feed_at(61, now());
    expect("JOB_STATE job 2 attempt 1 RESIZING: grows to 4 ranks: ranks are idle\n"
           "RESIZE job 2 attempt 1 epoch 2 ranks 1-4: grows to 4 ranks: ranks are idle\n"
           "STOP job 2 attempt 1 epoch 2 ranks 3-4: grows to 4 ranks: ranks are idle\n");
    end_at(62, 2, QD_OUTCOME_SAVED);
    expect_ranks(2, 1, 4);
    kit_close();
}
END_TEST

/* 2 to 4 ranks halve what is left; save and restart take 10 s, twice that has to be gained. */
START_TEST(a_job_does_not_grow_for_less_than_it_costs) {
    for (int more = 0; more < 2; more++) {
        open_growing("easy", 4);
        feed_at(0, estimated(1, 2, 10));
        feed_at(0, elastic(2, 2, 4, 100 + (more ? 41 : 39)));
        feed_at(100, (qd_event){.kind = QD_EVENT_TIME});
        end_at(100, 1, QD_OUTCOME_DONE);
        expect_state(2, more ? QD_STATE_RESIZING : QD_STATE_RUNNING);
        kit_close();
    }
    open_growing("easy", 4); /* nobody knows what is gained */
    feed_at(0, estimated(1, 2, 10));
    feed_at(0, submit(2, 2, 4));
    end_at(100, 1, QD_OUTCOME_DONE);
    expect_state(2, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

START_TEST(a_job_that_starts_alone_starts_as_wide_as_it_can) {
    open_growing("multifactor", 7);
    qd_event event = in_steps(1, 2, 8, 2);
    feed_at(0, event);
    expect_ranks(1, 1, 6);
    kit_close();
}
END_TEST

/* 6 ranks: R 3r until 200; E {1..3} on 1 until 1000; the head needs 4 and is promised 200 with one
 * to spare: E may have one more, not two. */
START_TEST(growing_does_not_delay_who_waits) {
    open_growing("easy", 6);
    feed_at(0, estimated(1, 3, 200));
    feed_at(0, estimated(2, 2, 70));
    feed_at(0, elastic(3, 1, 3, 1000));
    feed_at(1, estimated(4, 4, 50));
    end_at(70, 2, QD_OUTCOME_DONE);
    expect_state(4, QD_STATE_PENDING);
    expect_state(3, QD_STATE_RUNNING);
    kit_close();

    open_growing("easy", 7);
    feed_at(0, estimated(1, 3, 200));
    feed_at(0, estimated(2, 3, 70));
    feed_at(0, elastic(3, 1, 2, 1000));
    feed_at(1, estimated(4, 5, 50));
    end_at(70, 2, QD_OUTCOME_DONE);
    expect_state(3, QD_STATE_RESIZING); /* the head has 5 of 7 at 200, with E on 2 */
    kit_close();
}
END_TEST

START_TEST(a_job_does_not_grow_beyond_what_an_operator_gave_it) {
    open_growing("easy", 8);
    feed_at(0, elastic(1, 2, 8, 1000));
    expect_size(1, 8);
    feed_at(100, resize(1, 4, ""));
    end_at(101, 1, QD_OUTCOME_SAVED);
    feed_at(500, now());
    expect_state(1, QD_STATE_RUNNING);
    expect_size(1, 4);
    kit_close();
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("elastic");
    tcase_add_test(tc, a_shrink_wakes_who_fits_without_any_further_event);
    tcase_add_test(tc, a_job_grows_as_far_as_ranks_are_idle_and_is_never_counted_twice);
    tcase_add_test(tc, a_job_of_which_ranks_are_drained_gets_others_beside_them);
    tcase_add_test(tc, a_job_does_not_grow_to_what_its_layout_forbids);
    tcase_add_test(tc, the_floor_is_the_minimum_of_the_job_and_not_its_last_size);
    tcase_add_test(tc, only_a_job_that_runs_is_resized);
    tcase_add_test(tc, what_is_lost_of_the_kept_ranks_makes_the_next_gang_smaller);
    tcase_add_test(tc, with_fewer_than_its_minimum_it_waits_with_its_age);
    tcase_add_test(tc, a_job_that_ends_while_it_is_resized_keeps_its_own_state);
    tcase_add_test(tc, a_cancelled_resize_keeps_nothing);
    tcase_add_test(tc, a_job_gives_as_many_ranks_as_are_needed_and_no_more);
    tcase_add_test(tc, nobody_else_gets_what_is_given_or_kept);
    tcase_add_test(tc, a_surplus_goes_to_equals_too_but_a_gang_does_not);
    tcase_add_test(tc, a_surplus_is_not_given_to_a_lower_class);
    tcase_add_test(tc, surplus_ranks_are_taken_before_whole_gangs);
    tcase_add_test(tc, where_the_surplus_is_not_enough_a_gang_yields_and_no_surplus_beyond_need);
    tcase_add_test(tc, ranks_are_given_in_steps_and_nobody_is_told_who_is_not_needed);
    tcase_add_test(tc, who_does_not_save_within_the_grace_goes_on_from_what_it_had_saved);
    tcase_add_test(tc, a_job_grows_into_idle_ranks_once_it_has_run_for_long_enough);
    tcase_add_test(tc, a_job_does_not_grow_for_less_than_it_costs);
    tcase_add_test(tc, a_job_that_starts_alone_starts_as_wide_as_it_can);
    tcase_add_test(tc, growing_does_not_delay_who_waits);
    tcase_add_test(tc, a_job_does_not_grow_beyond_what_an_operator_gave_it);
    tcase_add_test(tc, after_a_resize_the_step_time_is_scaled_by_ranks);
    Suite *suite = suite_create("scheduler/elastic");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
