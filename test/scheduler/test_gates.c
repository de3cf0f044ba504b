/* What keeps a job out of the queue: holds, begin times, dependencies, the throttle of an array. */
#include "core_kit.h"
#include "scheduler/forecast.h"

static qd_event after(qd_event event, const char *list) {
    snprintf(event.submit.after, sizeof event.submit.after, "%s", list);
    return event;
}

static qd_event held(qd_event event) {
    event.submit.held = 1;
    return event;
}

static qd_event begin_at(qd_event event, double seconds) {
    event.submit.begin_ns = (int64_t)(seconds * 1e9);
    return event;
}

static qd_event in_array(qd_event event, int64_t array, int most) {
    event.submit.array = array;
    event.submit.array_most = event.submit.job == array ? most : 0;
    return event;
}

static qd_event hold(int64_t job) {
    return (qd_event){.kind = QD_EVENT_HOLD, .job = job};
}

static qd_event release(int64_t job) {
    return (qd_event){.kind = QD_EVENT_RELEASE, .job = job};
}

static void open_easy(int ranks) {
    kit_open_policy(ranks, scheduling_of("easy"));
}

START_TEST(a_held_job_waits_for_its_release_and_nobody_waits_for_it) {
    open_easy(4);
    feed_at(0, held(estimated(1, 4, 10)));
    ck_assert_str_eq(kit_job(1).reason, "JobHeldUser: waits to be released");
    feed_at(1, estimated(2, 4, 10));
    expect_state(2, QD_STATE_RUNNING);
    end_at(11, 2, QD_OUTCOME_DONE);
    expect_state(1, QD_STATE_PENDING);
    feed_at(20, release(1));
    expect_state(1, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

START_TEST(a_job_held_in_the_queue_gives_its_claim_up) {
    open_easy(4);
    feed_at(0, estimated(1, 2, 100));
    feed_at(1, estimated(2, 4, 10));
    feed_at(2, estimated(3, 2, 200));
    expect_state(3, QD_STATE_PENDING);
    feed_at(3, hold(2));
    expect_state(3, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

START_TEST(a_job_starts_at_its_begin_time_to_the_nanosecond) {
    static const char *const policies[] = {"fifo", "easy", "conservative", "multifactor",
                                           "attained"};
    for (int i = 0; i < 5; i++) {
        kit_open_policy(4, scheduling_of(policies[i]));
        feed_at(0, begin_at(estimated(1, 4, 10), 30));
        ck_assert_str_eq(kit_job(1).reason, "BeginTime: waits for its begin time");
        feed_at(1, estimated(2, 4, 10));
        expect_state(2, QD_STATE_RUNNING);
        end_at(11, 2, QD_OUTCOME_DONE);
        ck_assert_int_eq(qd_core_wake_ns(kit.core), INT64_C(30000000000));
        kit.time_ns = INT64_C(30000000000) - 2;
        kit_feed(now());
        expect_state(1, QD_STATE_PENDING);
        kit_feed(now());
        expect_state(1, QD_STATE_RUNNING);
        kit_close();
    }
}
END_TEST

/* Trap 5. */
START_TEST(a_job_that_comes_into_the_queue_moves_the_predictions_in_the_same_event) {
    qd_forecast forecast;
    kit_open_policy(8, scheduling_of("multifactor"));
    feed_at(0, estimated(1, 8, 100));
    feed_at(1, estimated(2, 4, 50));
    feed_at(2, estimated(3, 4, 50));
    qd_event c = after(estimated(4, 8, 50), "ok:1");
    c.submit.importance = 50;
    feed_at(3, c);
    end_at(100, 1, QD_OUTCOME_DONE);
    expect_state(4, QD_STATE_RUNNING);
    ck_assert_int_eq(qd_forecast_create(kit.core, &forecast), 0);
    ck_assert_int_eq(forecast.count, 2);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(forecast.entries[i].start_ns / 1000, 150000000);
    qd_forecast_fini(&forecast);
    kit_close();
}
END_TEST

/* Trap 33: equal but for their ages. The wide job that ran ends at 1000. */
START_TEST(only_those_that_could_run_grow_old) {
    qd_scheduling scheduling = *scheduling_of("multifactor");
    scheduling.weight_class = scheduling.weight_urgency = scheduling.weight_fair_share = 0;
    kit_open_policy(8, &scheduling);
    feed_at(0, estimated(1, 8, 1000));
    feed_at(0.001, after(estimated(2, 8, 10), "ok:1")); /* D */
    feed_at(0.002, held(estimated(3, 8, 10)));          /* H */
    feed_at(900, estimated(4, 8, 10));                  /* C */
    feed_at(950, release(3));
    end_at(1000, 1, QD_OUTCOME_DONE);
    expect_state(4, QD_STATE_RUNNING);
    end_at(1010, 4, QD_OUTCOME_DONE);
    expect_state(3, QD_STATE_RUNNING);
    end_at(1020, 3, QD_OUTCOME_DONE);
    expect_state(2, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* Trap 38: jobs 2 to 5 are B, C, D, E, and 1 is A. */
static void submit_chain(void) {
    feed_at(1, after(estimated(2, 1, 10), "ok:1"));
    feed_at(2, after(estimated(3, 1, 10), "ok:2"));
    feed_at(3, after(estimated(4, 1, 10), "any:1"));
    feed_at(4, after(estimated(5, 1, 10), "notok:1"));
}

START_TEST(dependencies_that_cannot_come_true_end_their_jobs_when_the_first_one_fails) {
    open_easy(4);
    feed_at(0, estimated(1, 4, 10));
    submit_chain();
    ck_assert_str_eq(kit_job(2).reason, "Dependency: waits for the jobs it comes after");
    end_at(5, 1, QD_OUTCOME_FAILED);
    expect_state(2, QD_STATE_CANCELLED);
    ck_assert_str_eq(kit_job(2).reason, "DependencyNeverSatisfied: job 1 FAILED");
    expect_state(3, QD_STATE_CANCELLED);
    ck_assert_str_eq(kit_job(3).reason, "DependencyNeverSatisfied: job 2 CANCELLED");
    expect_state(4, QD_STATE_RUNNING);
    expect_state(5, QD_STATE_RUNNING);
    /* Long after it ended: the same answers. */
    feed_at(1000, after(submit(6, 1, 1), "notok:1,any:2"));
    expect_state(6, QD_STATE_RUNNING);
    feed_at(1001, after(submit(7, 1, 1), "ok:1"));
    expect_state(7, QD_STATE_CANCELLED);
    kit_close();
}
END_TEST

START_TEST(a_job_cancelled_before_it_ran_satisfies_any_alone) {
    open_easy(4);
    feed_at(0, held(estimated(1, 4, 10)));
    submit_chain();
    feed_at(5, cancel(1, ""));
    expect_state(2, QD_STATE_CANCELLED);
    expect_state(3, QD_STATE_CANCELLED);
    expect_state(4, QD_STATE_RUNNING);
    expect_state(5, QD_STATE_CANCELLED);
    kit_close();
}
END_TEST

START_TEST(a_chain_of_100000_falls_in_one_event) {
    enum { CHAIN = 100000 };
    char list[32];
    open_easy(1);
    feed_at(0, held(submit(1, 1, 1)));
    for (int64_t job = 2; job <= CHAIN; job++) {
        snprintf(list, sizeof list, "ok:%lld", (long long)job - 1);
        kit_feed(after(submit(job, 1, 1), list));
    }
    kit_feed(cancel(1, ""));
    qd_job_view view;
    qd_core_job(kit.core, CHAIN - 1, &view);
    ck_assert_int_eq(view.state, QD_STATE_CANCELLED);
    kit_close();
}
END_TEST

/* Trap 39. */
START_TEST(the_throttle_of_one_array_does_not_hide_its_twin) {
    int running[2] = {0};
    open_easy(12);
    for (int64_t job = 1; job <= 20; job++) {
        qd_event event = in_array(submit(job, 1, 1), job <= 10 ? 1 : 11, job == 1 ? 2 : 10);
        event.more = job < 20;
        kit.time_ns = 0;
        kit_feed(event);
    }
    for (int64_t job = 1; job <= 20; job++)
        running[job > 10] += kit_job(job).state == QD_STATE_RUNNING;
    ck_assert_int_eq(running[0], 2);
    ck_assert_int_eq(running[1], 10);
    ck_assert_str_eq(kit_job(3).reason, "JobArrayTaskLimit: waits for others of its array");
    end_at(5, 2, QD_OUTCOME_DONE);
    expect_state(3, QD_STATE_RUNNING);
    expect_state(4, QD_STATE_PENDING);
    kit_feed(cancel(4, ""));
    end_at(6, 1, QD_OUTCOME_DONE);
    expect_state(5, QD_STATE_RUNNING);
    expect_state(6, QD_STATE_PENDING);
    kit_close();
}
END_TEST

START_TEST(a_copy_of_the_core_goes_on_with_the_array_and_what_comes_after_it) {
    qd_core *copy;
    qd_action_list list;
    open_easy(4);
    for (int64_t job = 1; job <= 5; job++)
        feed_at((double)job, in_array(submit(job, 1, 1), 1, 2));
    feed_at(6, after(submit(6, 1, 1), "ok:2,any:5"));
    ck_assert_int_eq(qd_core_copy(kit.core, &copy), 0);
    for (int64_t job = 1; job <= 5; job++) {
        qd_event event = ended(job, kit_job(job).ranks[0], QD_OUTCOME_DONE);
        kit_feed(event);
        event.time_ns = kit.time_ns;
        ck_assert_int_eq(qd_core_handle(copy, &event, &list), 0);
        ck_assert_uint_eq(qd_core_digest(copy), qd_core_digest(kit.core));
    }
    expect_state(6, QD_STATE_RUNNING);
    qd_core_destroy(copy);
    kit_close();
}
END_TEST

/* Trap 43, with a hold in place of the drained rank. */
START_TEST(a_job_cancelled_while_it_is_blocked_is_in_no_list_and_the_shutdown_comes) {
    open_easy(2);
    feed_at(0, held(submit(1, 2, 2)));
    kit_feed(closed());
    expect("");
    kit_feed(cancel(1, ""));
    expect("JOB_STATE job 1 attempt 0 CANCELLED: cancelled\nSHUTDOWN\n");
    kit_feed(release(1));
    expect("");
    kit_close();
}
END_TEST

START_TEST(a_drain_cancels_blocked_jobs_too) {
    open_easy(2);
    feed_at(0, held(submit(1, 1, 1)));
    feed_at(1, begin_at(submit(2, 1, 1), 50));
    kit_feed(drain("stop"));
    expect("JOB_STATE job 1 attempt 0 CANCELLED: stop\nJOB_STATE job 2 attempt 0 CANCELLED: "
           "stop\nSHUTDOWN\n");
    ck_assert_int_eq(qd_core_wake_ns(kit.core), INT64_MAX);
    kit_close();
}
END_TEST

START_TEST(a_dependency_that_cannot_be_read_is_refused) {
    static const char *const lists[] = {
        "ok", "ok:", "maybe:1", "ok:1,", "ok:1;any:1", "ok:-1", "ok:1,ok:1,ok:1,ok:1,ok:1"};
    char message[256];
    open_easy(1);
    feed_at(0, submit(1, 1, 1));
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        snprintf(message, sizeof message,
                 "SUBMIT: job 2: after '%s'; accepted: up to 4 times any:JOB, ok:JOB, notok:JOB "
                 "or singleton, with commas between",
                 lists[i]);
        kit_refused(after(submit(2, 1, 1), lists[i]), message);
    }
    kit_refused(after(submit(2, 1, 1), "ok:2"),
                "SUBMIT: job 2: after job 2, which was never submitted");
    kit_close();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("gates");
    TCase *tc = tcase_create("gates");
    tcase_set_timeout(tc, 30);
    suite_add_tcase(suite, tc);
    tcase_add_test(tc, a_held_job_waits_for_its_release_and_nobody_waits_for_it);
    tcase_add_test(tc, a_job_held_in_the_queue_gives_its_claim_up);
    tcase_add_test(tc, a_job_starts_at_its_begin_time_to_the_nanosecond);
    tcase_add_test(tc, a_job_that_comes_into_the_queue_moves_the_predictions_in_the_same_event);
    tcase_add_test(tc, only_those_that_could_run_grow_old);
    tcase_add_test(tc, dependencies_that_cannot_come_true_end_their_jobs_when_the_first_one_fails);
    tcase_add_test(tc, a_job_cancelled_before_it_ran_satisfies_any_alone);
    tcase_add_test(tc, a_chain_of_100000_falls_in_one_event);
    tcase_add_test(tc, the_throttle_of_one_array_does_not_hide_its_twin);
    tcase_add_test(tc, a_copy_of_the_core_goes_on_with_the_array_and_what_comes_after_it);
    tcase_add_test(tc, a_job_cancelled_while_it_is_blocked_is_in_no_list_and_the_shutdown_comes);
    tcase_add_test(tc, a_drain_cancels_blocked_jobs_too);
    tcase_add_test(tc, a_dependency_that_cannot_be_read_is_refused);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad != 0;
}
