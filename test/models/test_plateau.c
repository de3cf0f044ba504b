/* Falls of the learning rate on a plateau against PyTorch's ReduceLROnPlateau: tables by
 * test/golden/make_plateau.py. */
#include <check.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "models/plateau.h"

static double number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    ck_assert(json_is_number(value));
    return json_number_value(value);
}

static void check_case(const json_t *c) {
    qd_schedule_spec spec = {.kind = QD_SCHEDULE_PLATEAU,
                             .gamma = number(c, "gamma"),
                             .patience = (int64_t)number(c, "patience"),
                             .threshold = number(c, "threshold"),
                             .final = number(c, "final")};
    const json_t *losses = json_object_get(c, "losses"), *factors = json_object_get(c, "factors");
    qd_plateau plateau;
    qd_plateau_begin(&plateau);
    ck_assert_uint_ge(json_array_size(losses), 50);
    for (size_t i = 0; i < json_array_size(losses); i++) {
        double expected = json_number_value(json_array_get(factors, i));
        qd_plateau_note(&plateau, &spec, (int64_t)i + 1,
                        json_real_value(json_array_get(losses, i)));
        ck_assert_double_eq_tol(qd_plateau_factor(&plateau, &spec), expected, 1e-12 * expected);
    }
    ck_assert_int_gt(plateau.falls, 0);
}

START_TEST(the_rate_falls_where_that_of_pytorch_does) {
    json_t *golden = json_load_file(QD_SOURCE_DIR "/test/golden/plateau.json", 0, NULL);
    const json_t *cases = json_object_get(golden, "cases"), *c;
    size_t i;
    ck_assert_uint_ge(json_array_size(cases), 4);
    json_array_foreach(cases, i, c) check_case(c);
    json_decref(golden);
}
END_TEST

START_TEST(a_loss_that_is_no_number_is_no_improvement) {
    qd_schedule_spec spec = {.kind = QD_SCHEDULE_PLATEAU, .gamma = 0.5, .patience = 1};
    qd_plateau plateau;
    qd_plateau_begin(&plateau);
    qd_plateau_note(&plateau, &spec, 1, 2);
    qd_plateau_note(&plateau, &spec, 2, NAN);
    ck_assert_double_eq(qd_plateau_factor(&plateau, &spec), 1);
    qd_plateau_note(&plateau, &spec, 3, NAN);
    ck_assert_double_eq(qd_plateau_factor(&plateau, &spec), 0.5);
    qd_plateau_note(&plateau, &spec, 4, 1);
    ck_assert_float_eq(plateau.best, 1);
}
END_TEST

START_TEST(evaluations_while_warming_up_do_not_count) {
    qd_schedule_spec spec = {.kind = QD_SCHEDULE_PLATEAU, .warmup = 20, .gamma = 0.5};
    qd_plateau plateau;
    qd_plateau_begin(&plateau);
    for (int64_t step = 10; step <= 20; step += 10)
        qd_plateau_note(&plateau, &spec, step, 1);
    ck_assert(isinf(plateau.best));
    qd_plateau_note(&plateau, &spec, 30, 2);
    ck_assert_double_eq(qd_plateau_factor(&plateau, &spec), 1);
    qd_plateau_note(&plateau, &spec, 40, 2);
    ck_assert_double_eq(qd_plateau_factor(&plateau, &spec), 0.5);
}
END_TEST

START_TEST(other_kinds_do_not_fall) {
    qd_schedule_spec spec = {.kind = QD_SCHEDULE_STEP, .gamma = 0.5};
    qd_plateau plateau = {.falls = 3};
    ck_assert_double_eq(qd_plateau_factor(&plateau, &spec), 1);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("plateau");
    tcase_add_test(tc, the_rate_falls_where_that_of_pytorch_does);
    tcase_add_test(tc, a_loss_that_is_no_number_is_no_improvement);
    tcase_add_test(tc, evaluations_while_warming_up_do_not_count);
    tcase_add_test(tc, other_kinds_do_not_fall);
    Suite *suite = suite_create("models/plateau");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
