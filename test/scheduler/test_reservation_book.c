/* Intervals of ranks that may not overlap beyond what there is, against sums over every second. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "core_trial.h"
#include "runtime/error.h"
#include "scheduler/reservation_book.h"

static const int64_t s = 1000000000;

static qd_reservation of(int64_t number, int ranks, int64_t from, int64_t until, int64_t every) {
    qd_reservation r = {.number = number,
                        .ranks = ranks,
                        .account = -1,
                        .from_ns = from * s,
                        .until_ns = until * s,
                        .every_ns = every * s};
    snprintf(r.name, sizeof r.name, "r%lld", (long long)number);
    return r;
}

static void takes(qd_book *book, qd_reservation r, int ranks) {
    int rc = qd_book_add(book, &r, ranks, 0, 0);
    ck_assert_msg(rc == 0, "%s", qd_error_message());
}

static void refuses(qd_book *book, qd_reservation r, int ranks, const char *message) {
    ck_assert_int_eq(qd_book_add(book, &r, ranks, 0, 0), QD_EPROTO);
    ck_assert_str_eq(qd_error_message(), message);
}

/* Trap 10. */
START_TEST(touching_intervals_are_taken_and_overlapping_ones_refused_by_name) {
    qd_book book = {0};
    takes(&book, of(1, 4, 100, 200, 0), 8);
    takes(&book, of(2, 6, 200, 300, 0), 8);
    refuses(&book, of(3, 4, 150, 250, 0), 8,
            "reservation r3: beside reservation r2 it lacks 2 ranks in [200 s, 250 s)");
    takes(&book, of(3, 4, 150, 200, 0), 8);
}
END_TEST

START_TEST(maintenance_takes_all_ranks) {
    qd_book book = {0};
    qd_reservation all = of(1, 0, 100, 200, 0);
    all.kind = QD_RESERVATION_MAINTENANCE;
    takes(&book, all, 8);
    refuses(&book, of(2, 1, 199, 300, 0), 8,
            "reservation r2: beside reservation r1 it lacks 1 rank in [199 s, 200 s)");
    takes(&book, of(2, 8, 200, 300, 0), 8);
}
END_TEST

START_TEST(one_that_comes_again_is_in_the_way_each_time) {
    qd_book book = {0};
    takes(&book, of(1, 3, 1000, 2000, 86400), 4);
    takes(&book, of(2, 2, 2000, 86400, 0), 4);
    refuses(&book, of(3, 2, 6 * 86400 + 1500, 6 * 86400 + 1600, 0), 4,
            "reservation r3: beside reservation r1 it lacks 1 rank in [519900 s, 520000 s)");
    refuses(&book, of(3, 2, 1000, 1600, 604800), 4,
            "reservation r3: beside reservation r1 it lacks 1 rank in [1000 s, 1600 s)");
    takes(&book, of(3, 2, 2000, 3000, 604800), 4);
    refuses(&book, of(4, 1, 2500, 2501, 604800), 4,
            "reservation r4: beside reservation r2 it lacks 1 rank in [2500 s, 2501 s)");
}
END_TEST

START_TEST(what_no_reservation_can_be_is_refused) {
    qd_book book = {0};
    refuses(&book, of(1, 5, 100, 200, 0), 4,
            "reservation r1: 5 ranks; accepted: 1 .. 4, 0 (all) for maintenance");
    refuses(&book, of(1, 1, 200, 200, 0), 4,
            "reservation r1: it must end after it begins, and after now");
    refuses(&book, of(1, 1, 100, 200, 99), 4,
            "reservation r1: it comes every 99 s; accepted: 0, or what divides a week and is no "
            "shorter than the reservation");
    takes(&book, of(1, 1, 100, 200, 0), 4);
    refuses(&book, of(1, 1, 100, 200, 0), 4,
            "reservation r1: number 1, 1 there are; a number above 1 and 32 at most are accepted");
    qd_reservation twin = of(2, 1, 500, 600, 0);
    strcpy(twin.name, "r1");
    refuses(&book, twin, 4, "reservation r1: there is one of that name");
    qd_book_remove(&book, qd_book_find(&book, 1));
    takes(&book, twin, 4);
}
END_TEST

static bool covers(const qd_reservation *r, int64_t at) {
    int64_t since = at - r->from_ns / s;
    if (since < 0)
        return false;
    if (r->every_ns > 0)
        since %= r->every_ns / s;
    return since < (r->until_ns - r->from_ns) / s;
}

/* Every second of a time in which all that come again have come alike twice. */
static bool too_many(const qd_reservation *all, int count, int ranks) {
    for (int64_t at = 0; at < 400; at++) {
        int sum = 0;
        for (int i = 0; i < count; i++)
            sum += covers(&all[i], at) ? all[i].ranks : 0;
        if (sum > ranks)
            return true;
    }
    return false;
}

START_TEST(drawn_reservations_are_taken_just_when_no_second_has_too_many) {
    static const int64_t every[] = {0, 0, 20, 30, 60};
    uint64_t seed = 17;
    int taken = 0, refused = 0;
    for (int history = 0; history < 500; history++) {
        qd_book book = {0};
        qd_reservation all[12];
        int count = 0;
        for (int64_t number = 1; number <= 10; number++) {
            int64_t from = trial_draw_splitmix(&seed, 150);
            int64_t length = 1 + trial_draw_splitmix(&seed, 20);
            int ranks = 1 + (int)trial_draw_splitmix(&seed, 4);
            all[count] =
                of(number, ranks, from, from + length, every[trial_draw_splitmix(&seed, 5)]);
            bool right = !too_many(all, count + 1, 6);
            ck_assert_int_eq(qd_book_add(&book, &all[count], 6, 0, 0) == 0, right);
            count += right;
            *(right ? &taken : &refused) += 1;
        }
    }
    ck_assert_int_ge(taken, 1000);
    ck_assert_int_ge(refused, 1000);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("reservation book");
    TCase *tc = tcase_create("reservation book");
    tcase_set_timeout(tc, 60);
    suite_add_tcase(suite, tc);
    tcase_add_test(tc, touching_intervals_are_taken_and_overlapping_ones_refused_by_name);
    tcase_add_test(tc, maintenance_takes_all_ranks);
    tcase_add_test(tc, one_that_comes_again_is_in_the_way_each_time);
    tcase_add_test(tc, what_no_reservation_can_be_is_refused);
    tcase_add_test(tc, drawn_reservations_are_taken_just_when_no_second_has_too_many);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad != 0;
}
