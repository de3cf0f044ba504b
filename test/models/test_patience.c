#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "models/patience.h"

/* How many of the losses a run lives to see. */
static int seen(int64_t stop_after, const double *losses, int count) {
    qd_job job = {.train = {.evaluate_every = 1, .stop_after = stop_after}};
    qd_patience patience;
    qd_patience_begin(&patience);
    for (int i = 0; i < count; i++) {
        qd_patience_note(&patience, losses[i]);
        if (qd_patience_is_over(&patience, &job))
            return i + 1;
    }
    return count + 1;
}

START_TEST(a_run_ends_when_the_best_loss_is_long_ago) {
    static const double losses[] = {4, 3, 3.5, 2, 2, 2.5, 1.5, 9, 9, 9, 9};
    ck_assert_int_eq(seen(1, losses, 11), 3);
    ck_assert_int_eq(seen(2, losses, 11), 6);
    ck_assert_int_eq(seen(3, losses, 11), 10);
    ck_assert_int_eq(seen(5, losses, 11), 12);
    ck_assert_int_eq(seen(0, losses, 11), 12);
}
END_TEST

START_TEST(a_loss_that_is_no_number_is_no_improvement) {
    static const double losses[] = {NAN, INFINITY, 1, NAN, NAN};
    ck_assert_int_eq(seen(2, losses, 5), 2);
    ck_assert_int_eq(seen(2, losses + 2, 3), 3);
}
END_TEST

START_TEST(evaluations_count_at_multiples_of_their_distance) {
    qd_job job = {.train = {.evaluate_every = 20}};
    ck_assert(qd_patience_counts(&job, 20) && qd_patience_counts(&job, 40));
    ck_assert(!qd_patience_counts(&job, 0) && !qd_patience_counts(&job, 50));
    job.train.evaluate_every = 0;
    ck_assert(!qd_patience_counts(&job, 50));
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("patience");
    tcase_add_test(tc, a_run_ends_when_the_best_loss_is_long_ago);
    tcase_add_test(tc, a_loss_that_is_no_number_is_no_improvement);
    tcase_add_test(tc, evaluations_count_at_multiples_of_their_distance);
    Suite *suite = suite_create("models/patience");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
