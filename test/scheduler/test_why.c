/* Why a job waits: all reasons in their order, who stands in the way, and what would be. */
#include "core_kit.h"
#include "scheduler/why.h"

static qd_why why;

static void open_policy(const char *policy, int ranks) {
    kit_open_policy(ranks, scheduling_of(policy));
}

static void ask(int64_t job) {
    ck_assert_int_eq(qd_why_ask(kit.core, job, &why), 0);
}

#define expect_s(at_ns, seconds) ck_assert_int_eq((at_ns) / 1000000, (int64_t)((seconds)*1000))

/* The reasons are exactly these, in this order; their names with blanks between. */
static void expect_reasons(const char *names) {
    char list[256] = "";
    size_t at = 0;
    for (int i = 0; i < why.count; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i > 0 ? " " : "",
                               qd_reason_names[why.reasons[i].reason]);
    ck_assert_str_eq(list, names);
}

static void expect_blockers(int reason, int count, const int64_t *jobs) {
    ck_assert_int_eq(why.reasons[reason].blocker_count, count);
    for (int i = 0; i < count && i < QD_WHY_BLOCKERS; i++)
        ck_assert_int_eq(why.reasons[reason].blockers[i].job, jobs[i]);
}

/* Trap 2: A runs for longer than it was estimated; H waits for it. */
START_TEST(the_prediction_of_an_overdue_job_moves_and_why_says_so) {
    open_policy("easy", 4);
    feed_at(0, estimated(1, 3, 100));
    feed_at(5, estimated(2, 4, 20));
    ask(2);
    expect_reasons("Resources");
    expect_blockers(0, 1, (int64_t[]){1});
    expect_s(why.start_ns, 100);
    ck_assert(!why.reasons[0].blockers[0].overdue);
    feed_at(100, now());
    ask(2);
    expect_s(why.start_ns, 150);
    expect_s(why.reasons[0].since_ns, 5);
    expect_s(why.reasons[0].until_ns, 150);
    ck_assert(why.reasons[0].blockers[0].overdue);
    kit_close();
}
END_TEST

/* Trap 7. */
START_TEST(nobody_knows_when_a_job_starts_that_waits_for_one_without_limit_and_estimate) {
    open_policy("easy", 4);
    feed_at(0, submit(1, 2, 2));
    feed_at(1, estimated(2, 4, 10));
    ask(2);
    expect_reasons("Resources");
    ck_assert_int_eq(why.start_ns, INT64_MAX);
    ck_assert_int_eq(why.reasons[0].until_ns, INT64_MAX);
    ck_assert_int_eq(why.reasons[0].blockers[0].until_ns, INT64_MAX);
    kit_close();
}
END_TEST

START_TEST(a_job_that_would_fit_but_for_the_head_says_priority_alone) {
    open_policy("easy", 4);
    feed_at(0, estimated(1, 3, 100));
    feed_at(1, estimated(2, 4, 20));
    feed_at(2, estimated(3, 1, 500));
    ask(3);
    expect_reasons("Priority");
    expect_blockers(0, 1, (int64_t[]){2});
    expect_s(why.start_ns, 120);
    feed_at(3, estimated(4, 2, 500));
    ask(4);
    expect_reasons("Resources Priority");
    expect_blockers(0, 1, (int64_t[]){1});
    expect_blockers(1, 2, (int64_t[]){2, 3});
    kit_close();
}
END_TEST

START_TEST(only_those_that_have_to_end_first_stand_in_the_way) {
    open_policy("easy", 8);
    feed_at(0, estimated(1, 2, 300));
    feed_at(1, estimated(2, 2, 100));
    feed_at(2, estimated(3, 3, 200));
    feed_at(3, estimated(4, 6, 10));
    ask(4);
    expect_blockers(0, 2, (int64_t[]){2, 3});
    ck_assert_int_eq(why.reasons[0].ranks, 1);
    expect_s(why.start_ns, 202);
    kit_close();
}
END_TEST

START_TEST(all_that_keeps_a_job_out_of_the_queue_is_told_in_the_order_of_strength) {
    open_policy("multifactor", 4);
    feed_at(0, estimated(1, 4, 100));
    qd_event event = estimated(2, 1, 10);
    event.submit.begin_ns = 500000000000;
    snprintf(event.submit.after, sizeof event.submit.after, "ok:1");
    feed_at(1, event);
    feed_at(30, (qd_event){.kind = QD_EVENT_HOLD, .job = 2});
    ask(2);
    expect_reasons("JobHeldUser BeginTime Dependency");
    expect_s(why.reasons[0].since_ns, 30);
    expect_s(why.reasons[1].since_ns, 1);
    expect_s(why.reasons[1].until_ns, 500);
    expect_s(why.reasons[2].until_ns, 100);
    expect_blockers(2, 1, (int64_t[]){1});
    ck_assert_int_eq(why.age_ns, 0);
    kit_close();
}
END_TEST

START_TEST(the_throttle_of_an_array_names_the_members_that_run) {
    open_policy("easy", 4);
    for (int64_t job = 1; job <= 4; job++) {
        qd_event event = estimated(job, 1, 100 * (double)job);
        event.submit.array = 1;
        event.submit.array_most = job == 1 ? 2 : 0;
        feed_at((double)job, event);
    }
    ask(4);
    expect_reasons("JobArrayTaskLimit");
    expect_blockers(0, 2, (int64_t[]){1, 2});
    expect_s(why.reasons[0].until_ns, 101);
    kit_close();
}
END_TEST

START_TEST(a_job_waits_for_workers_that_are_on_their_way) {
    kit_open(3);
    kit_feed(submit(1, 1, 1));
    kit_feed(ready(1));
    ask(1);
    expect_reasons("ReqNodeNotAvail");
    ck_assert_int_eq(why.reasons[0].ranks, 2);
    kit_close();
}
END_TEST

START_TEST(a_running_job_has_no_reason_and_one_that_ends_waits_for_its_members) {
    open_policy("easy", 2);
    feed_at(0, estimated(1, 2, 100));
    ask(1);
    expect_reasons("");
    expect_s(why.start_ns, 0);
    expect_s(why.end_ns, 100);
    feed_at(50, ended(1, 1, QD_OUTCOME_DONE));
    ask(1);
    expect_reasons("Cleaning");
    ck_assert_int_eq(why.reasons[0].ranks, 1);
    feed_at(51, ended(1, 2, QD_OUTCOME_DONE));
    ask(1);
    expect_reasons("");
    expect_s(why.end_ns, 51);
    ck_assert_str_eq(why.text, "all steps done");
    kit_close();
}
END_TEST

static qd_why answer_if(int64_t job, qd_what_if what_if) {
    uint64_t before = qd_core_digest(kit.core);
    qd_why answer;
    ck_assert_int_eq(qd_why_if(kit.core, job, &what_if, &answer), 0);
    ck_assert_uint_eq(qd_core_digest(kit.core), before);
    return answer;
}

/* 8 ranks; job 1 holds 6 until 100, the head wants all of them for 50 s, and the third waits. */
/* Two islands of two. Room is made for job 3 in the first; then the second is free, too. */
START_TEST(a_job_waits_for_the_very_ranks_that_are_being_saved_for_it) {
    qd_scheduling scheduling = *scheduling_of("multifactor");
    scheduling.preempt_by = QD_PREEMPT_CLASS;
    scheduling.min_run_s = 0;
    scheduling.save_grace_s = 60;
    ck_assert_int_eq(qd_core_create(4, &scheduling, &kit.core), 0);
    for (int rank = 1; rank <= 4; rank++) {
        qd_event there = ready(rank);
        there.place = (qd_place){.host = (rank + 1) / 2, .island = 1};
        feed_at(0, there);
    }
    qd_event low = estimated(1, 2, 1000), high = estimated(2, 2, 1000), next = estimated(3, 2, 10);
    low.submit.importance = -1;
    high.submit.importance = 1;
    next.submit.demand.within = QD_WITHIN_ISLAND;
    feed_at(1, low);
    feed_at(1, high);
    feed_at(10, next);
    expect_state(1, QD_STATE_COMPLETING);
    end_at(20, 2, QD_OUTCOME_DONE);
    ask(3);
    expect_reasons("Resources");
    expect_blockers(0, 1, (int64_t[]){1});
    ck_assert_int_eq(why.reasons[0].ranks, 0);
    expect_s(why.reasons[0].since_ns, 10);
    expect_s(why.reasons[0].until_ns, 70); /* the end of the grace */
    end_at(30, 1, QD_OUTCOME_SAVED);
    expect_state(3, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* Room is made for job 3, which then goes away: job 1 saves in vain, and what it had is its again.
 */
START_TEST(a_job_waits_for_ranks_that_are_kept_for_one_that_saves_in_vain) {
    qd_scheduling scheduling = *scheduling_of("multifactor");
    scheduling.preempt_by = QD_PREEMPT_CLASS;
    scheduling.min_run_s = 0;
    kit_open_policy(4, &scheduling);
    qd_event next = submit(3, 2, 2);
    next.submit.importance = 1;
    feed_at(1, submit(1, 3, 3));
    feed_at(2, submit(2, 1, 1));
    feed_at(10, next);
    expect_state(1, QD_STATE_COMPLETING);
    feed_at(11, cancel(3, ""));
    feed_at(12, ended(1, 1, QD_OUTCOME_SAVED));
    feed_at(13, submit(4, 1, 1));
    expect_state(4, QD_STATE_PENDING);
    ask(4);
    expect_reasons("Resources");
    expect_blockers(0, 1, (int64_t[]){1});
    ck_assert_int_eq(why.reasons[0].ranks, 0);
    kit_close();
}
END_TEST

START_TEST(what_would_be_is_told_without_a_change) {
    open_policy("multifactor", 8);
    feed_at(0, estimated(1, 6, 100));
    feed_at(1, estimated(2, 8, 50));
    feed_at(2, estimated(3, 4, 200));
    ask(3);
    expect_s(why.start_ns, 150);
    /* More important, it goes before the head. */
    qd_why higher = answer_if(3, (qd_what_if){.importance_is_set = true, .importance = 50});
    expect_s(higher.start_ns, 100);
    /* Two ranks are free, but not for longer than the head can wait. */
    qd_why narrow = answer_if(3, (qd_what_if){.ranks_is_set = true, .ranks = 2});
    ck_assert_int_eq(narrow.state, QD_STATE_PENDING);
    qd_why short_too = answer_if(
        3, (qd_what_if){
               .ranks_is_set = true, .ranks = 2, .time_is_set = true, .time_ns = 90000000000});
    ck_assert_int_eq(short_too.state, QD_STATE_RUNNING);
    /* Wider than it could ever be: the copy has room for it. */
    qd_why wide = answer_if(3, (qd_what_if){.ranks_is_set = true, .ranks = 8});
    expect_s(wide.start_ns, 150);
    kit_close();
}
END_TEST

START_TEST(what_cannot_be_asked_is_refused) {
    qd_why answer;
    open_policy("easy", 2);
    feed_at(0, estimated(1, 2, 100));
    feed_at(1, estimated(2, 2, 100));
    static const struct {
        int64_t job;
        qd_what_if what_if;
        const char *message;
    } cases[] = {
        {3, {0}, "no job 3 was ever submitted"},
        {1, {0}, "job 1 is RUNNING; what would be is known of pending jobs"},
        {2, {.ranks_is_set = true, .ranks = 3}, "3 ranks; accepted: 1 .. 2"},
        {2,
         {.importance_is_set = true, .importance = 200},
         "importance 200; accepted: -100 .. 100"},
        {2, {.time_is_set = true}, "a time of 0 s; job 2 has already run for 0 s"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_int_eq(qd_why_if(kit.core, cases[i].job, &cases[i].what_if, &answer), QD_EPROTO);
        ck_assert_str_eq(qd_error_message(), cases[i].message);
    }
    ck_assert_int_eq(qd_why_ask(kit.core, 3, &answer), QD_EPROTO);
    kit_close();
}
END_TEST

START_TEST(people_read_it_in_lines) {
    qd_text text = {0};
    open_policy("easy", 4);
    feed_at(0, estimated(1, 2, 100));
    feed_at(0, submit(2, 1, 1));
    feed_at(10, estimated(3, 3, 20));
    feed_at(20, estimated(4, 4, 20));
    ask(4);
    qd_why_format(&why, &text);
    ck_assert_str_eq(text.bytes,
                     "job 4 PENDING for 0.0 s: waits for 4 ranks\n"
                     "  waited 0.0 s, predicted to start at an unknown time\n"
                     "  Resources for 0.0 s; needs 4 ranks, free: 1; jobs 1 (ends in 80.0 s), 2 "
                     "(end unknown)\n"
                     "  Priority for 0.0 s; job 3\n");
    text.length = 0;
    ask(1);
    qd_why_format(&why, &text);
    ck_assert_str_eq(text.bytes, "job 1 RUNNING for 20.0 s: runs on 2 ranks\n"
                                 "  on 2 ranks, predicted to end in 80.0 s\n");
    qd_text_fini(&text);
    kit_close();
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("why");
    tcase_add_test(tc, the_prediction_of_an_overdue_job_moves_and_why_says_so);
    tcase_add_test(tc,
                   nobody_knows_when_a_job_starts_that_waits_for_one_without_limit_and_estimate);
    tcase_add_test(tc, a_job_that_would_fit_but_for_the_head_says_priority_alone);
    tcase_add_test(tc, only_those_that_have_to_end_first_stand_in_the_way);
    tcase_add_test(tc, all_that_keeps_a_job_out_of_the_queue_is_told_in_the_order_of_strength);
    tcase_add_test(tc, the_throttle_of_an_array_names_the_members_that_run);
    tcase_add_test(tc, a_job_waits_for_workers_that_are_on_their_way);
    tcase_add_test(tc, a_running_job_has_no_reason_and_one_that_ends_waits_for_its_members);
    tcase_add_test(tc, a_job_waits_for_the_very_ranks_that_are_being_saved_for_it);
    tcase_add_test(tc, a_job_waits_for_ranks_that_are_kept_for_one_that_saves_in_vain);
    tcase_add_test(tc, what_would_be_is_told_without_a_change);
    tcase_add_test(tc, what_cannot_be_asked_is_refused);
    tcase_add_test(tc, people_read_it_in_lines);
    Suite *suite = suite_create("scheduler/why");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
