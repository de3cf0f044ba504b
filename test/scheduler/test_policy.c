/* The table of policies, which ranks a gang is given, and how fifo orders and deals. */
#include "core_kit.h"
#include "scheduler/placement.h"
#include "scheduler/policy.h"

static qd_rank_table ranks;

/* One letter for each rank from 1: f free, h held, l lost, a absent. */
static void make_ranks(const char *letters) {
    int count = (int)strlen(letters);
    ck_assert_int_eq(qd_ranks_init(&ranks, count), 0);
    for (int rank = 1; rank <= count; rank++) {
        char letter = letters[rank - 1];
        if (letter == 'f' || letter == 'h')
            qd_ranks_ready(&ranks, rank, (qd_place){0});
        if (letter == 'h')
            qd_ranks_hold(&ranks, rank, 1, 1);
        if (letter == 'l')
            qd_ranks_lose(&ranks, rank);
    }
}

static void assert_placed(const char *letters, int count, const int *expected) {
    int chosen[16] = {0};
    make_ranks(letters);
    qd_placement_choose(&ranks, &(qd_demand){0}, count, chosen);
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(chosen[i], expected[i]);
    qd_ranks_fini(&ranks);
}

START_TEST(a_gang_gets_the_lowest_ranks) {
    assert_placed("ffff", 2, (int[]){1, 2});
    assert_placed("lfff", 2, (int[]){2, 3});
    assert_placed("f", 1, (int[]){1});
}
END_TEST

START_TEST(a_gang_gets_an_unbroken_run_where_there_is_one) {
    assert_placed("fhfflfff", 3, (int[]){6, 7, 8});
    assert_placed("fhffhff", 2, (int[]){3, 4});
}
END_TEST

START_TEST(a_gang_gets_scattered_ranks_where_no_run_is_long_enough) {
    assert_placed("fhfflf", 3, (int[]){1, 3, 4});
    assert_placed("fhflfhf", 4, (int[]){1, 3, 5, 7});
}
END_TEST

START_TEST(every_name_in_the_table_leads_to_the_policy_of_that_name) {
    int count = 0;
    for (; qd_policy_names[count]; count++) {
        ck_assert_int_eq(qd_policy_find(qd_policy_names[count]), count);
        ck_assert_str_eq(qd_policies[count]->name, qd_policy_names[count]);
        ck_assert_int_gt((int)strlen(qd_policies[count]->summary), 0);
    }
    ck_assert_int_ge(count, 1);
}
END_TEST

START_TEST(an_unknown_policy_is_refused_and_the_known_ones_are_named) {
    ck_assert_int_eq(qd_policy_find("lifo"), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), "no scheduling policy 'lifo'; there are: fifo, sjf, easy, "
                                         "conservative, multifactor, attained");
    ck_assert_int_eq(qd_policy_find(""), QD_ECONFIG);
}
END_TEST

/* What fifo starts of a queue given as {min, max} pairs, jobs numbered from 1, steps NULL or that
 * of each; -1 ends all. */
static void assert_granted_in_steps(int free_ranks, const int *steps, const int *bounds,
                                    const int *expected) {
    qd_text lines = {0};
    int rank = 1;
    kit_open(free_ranks);
    for (int64_t job = 1; bounds[2 * (job - 1)] > 0; job++) {
        qd_event event = submit(job, bounds[2 * (job - 1)], bounds[2 * job - 1]);
        event.submit.ranks_step = steps ? steps[job - 1] : 0;
        kit_feed(event);
    }
    for (int r = 1; r <= free_ranks; r++)
        kit_feed(ready(r));
    qd_text_add(&lines, "%s", "");
    for (int job = 1; expected[job - 1] > 0; rank += expected[job - 1], job++) {
        int count = expected[job - 1];
        qd_text_add(&lines, "JOB_STATE job %d attempt 1 RUNNING: runs on %d rank%s\n", job, count,
                    count == 1 ? "" : "s");
        qd_text_add(&lines, "START job %d attempt 1 epoch %d ranks %d", job, job, rank);
        if (count > 1)
            qd_text_add(&lines, "-%d", rank + count - 1);
        qd_text_add(&lines, ": its turn\n");
    }
    expect(lines.bytes);
    qd_text_fini(&lines);
    kit_close();
}

static void assert_granted(int free_ranks, const int *bounds, const int *expected) {
    assert_granted_in_steps(free_ranks, NULL, bounds, expected);
}

START_TEST(fifo_deals_whole_groups_and_leaves_what_is_none_to_others) {
    assert_granted_in_steps(7, (int[]){2, -1}, (int[]){2, 8, -1}, (int[]){6, -1});
    assert_granted_in_steps(7, (int[]){4, -1}, (int[]){4, 8, -1}, (int[]){4, -1});
    assert_granted_in_steps(8, (int[]){4, 1, -1}, (int[]){4, 8, 1, 8, -1}, (int[]){4, 4, -1});
    assert_granted_in_steps(8, (int[]){2, 2, -1}, (int[]){2, 8, 2, 2, -1}, (int[]){6, 2, -1});
}
END_TEST

START_TEST(fifo_starts_the_longest_prefix_that_fits) {
    assert_granted(8, (int[]){4, 4, 3, 3, 2, 2, 1, 1, -1}, (int[]){4, 3, -1});
    assert_granted(8, (int[]){8, 8, 1, 1, -1}, (int[]){8, -1});
    assert_granted(3, (int[]){-1}, (int[]){-1});
}
END_TEST

START_TEST(fifo_deals_spare_ranks_round_robin_in_order) {
    assert_granted(8, (int[]){1, 8, 1, 8, 1, 8, -1}, (int[]){3, 3, 2, -1});
    assert_granted(7, (int[]){2, 4, 1, 8, -1}, (int[]){4, 3, -1});
}
END_TEST

START_TEST(fifo_gives_no_job_more_than_its_most) {
    assert_granted(8, (int[]){1, 2, 1, 1, -1}, (int[]){2, 1, -1});
    assert_granted(9, (int[]){1, 2, 1, 9, 1, 3, -1}, (int[]){2, 4, 3, -1});
}
END_TEST

START_TEST(fifo_deals_spare_ranks_though_the_next_in_the_queue_waits) {
    assert_granted(4, (int[]){2, 8, 3, 3, -1}, (int[]){4, -1});
}
END_TEST

int main(void) {
    Suite *suite = suite_create("policy");
    TCase *tc = tcase_create("policy");
    suite_add_tcase(suite, tc);
    tcase_add_test(tc, a_gang_gets_the_lowest_ranks);
    tcase_add_test(tc, a_gang_gets_an_unbroken_run_where_there_is_one);
    tcase_add_test(tc, a_gang_gets_scattered_ranks_where_no_run_is_long_enough);
    tcase_add_test(tc, every_name_in_the_table_leads_to_the_policy_of_that_name);
    tcase_add_test(tc, an_unknown_policy_is_refused_and_the_known_ones_are_named);
    tcase_add_test(tc, fifo_starts_the_longest_prefix_that_fits);
    tcase_add_test(tc, fifo_deals_spare_ranks_round_robin_in_order);
    tcase_add_test(tc, fifo_gives_no_job_more_than_its_most);
    tcase_add_test(tc, fifo_deals_spare_ranks_though_the_next_in_the_queue_waits);
    tcase_add_test(tc, fifo_deals_whole_groups_and_leaves_what_is_none_to_others);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad != 0;
}
