/* The word someone most likely meant. Distances are those of the literature or counted by hand. */
#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/nearest.h"

#define NEAREST(word, ...)                                                                         \
    qd_nearest(word, (const char *const[]){__VA_ARGS__},                                           \
               sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

START_TEST(distances_are_the_known_ones) {
    static const struct {
        const char *a, *b;
        size_t distance;
    } known[] = {
        {"", "", 0},
        {"", "abc", 3},
        {"kitten", "sitting", 3}, /* Levenshtein's usual example */
        {"saturday", "sunday", 3},
        {"flaw", "lawn", 2},
        {"ab", "ba", 1},  /* a swap counts one */
        {"ca", "abc", 3}, /* no letter twice: 3, where the unrestricted distance is 2 */
        {"lerning_rate", "learning_rate", 1},
        {"momentun", "momentum", 1},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        ck_assert_uint_eq(qd_edit_distance(known[i].a, known[i].b), known[i].distance);
        ck_assert_uint_eq(qd_edit_distance(known[i].b, known[i].a), known[i].distance);
    }
}
END_TEST

START_TEST(upper_and_lower_case_are_the_same) {
    ck_assert_uint_eq(qd_edit_distance("Batch", "bATCH"), 0);
    ck_assert_str_eq(NEAREST("MLP", "mlp"), "mlp");
}
END_TEST

START_TEST(the_least_distance_wins_and_the_first_of_equals) {
    ck_assert_str_eq(NEAREST("beta3", "epsilon", "beta1", "beta2"), "beta1");
    ck_assert_str_eq(NEAREST("thread", "threat", "threads", "thread"), "thread");
    ck_assert_str_eq(NEAREST("every", NULL, "every"), "every");
}
END_TEST

START_TEST(nothing_is_near_when_more_than_a_third_differs) {
    ck_assert_ptr_null(NEAREST("rmsprop", "sgd", "adam"));
    ck_assert_ptr_null(NEAREST("dp", "pp"));
    ck_assert_ptr_null(NEAREST("min", "max"));
    ck_assert_str_eq(NEAREST("mix", "max"), "max");
    ck_assert_ptr_null(NEAREST("", "a"));
    ck_assert_ptr_null(qd_nearest("a", NULL, 0));
}
END_TEST

START_TEST(a_word_that_is_too_long_has_no_nearest) {
    char longest[QD_NEAREST_MAX_BYTES + 1] = {0}, longer[QD_NEAREST_MAX_BYTES + 2] = {0};
    memset(longest, 'x', sizeof longest - 1);
    memset(longer, 'x', sizeof longer - 1);
    ck_assert_uint_eq(qd_edit_distance(longest, longest), 0);
    ck_assert_uint_eq(qd_edit_distance(longest, "x"), QD_NEAREST_MAX_BYTES - 1);
    ck_assert_uint_eq(qd_edit_distance(longer, longest), SIZE_MAX);
    ck_assert_ptr_null(NEAREST(longer, longest));
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("nearest");
    tcase_add_test(tc, distances_are_the_known_ones);
    tcase_add_test(tc, upper_and_lower_case_are_the_same);
    tcase_add_test(tc, the_least_distance_wins_and_the_first_of_equals);
    tcase_add_test(tc, nothing_is_near_when_more_than_a_third_differs);
    tcase_add_test(tc, a_word_that_is_too_long_has_no_nearest);
    Suite *suite = suite_create("runtime/nearest");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
