/* The rules of the core, one behaviour a test, seen from the outside: events in, actions out. */
#include <limits.h>

#include "core_kit.h"
#include "scheduler/jobs.h"

#define PENDING_1(job) "JOB_STATE job " job " attempt 0 PENDING: waits for 1 rank\n"
#define PENDING_2(job) "JOB_STATE job " job " attempt 0 PENDING: waits for 2 ranks\n"

/* Jobs of two ranks each run on 1-2, 3-4, ... */
static void open_with_pairs(int jobs) {
    kit_open_ready(2 * jobs);
    for (int job = 1; job <= jobs; job++)
        kit_feed(submit(job, 2, 2));
}

/* ---- starting ---- */

START_TEST(a_job_starts_at_once_on_free_ranks) {
    kit_open_ready(2);
    kit_feed(submit(1, 2, 2));
    expect(PENDING_2("1") "JOB_STATE job 1 attempt 1 RUNNING: runs on 2 ranks\n"
                          "START job 1 attempt 1 epoch 1 ranks 1-2: its turn\n");
    qd_job_view view = kit_job(1);
    ck_assert_str_eq(view.name, "job-1");
    ck_assert_int_eq(view.state, QD_STATE_RUNNING);
    ck_assert_int_eq(view.attempt, 1);
    ck_assert_int_eq(view.rank_count, 2);
    ck_assert_int_eq(view.ranks[0], 1);
    ck_assert_int_eq(view.ranks[1], 2);
}
END_TEST

START_TEST(nothing_starts_while_a_worker_is_still_on_its_way) {
    kit_open(3);
    kit_feed(submit(1, 1, 8));
    expect(PENDING_1("1"));
    kit_feed(ready(1));
    expect("");
    kit_feed(ready(3));
    expect("");
    kit_feed(ready(2));
    expect("JOB_STATE job 1 attempt 1 RUNNING: runs on 3 ranks\n"
           "START job 1 attempt 1 epoch 1 ranks 1-3: its turn\n");
}
END_TEST

START_TEST(a_worker_lost_at_start_up_is_waited_for_no_longer) {
    kit_open(3);
    kit_feed(submit(1, 1, 8));
    kit_feed(ready(1));
    kit_feed(ready(3));
    kit_feed(lost(2, "never spoke"));
    expect("JOB_STATE job 1 attempt 1 RUNNING: runs on 2 ranks\n"
           "START job 1 attempt 1 epoch 1 ranks 1,3: its turn\n");
}
END_TEST

START_TEST(nothing_passes_the_head_of_the_queue) {
    kit_open_ready(3);
    kit_feed(submit(1, 2, 2));
    kit_feed(submit(2, 2, 2));
    expect(PENDING_2("2"));
    kit_feed(submit(3, 1, 1));
    expect(PENDING_1("3"));
    kit_feed(ended(1, 1, QD_OUTCOME_DONE));
    expect("JOB_STATE job 1 attempt 1 COMPLETING: 1 of 2 members ended\n"
           "JOB_STATE job 2 attempt 1 RUNNING: runs on 2 ranks\n"
           "START job 2 attempt 1 epoch 2 ranks 1,3: its turn\n");
    kit_feed(ended(1, 2, QD_OUTCOME_DONE));
    expect("JOB_STATE job 1 attempt 1 COMPLETED: all steps done\n"
           "JOB_STATE job 3 attempt 1 RUNNING: runs on 1 rank\n"
           "START job 3 attempt 1 epoch 3 ranks 2: its turn\n");
}
END_TEST

START_TEST(spare_ranks_are_dealt_to_the_jobs_that_start_together) {
    kit_open(5);
    kit_feed(submit(1, 1, 4));
    kit_feed(submit(2, 1, 4));
    for (int rank = 1; rank <= 5; rank++)
        kit_feed(ready(rank));
    expect("JOB_STATE job 1 attempt 1 RUNNING: runs on 3 ranks\n"
           "START job 1 attempt 1 epoch 1 ranks 1-3: its turn\n"
           "JOB_STATE job 2 attempt 1 RUNNING: runs on 2 ranks\n"
           "START job 2 attempt 1 epoch 2 ranks 4-5: its turn\n");
}
END_TEST

START_TEST(a_job_too_wide_for_the_living_workers_is_cancelled_at_once) {
    kit_open_ready(2);
    kit_feed(submit(1, 4, 4));
    expect("JOB_STATE job 1 attempt 0 PENDING: waits for 4 ranks\n"
           "JOB_STATE job 1 attempt 0 CANCELLED: needs 4 ranks, 2 workers are alive\n");
    ck_assert_str_eq(kit_job(1).reason, "needs 4 ranks, 2 workers are alive");
}
END_TEST

START_TEST(a_worker_on_its_way_counts_as_alive) {
    kit_open(2);
    kit_feed(submit(1, 2, 2));
    expect(PENDING_2("1"));
}
END_TEST

START_TEST(pending_jobs_that_became_too_wide_are_cancelled_and_let_others_through) {
    kit_open_ready(3);
    kit_feed(submit(1, 2, 2));
    kit_feed(submit(2, 3, 3));
    kit_feed(submit(3, 1, 1));
    kit_feed(lost(1, "silent"));
    expect("JOB_STATE job 1 attempt 1 COMPLETING: rank 1 was lost: silent\n"
           "ABORT job 1 attempt 1 epoch 1 ranks 2: rank 1 was lost: silent\n"
           "JOB_STATE job 2 attempt 0 CANCELLED: needs 3 ranks, 2 workers are alive\n"
           "JOB_STATE job 3 attempt 1 RUNNING: runs on 1 rank\n"
           "START job 3 attempt 1 epoch 2 ranks 3: its turn\n");
}
END_TEST

START_TEST(when_the_last_worker_is_lost_no_job_waits_for_ever) {
    kit_open_ready(1);
    kit_feed(submit(1, 1, 1));
    kit_feed(submit(2, 1, 1));
    kit_feed(closed());
    kit_feed(lost(1, "silent"));
    expect("JOB_STATE job 1 attempt 1 FAILED code -9: rank 1 was lost: silent\n"
           "JOB_STATE job 2 attempt 0 CANCELLED: needs 1 rank, 0 workers are alive\n"
           "SHUTDOWN\n");
}
END_TEST

/* ---- ends ---- */

START_TEST(a_job_is_completed_only_when_all_members_are_done) {
    kit_open_ready(3);
    kit_feed(submit(1, 3, 3));
    kit_feed(ended(1, 2, QD_OUTCOME_DONE));
    expect("JOB_STATE job 1 attempt 1 COMPLETING: 1 of 3 members ended\n");
    kit_feed(ended(1, 1, QD_OUTCOME_DONE));
    expect("");
    expect_state(1, QD_STATE_COMPLETING);
    kit_feed(ended(1, 3, QD_OUTCOME_DONE));
    expect("JOB_STATE job 1 attempt 1 COMPLETED: all steps done\n");
}
END_TEST

START_TEST(a_failure_aborts_the_others_and_the_first_text_is_kept) {
    kit_open_ready(3);
    kit_feed(submit(1, 3, 3));
    kit_feed(failed(1, 2, QD_EDATA, "loss is not a number at step 12"));
    expect("JOB_STATE job 1 attempt 1 COMPLETING: loss is not a number at step 12\n"
           "ABORT job 1 attempt 1 epoch 1 ranks 1,3: loss is not a number at step 12\n");
    kit_feed(failed(1, 1, QD_ETIMEDOUT, "peer 2 does not answer"));
    expect("");
    kit_feed(ended(1, 3, QD_OUTCOME_ABORTED));
    expect("JOB_STATE job 1 attempt 1 FAILED code -3: loss is not a number at step 12\n");
}
END_TEST

START_TEST(a_failure_beside_done_members_fails_the_job) {
    open_with_pairs(1);
    kit_feed(ended(1, 1, QD_OUTCOME_DONE));
    kit_feed(failed(1, 2, QD_EIO, "disk full"));
    expect("JOB_STATE job 1 attempt 1 FAILED code -4: disk full\n");
}
END_TEST

START_TEST(a_failure_without_code_or_text_still_fails_with_both) {
    kit_open_ready(1);
    kit_feed(submit(1, 1, 1));
    kit_feed(failed(1, 1, 0, ""));
    expect("JOB_STATE job 1 attempt 1 FAILED code -10: rank 1 failed and did not say why\n");
}
END_TEST

START_TEST(a_gang_that_saved_is_preempted) {
    open_with_pairs(1);
    kit_feed(ended(1, 1, QD_OUTCOME_SAVED));
    kit_feed(ended(1, 2, QD_OUTCOME_SAVED));
    expect("JOB_STATE job 1 attempt 1 PREEMPTED: saved\n");
}
END_TEST

START_TEST(saved_outranks_done) {
    open_with_pairs(1);
    kit_feed(ended(1, 1, QD_OUTCOME_SAVED));
    kit_feed(ended(1, 2, QD_OUTCOME_DONE));
    expect("JOB_STATE job 1 attempt 1 PREEMPTED: saved\n");
}
END_TEST

START_TEST(aborted_outranks_saved_and_calls_off_the_others) {
    kit_open_ready(3);
    kit_feed(submit(1, 3, 3));
    kit_feed(ended(1, 1, QD_OUTCOME_SAVED));
    kit_feed(ended(1, 2, QD_OUTCOME_ABORTED));
    expect("ABORT job 1 attempt 1 epoch 1 ranks 3: rank 2 was called off\n");
    kit_feed(ended(1, 3, QD_OUTCOME_SAVED));
    expect("JOB_STATE job 1 attempt 1 CANCELLED: rank 2 was called off\n");
}
END_TEST

START_TEST(failed_outranks_aborted) {
    open_with_pairs(1);
    kit_feed(ended(1, 1, QD_OUTCOME_ABORTED));
    expect("JOB_STATE job 1 attempt 1 COMPLETING: rank 1 was called off\n"
           "ABORT job 1 attempt 1 epoch 1 ranks 2: rank 1 was called off\n");
    kit_feed(failed(1, 2, QD_EIO, "disk full"));
    expect("JOB_STATE job 1 attempt 1 FAILED code -4: disk full\n");
}
END_TEST

/* ---- lost workers ---- */

START_TEST(a_lost_member_fails_the_job_once_the_others_have_acknowledged) {
    kit_open_ready(4);
    kit_feed(submit(1, 4, 4));
    kit_feed(lost(3, "silent for 10 s"));
    expect("JOB_STATE job 1 attempt 1 COMPLETING: rank 3 was lost: silent for 10 s\n"
           "ABORT job 1 attempt 1 epoch 1 ranks 1-2,4: rank 3 was lost: silent for 10 s\n");
    kit_feed(ended(1, 1, QD_OUTCOME_ABORTED));
    kit_feed(failed(1, 4, QD_ELOST, "rank 3 does not answer"));
    expect("");
    expect_state(1, QD_STATE_COMPLETING);
    kit_feed(ended(1, 2, QD_OUTCOME_ABORTED));
    expect("JOB_STATE job 1 attempt 1 FAILED code -9: rank 3 was lost: silent for 10 s\n");
}
END_TEST

START_TEST(others_lost_meanwhile_count_as_acknowledged) {
    kit_open_ready(3);
    kit_feed(submit(1, 3, 3));
    kit_feed(lost(3, "silent"));
    kit_feed(lost(1, "silent too"));
    expect("");
    kit_feed(lost(2, ""));
    expect("JOB_STATE job 1 attempt 1 FAILED code -9: rank 3 was lost: silent\n");
}
END_TEST

START_TEST(a_rank_is_free_only_when_its_worker_has_acknowledged) {
    kit_open_ready(3);
    kit_feed(submit(1, 3, 3));
    kit_feed(submit(2, 1, 3));
    kit_feed(lost(3, "silent"));
    expect_state(2, QD_STATE_PENDING);
    kit_feed(ended(1, 2, QD_OUTCOME_ABORTED));
    expect("JOB_STATE job 2 attempt 1 RUNNING: runs on 1 rank\n"
           "START job 2 attempt 1 epoch 2 ranks 2: its turn\n");
    expect_state(1, QD_STATE_COMPLETING);
}
END_TEST

/* Trap 30: 1, 2 and 4 are given to the next job; 3, whose word was lost, to nobody until it answers
 * or is fenced. */
START_TEST(a_rank_whose_last_word_was_lost_serves_nobody_until_it_answers) {
    for (int fenced = 0; fenced < 2; fenced++) {
        kit_open_ready(4);
        kit_feed(submit(1, 4, 4));
        kit_feed(submit(2, 3, 3));
        kit_feed(submit(3, 1, 1));
        kit_feed(ended(1, 1, QD_OUTCOME_DONE));
        kit_feed(ended(1, 2, QD_OUTCOME_DONE));
        expect("");
        kit_feed(ended(1, 4, QD_OUTCOME_DONE));
        expect("JOB_STATE job 2 attempt 1 RUNNING: runs on 3 ranks\n"
               "START job 2 attempt 1 epoch 2 ranks 1-2,4: its turn\n");
        expect_state(1, QD_STATE_COMPLETING);
        expect_state(3, QD_STATE_PENDING);
        kit_feed(fenced ? lost(3, "silent for 10 s") : ended(1, 3, QD_OUTCOME_DONE));
        expect(fenced
                   ? "JOB_STATE job 1 attempt 1 FAILED code -9: rank 3 was lost: silent for 10 s\n"
                   : "JOB_STATE job 1 attempt 1 COMPLETED: all steps done\n"
                     "JOB_STATE job 3 attempt 1 RUNNING: runs on 1 rank\n"
                     "START job 3 attempt 1 epoch 3 ranks 3: its turn\n");
        if (fenced) /* what it says now is too late */
            kit_feed(ended(1, 3, QD_OUTCOME_DONE));
        kit_close();
    }
}
END_TEST

static qd_event that_tells(qd_event event) {
    event.submit.tells = 1;
    return event;
}

/* Trap 24: A and B want 6 of 8 ranks; A's sixth worker never answers. */
START_TEST(a_gang_that_was_half_launched_is_let_go_whole_and_waits_again) {
    kit_open_policy(8, scheduling_of("multifactor"));
    feed_at(0, that_tells(estimated(1, 6, 100)));
    feed_at(0, that_tells(estimated(2, 6, 100)));
    feed_at(10, lost(6, "silent for 10 s"));
    expect("JOB_STATE job 1 attempt 1 COMPLETING: rank 6 was lost: silent for 10 s\n"
           "ABORT job 1 attempt 1 epoch 1 ranks 1-5: rank 6 was lost: silent for 10 s\n");
    kit_at(11);
    int64_t at = kit.time_ns;
    for (int rank = 1; rank <= 5; rank++) {
        expect_state(2, QD_STATE_PENDING); /* nobody gets some of them */
        qd_event event = ended(1, rank, QD_OUTCOME_ABORTED);
        event.more = rank < 5;
        kit.time_ns = at;
        kit_feed(event);
    }
    /* B has waited for 11 s, A for none. */
    expect("JOB_STATE job 1 attempt 1 PENDING: not launched, waits for 6 ranks\n"
           "JOB_STATE job 2 attempt 1 RUNNING: runs on 6 ranks\n"
           "START job 2 attempt 1 epoch 2 ranks 1-5,7: its turn\n");
    ck_assert_int_eq(kit_job(1).lost_ranks, 1);
    end_at(50, 2, QD_OUTCOME_DONE);
    expect_state(1, QD_STATE_RUNNING);
    ck_assert_int_eq(kit_job(1).attempt, 2);
    kit_close();
}
END_TEST

START_TEST(a_job_that_is_never_launched_fails_in_the_end) {
    kit_open_policy(8, scheduling_of("easy"));
    feed_at(0, that_tells(estimated(1, 2, 100)));
    for (int attempt = 1; attempt <= 4; attempt++) {
        expect_state(1, QD_STATE_RUNNING);
        ck_assert_int_eq(kit_job(1).attempt, attempt);
        qd_event other = ended(1, kit_job(1).ranks[0], QD_OUTCOME_ABORTED);
        other.attempt = attempt;
        kit_feed(lost(kit_job(1).ranks[1], "silent"));
        kit_feed(other);
    }
    expect_state(1, QD_STATE_FAILED);
    kit_close();
}
END_TEST

START_TEST(a_worker_lost_after_its_member_ended_harms_only_its_new_job) {
    kit_open_ready(2);
    kit_feed(submit(1, 2, 2));
    kit_feed(ended(1, 1, QD_OUTCOME_DONE));
    kit_feed(submit(2, 1, 1));
    kit_feed(lost(1, "silent"));
    expect("JOB_STATE job 2 attempt 1 FAILED code -9: rank 1 was lost: silent\n");
    kit_feed(ended(1, 2, QD_OUTCOME_DONE));
    expect("JOB_STATE job 1 attempt 1 COMPLETED: all steps done\n");
}
END_TEST

START_TEST(a_lost_worker_does_not_come_back) {
    kit_open_ready(2);
    kit_feed(lost(2, "silent"));
    kit_feed(ready(2));
    expect("");
    kit_feed(submit(1, 2, 2));
    expect_state(1, QD_STATE_CANCELLED);
    kit_feed(lost(2, "again"));
    expect("");
}
END_TEST

/* ---- cancel ---- */

START_TEST(cancelling_a_pending_job_ends_it_at_once_and_lets_the_next_through) {
    kit_open_ready(2);
    kit_feed(submit(1, 1, 1));
    kit_feed(submit(2, 2, 2));
    kit_feed(submit(3, 1, 1));
    kit_feed(cancel(2, "by user"));
    expect("JOB_STATE job 2 attempt 0 CANCELLED: by user\n"
           "JOB_STATE job 3 attempt 1 RUNNING: runs on 1 rank\n"
           "START job 3 attempt 1 epoch 2 ranks 2: its turn\n");
    ck_assert_int_eq(kit_job(2).attempt, 0);
    ck_assert_int_eq(kit_job(2).rank_count, 0);
}
END_TEST

START_TEST(cancelling_a_running_job_aborts_it_and_waits_for_its_members) {
    open_with_pairs(1);
    kit_feed(cancel(1, "by user"));
    expect("JOB_STATE job 1 attempt 1 COMPLETING: by user\n"
           "ABORT job 1 attempt 1 epoch 1 ranks 1-2: by user\n");
    kit_feed(ended(1, 2, QD_OUTCOME_ABORTED));
    expect("");
    kit_feed(ended(1, 1, QD_OUTCOME_ABORTED));
    expect("JOB_STATE job 1 attempt 1 CANCELLED: by user\n");
}
END_TEST

START_TEST(a_second_cancel_orders_nothing) {
    open_with_pairs(1);
    kit_feed(cancel(1, "by user"));
    kit_feed(cancel(1, "again"));
    expect("");
    ck_assert_str_eq(kit_job(1).reason, "by user");
}
END_TEST

START_TEST(failures_that_follow_a_cancel_are_its_consequences) {
    open_with_pairs(1);
    kit_feed(cancel(1, ""));
    kit_feed(failed(1, 1, QD_ELOST, "rank 2 went away"));
    kit_feed(lost(2, "silent"));
    expect("JOB_STATE job 1 attempt 1 CANCELLED: cancelled\n");
}
END_TEST

START_TEST(a_cancel_that_follows_a_failure_does_not_hide_it) {
    open_with_pairs(1);
    kit_feed(failed(1, 1, QD_EIO, "disk full"));
    kit_feed(cancel(1, "by user"));
    expect("");
    kit_feed(ended(1, 2, QD_OUTCOME_ABORTED));
    expect("JOB_STATE job 1 attempt 1 FAILED code -4: disk full\n");
}
END_TEST

START_TEST(a_cancel_that_comes_when_all_is_done_leaves_the_result) {
    open_with_pairs(1);
    kit_feed(cancel(1, "by user"));
    kit_feed(ended(1, 1, QD_OUTCOME_DONE));
    kit_feed(ended(1, 2, QD_OUTCOME_DONE));
    expect("JOB_STATE job 1 attempt 1 COMPLETED: all steps done\n");
}
END_TEST

START_TEST(cancelling_an_ended_job_changes_nothing) {
    kit_open_ready(1);
    kit_feed(submit(1, 1, 1));
    kit_feed(ended(1, 1, QD_OUTCOME_DONE));
    kit_feed(cancel(1, "by user"));
    expect("");
    expect_state(1, QD_STATE_COMPLETED);
}
END_TEST

/* ---- drain ---- */

START_TEST(a_drain_stops_what_runs_and_cancels_what_waits) {
    kit_open_ready(3);
    kit_feed(submit(1, 2, 2));
    kit_feed(submit(2, 1, 1));
    kit_feed(submit(3, 1, 1));
    kit_feed(drain("stopped by signal 15"));
    expect("JOB_STATE job 3 attempt 0 CANCELLED: stopped by signal 15\n"
           "JOB_STATE job 1 attempt 1 COMPLETING: stopped by signal 15\n"
           "STOP job 1 attempt 1 epoch 1 ranks 1-2: stopped by signal 15\n"
           "JOB_STATE job 2 attempt 1 COMPLETING: stopped by signal 15\n"
           "STOP job 2 attempt 1 epoch 2 ranks 3: stopped by signal 15\n");
    kit_feed(ended(1, 1, QD_OUTCOME_SAVED));
    kit_feed(ended(1, 2, QD_OUTCOME_SAVED));
    expect("JOB_STATE job 1 attempt 1 PREEMPTED: stopped by signal 15\n");
    kit_feed(ended(2, 3, QD_OUTCOME_DONE));
    expect("JOB_STATE job 2 attempt 1 COMPLETED: all steps done\nSHUTDOWN\n");
}
END_TEST

START_TEST(members_are_told_to_stop_only_once) {
    open_with_pairs(1);
    kit_feed(drain("first"));
    kit_feed(drain("second"));
    expect("");
    ck_assert_str_eq(kit_job(1).reason, "first");
}
END_TEST

START_TEST(a_drain_stops_the_rest_of_a_gang_that_is_ending) {
    open_with_pairs(1);
    kit_feed(ended(1, 1, QD_OUTCOME_DONE));
    kit_feed(drain("maintenance"));
    expect("STOP job 1 attempt 1 epoch 1 ranks 2: maintenance\n");
}
END_TEST

START_TEST(a_drain_leaves_an_aborted_gang_alone) {
    open_with_pairs(1);
    kit_feed(failed(1, 1, QD_EIO, "disk full"));
    kit_feed(drain("maintenance"));
    expect("");
    kit_feed(ended(1, 2, QD_OUTCOME_ABORTED));
    expect("JOB_STATE job 1 attempt 1 FAILED code -4: disk full\nSHUTDOWN\n");
}
END_TEST

START_TEST(a_stopped_gang_can_still_fail_or_be_cancelled) {
    open_with_pairs(2);
    kit_feed(drain("maintenance"));
    kit_feed(failed(1, 1, QD_EIO, "disk full"));
    expect("ABORT job 1 attempt 1 epoch 1 ranks 2: disk full\n");
    kit_feed(cancel(2, "by user"));
    expect("ABORT job 2 attempt 1 epoch 2 ranks 3-4: by user\n");
    kit_feed(ended(2, 3, QD_OUTCOME_SAVED));
    kit_feed(ended(2, 4, QD_OUTCOME_ABORTED));
    expect("JOB_STATE job 2 attempt 1 CANCELLED: by user\n");
    kit_feed(ended(1, 2, QD_OUTCOME_ABORTED));
    expect("JOB_STATE job 1 attempt 1 FAILED code -4: disk full\nSHUTDOWN\n");
}
END_TEST

START_TEST(nothing_starts_after_a_drain) {
    kit_open_ready(2);
    kit_feed(submit(1, 1, 1));
    kit_feed(drain("maintenance"));
    kit_feed(submit(2, 1, 1));
    expect(PENDING_1("2") "JOB_STATE job 2 attempt 0 CANCELLED: maintenance\n");
    kit_feed(ended(1, 1, QD_OUTCOME_SAVED));
    expect("JOB_STATE job 1 attempt 1 PREEMPTED: maintenance\nSHUTDOWN\n");
}
END_TEST

/* ---- shutdown ---- */

START_TEST(shutdown_comes_once_after_the_last_job_when_closed) {
    kit_open_ready(1);
    kit_feed(submit(1, 1, 1));
    kit_feed(submit(2, 1, 1));
    kit_feed(closed());
    expect("");
    kit_feed(ended(1, 1, QD_OUTCOME_DONE));
    kit_feed(ended(2, 1, QD_OUTCOME_DONE));
    expect("JOB_STATE job 2 attempt 1 COMPLETED: all steps done\nSHUTDOWN\n");
    kit_feed(closed());
    expect("");
    kit_feed(drain("too late"));
    expect("");
}
END_TEST

START_TEST(an_open_cluster_without_jobs_does_not_shut_down) {
    kit_open_ready(1);
    kit_feed(submit(1, 1, 1));
    kit_feed(ended(1, 1, QD_OUTCOME_DONE));
    expect("JOB_STATE job 1 attempt 1 COMPLETED: all steps done\n");
    kit_feed(closed());
    expect("SHUTDOWN\n");
}
END_TEST

START_TEST(a_drain_of_an_idle_cluster_shuts_it_down) {
    kit_open(2);
    kit_feed(drain("maintenance"));
    expect("SHUTDOWN\n");
    kit_feed(submit(1, 1, 1));
    expect(PENDING_1("1") "JOB_STATE job 1 attempt 0 CANCELLED: maintenance\n");
}
END_TEST

/* ---- late and impossible words ---- */

START_TEST(late_words_change_nothing) {
    open_with_pairs(1);
    kit_feed(ended(1, 1, QD_OUTCOME_DONE));
    kit_feed(failed(1, 1, QD_EIO, "a second word of a member that has ended"));
    expect("");
    kit_feed(ended(1, 2, QD_OUTCOME_DONE));
    kit_feed(submit(2, 2, 2));
    kit_feed(failed(1, 2, QD_EIO, "from a job that has ended"));
    expect("");
    expect_state(1, QD_STATE_COMPLETED);
    expect_state(2, QD_STATE_RUNNING);
    kit_feed(ready(1));
    expect("");
}
END_TEST

START_TEST(a_late_word_leaves_the_state_as_it_is_to_the_last_bit) {
    open_with_pairs(1);
    kit_feed(lost(1, "silent"));
    uint64_t before = qd_core_digest(kit.core);
    kit.time_ns--; /* the same instant */
    kit_feed(ended(1, 1, QD_OUTCOME_DONE));
    ck_assert_uint_eq(qd_core_digest(kit.core), before);
}
END_TEST

START_TEST(words_about_what_never_was_are_refused) {
    kit_open_ready(2);
    kit_feed(submit(1, 1, 1));
    kit_feed(submit(2, 2, 2));
    kit_refused(ended(7, 1, QD_OUTCOME_DONE), "MEMBER_ENDED: no job 7 was ever submitted");
    kit_refused(cancel(7, ""), "CANCEL: no job 7 was ever submitted");
    kit_refused(ended(1, 2, QD_OUTCOME_DONE),
                "MEMBER_ENDED: rank 2 is no member of job 1 attempt 1");
    kit_refused(ended(2, 1, QD_OUTCOME_DONE), "MEMBER_ENDED: job 2 had 0 attempts, not 1");
    qd_event event = ended(1, 1, QD_OUTCOME_DONE);
    event.attempt = 2;
    kit_refused(event, "MEMBER_ENDED: job 1 had 1 attempts, not 2");
    event.attempt = 0;
    kit_refused(event, "MEMBER_ENDED: job 1 had 1 attempts, not 0");
}
END_TEST

START_TEST(ranks_outside_the_world_are_refused) {
    kit_open_ready(2);
    kit_feed(submit(1, 1, 1));
    kit_refused(ready(0), "WORKER_READY: there is no worker rank 0; they are 1 to 2");
    kit_refused(lost(3, ""), "WORKER_LOST: there is no worker rank 3; they are 1 to 2");
    kit_refused(ended(1, -1, QD_OUTCOME_DONE),
                "MEMBER_ENDED: there is no worker rank -1; they are 1 to 2");
}
END_TEST

START_TEST(impossible_submissions_are_refused) {
    kit_open_ready(2);
    kit_feed(submit(5, 1, 1));
    kit_refused(submit(5, 1, 1), "SUBMIT: job 5; its number must exceed 5");
    kit_refused(submit(4, 1, 1), "SUBMIT: job 4; its number must exceed 5");
    kit_refused(submit(6, 0, 1), "SUBMIT: job 6: ranks 0 to 1; 1 <= min <= max is needed");
    kit_refused(submit(6, 2, 1), "SUBMIT: job 6: ranks 2 to 1; 1 <= min <= max is needed");
    qd_event event = submit(6, 1, 1);
    memset(event.submit.name, 'x', sizeof event.submit.name);
    kit_refused(event, "SUBMIT: job 6: its name has no end; at most 63 bytes");
    kit_feed(closed());
    kit_refused(submit(6, 1, 1), "SUBMIT: job 6 came after CLOSED");
}
END_TEST

START_TEST(the_first_job_number_is_at_least_one) {
    kit_open_ready(1);
    kit_refused(submit(0, 1, 1), "SUBMIT: job 0; its number must exceed 0");
    kit_feed(submit(INT64_MAX, 1, INT_MAX));
    expect_state(INT64_MAX, QD_STATE_RUNNING);
}
END_TEST

START_TEST(impossible_kinds_outcomes_and_texts_are_refused) {
    kit_open_ready(1);
    kit_feed(submit(1, 1, 1));
    kit_refused((qd_event){.kind = QD_EVENTS}, "event kind 19; they are 0 to 18");
    kit_refused((qd_event){.kind = (qd_event_kind)-1}, "event kind -1; they are 0 to 18");
    kit_refused(ended(1, 1, QD_OUTCOMES), "MEMBER_ENDED: outcome 4; they are 0 to 3");
    kit_refused(ended(1, 1, (qd_outcome)-1), "MEMBER_ENDED: outcome -1; they are 0 to 3");
    qd_event event = drain("");
    memset(event.text, 'x', sizeof event.text);
    kit_refused(event, "DRAIN: its text has no end; at most 511 bytes");
}
END_TEST

START_TEST(time_never_falls) {
    kit_open_ready(1);
    kit.time_ns = 1000;
    kit_feed(closed());
    kit.time_ns = 1000; /* 1001 again: the same instant is fine */
    kit_feed(closed());
    kit.time_ns = 999;
    kit_refused(closed(), "CLOSED at 1000 ns, but time was already 1001 ns");
}
END_TEST

START_TEST(the_longest_texts_fit_into_reasons) {
    char longest[QD_EVENT_TEXT_BYTES], expected[2 * QD_EVENT_TEXT_BYTES];
    memset(longest, 'y', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    open_with_pairs(1);
    kit_feed(lost(1, longest));
    snprintf(expected, sizeof expected, "rank 1 was lost: %s", longest);
    ck_assert_str_eq(kit_job(1).reason, expected);
    kit_feed(drain(longest));
    kit_feed(submit(2, 1, 1));
    ck_assert_str_eq(kit_job(2).reason, longest);
}
END_TEST

/* As many actions and as much text as one event can lead to. */
START_TEST(one_event_may_end_the_whole_queue) {
    char longest[QD_EVENT_TEXT_BYTES];
    memset(longest, 'y', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    kit_open_ready(4);
    for (int job = 1; job <= 4; job++)
        kit_feed(submit(job, 1, 1));
    for (int job = 5; job <= 1000; job++)
        kit_feed(submit(job, job % 2 ? 1 : 4, 4));
    kit_feed(lost(1, longest));
    for (int job = 6; job <= 1000; job += 2)
        ck_assert_str_eq(kit_job(job).reason, "needs 4 ranks, 3 workers are alive");
    kit_feed(drain(longest));
    for (int job = 7; job <= 1000; job += 2)
        ck_assert_str_eq(kit_job(job).reason, longest);
    for (int job = 2; job <= 4; job++)
        ck_assert_str_eq(kit_job(job).reason, longest);
}
END_TEST

/* ---- tables ---- */

START_TEST(states_change_only_along_the_table) {
    static const char *const legal[] = {
        "PENDING RUNNING",      "PENDING CANCELLED",    "RUNNING COMPLETING",
        "RUNNING COMPLETED",    "RUNNING FAILED",       "RUNNING CANCELLED",
        "RUNNING PREEMPTED",    "COMPLETING COMPLETED", "COMPLETING FAILED",
        "COMPLETING CANCELLED", "COMPLETING PREEMPTED", "COMPLETING PENDING",
        "COMPLETING TIMEOUT",   "PENDING TIMEOUT",      "RUNNING PENDING",
        "RUNNING RESIZING",     "RESIZING RUNNING",     "RESIZING COMPLETING",
        "RESIZING COMPLETED",   "RESIZING FAILED",      "RESIZING CANCELLED",
        "RESIZING TIMEOUT",     "RESIZING PENDING",
    };
    for (int from = 0; from < QD_STATES; from++)
        for (int to = 0; to < QD_STATES; to++) {
            char pair[64];
            bool listed = false;
            snprintf(pair, sizeof pair, "%s %s", qd_job_state_names[from], qd_job_state_names[to]);
            for (size_t i = 0; i < sizeof legal / sizeof legal[0]; i++)
                listed = listed || strcmp(legal[i], pair) == 0;
            ck_assert_msg(qd_job_may_become((qd_job_state)from, (qd_job_state)to) == listed, "%s",
                          pair);
        }
}
END_TEST

START_TEST(a_world_without_workers_is_refused) {
    qd_core *core = NULL;
    ck_assert_int_eq(qd_core_create(0, scheduling_of("fifo"), &core), QD_EINTERNAL);
    ck_assert_ptr_null(core);
    qd_core_destroy(NULL);
}
END_TEST

/* 200,000 jobs one after the other, and then 20,000 drains: quadratic work would take minutes, not
 * a second. */
START_TEST(ended_jobs_cost_later_events_nothing) {
    kit_open_ready(2);
    for (int64_t job = 1; job <= 200000; job++) {
        qd_action_list list;
        qd_event events[] = {submit(job, 1, 1), ended(job, 1, QD_OUTCOME_DONE)};
        for (int i = 0; i < 2; i++) {
            events[i].time_ns = ++kit.time_ns;
            ck_assert_int_eq(qd_core_handle(kit.core, &events[i], &list), 0);
        }
    }
    ck_assert_int_eq(qd_core_job_count(kit.core), 200000);
    for (int i = 0; i < 20000; i++)
        kit_feed((qd_event){.kind = i % 2 ? QD_EVENT_RANK_RESUME : QD_EVENT_RANK_DRAIN, .rank = 1});
}
END_TEST

#define ADD(name) tcase_add_test(tc, name)

static void add_starting(TCase *tc) {
    ADD(a_job_starts_at_once_on_free_ranks);
    ADD(nothing_starts_while_a_worker_is_still_on_its_way);
    ADD(a_worker_lost_at_start_up_is_waited_for_no_longer);
    ADD(nothing_passes_the_head_of_the_queue);
    ADD(spare_ranks_are_dealt_to_the_jobs_that_start_together);
    ADD(a_job_too_wide_for_the_living_workers_is_cancelled_at_once);
    ADD(a_worker_on_its_way_counts_as_alive);
    ADD(pending_jobs_that_became_too_wide_are_cancelled_and_let_others_through);
    ADD(when_the_last_worker_is_lost_no_job_waits_for_ever);
}

static void add_ends(TCase *tc) {
    ADD(a_job_is_completed_only_when_all_members_are_done);
    ADD(a_failure_aborts_the_others_and_the_first_text_is_kept);
    ADD(a_failure_beside_done_members_fails_the_job);
    ADD(a_failure_without_code_or_text_still_fails_with_both);
    ADD(a_gang_that_saved_is_preempted);
    ADD(saved_outranks_done);
    ADD(aborted_outranks_saved_and_calls_off_the_others);
    ADD(failed_outranks_aborted);
    ADD(a_lost_member_fails_the_job_once_the_others_have_acknowledged);
    ADD(others_lost_meanwhile_count_as_acknowledged);
    ADD(a_rank_is_free_only_when_its_worker_has_acknowledged);
    ADD(a_rank_whose_last_word_was_lost_serves_nobody_until_it_answers);
    ADD(a_gang_that_was_half_launched_is_let_go_whole_and_waits_again);
    ADD(a_job_that_is_never_launched_fails_in_the_end);
    ADD(a_worker_lost_after_its_member_ended_harms_only_its_new_job);
    ADD(a_lost_worker_does_not_come_back);
}

static void add_orders(TCase *tc) {
    ADD(cancelling_a_pending_job_ends_it_at_once_and_lets_the_next_through);
    ADD(cancelling_a_running_job_aborts_it_and_waits_for_its_members);
    ADD(a_second_cancel_orders_nothing);
    ADD(failures_that_follow_a_cancel_are_its_consequences);
    ADD(a_cancel_that_follows_a_failure_does_not_hide_it);
    ADD(a_cancel_that_comes_when_all_is_done_leaves_the_result);
    ADD(cancelling_an_ended_job_changes_nothing);
    ADD(a_drain_stops_what_runs_and_cancels_what_waits);
    ADD(members_are_told_to_stop_only_once);
    ADD(a_drain_stops_the_rest_of_a_gang_that_is_ending);
    ADD(a_drain_leaves_an_aborted_gang_alone);
    ADD(a_stopped_gang_can_still_fail_or_be_cancelled);
    ADD(nothing_starts_after_a_drain);
    ADD(shutdown_comes_once_after_the_last_job_when_closed);
    ADD(an_open_cluster_without_jobs_does_not_shut_down);
    ADD(a_drain_of_an_idle_cluster_shuts_it_down);
}

static void add_words(TCase *tc) {
    ADD(late_words_change_nothing);
    ADD(a_late_word_leaves_the_state_as_it_is_to_the_last_bit);
    ADD(words_about_what_never_was_are_refused);
    ADD(ranks_outside_the_world_are_refused);
    ADD(impossible_submissions_are_refused);
    ADD(the_first_job_number_is_at_least_one);
    ADD(impossible_kinds_outcomes_and_texts_are_refused);
    ADD(time_never_falls);
    ADD(the_longest_texts_fit_into_reasons);
    ADD(one_event_may_end_the_whole_queue);
    ADD(states_change_only_along_the_table);
    ADD(a_world_without_workers_is_refused);
    ADD(ended_jobs_cost_later_events_nothing);
}

int main(void) {
    Suite *suite = suite_create("core");
    TCase *tc = tcase_create("core");
    tcase_add_checked_fixture(tc, NULL, kit_close);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(suite, tc);
    add_starting(tc);
    add_ends(tc);
    add_orders(tc);
    add_words(tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad != 0;
}
