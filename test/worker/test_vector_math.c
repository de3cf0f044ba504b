/* Our exponentials against the C library's in double, over the whole range of floats. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "worker/cpu/kernels/vector_math.h"

/* Distance of y from the true value, in units of the last place of a float of that size. */
static double ulps(float y, double exact) {
    double unit = (double)(nextafterf(fabsf((float)exact), INFINITY) - fabsf((float)exact));
    return fabs((double)y - exact) / unit;
}

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

static void sweep(const char *name, float (*f)(float), double (*exact)(double), float from,
                  float to, double most) {
    const int points = 400000;
    for (int i = 0; i <= points; i++) {
        float x = from + (to - from) * (float)i / (float)points;
        double off = ulps(f(x), exact((double)x));
        if (!(off <= most))
            ck_abort_msg("%s(%.9g) is %.9g, %.2f units off", name, (double)x, (double)f(x), off);
    }
}

START_TEST(results_are_within_two_units_in_the_last_place) {
    sweep("exp", qd_expf, exp, -87.3f, 88.72f, 2);
    sweep("exp", qd_expf, exp, -0.5f, 0.5f, 2);
    sweep("tanh", qd_tanhf, tanh, -12, 12, 2);
    sweep("tanh", qd_tanhf, tanh, -1e-3f, 1e-3f, 2);
    sweep("erf", qd_erff, erf, -5, 5, 2);
    sweep("erf", qd_erff, erf, -1e-3f, 1e-3f, 2);
    sweep("log1p", qd_log1pf, log1p, 0, 1, 2);
    sweep("log1p", qd_log1pf, log1p, 0, 1e-3f, 2);
    sweep("log", qd_logf, log, 1e-3f, 4, 2);
    sweep("log", qd_logf, log, 0.999f, 1.001f, 2);
    sweep("log", qd_logf, log, 1.2e-38f, 1e-35f, 2);
    sweep("log", qd_logf, log, 1, 8e32f, 2);
    sweep("sigmoid", qd_sigmoidf, sigmoid, -30, 30, 3);
}
END_TEST

START_TEST(the_ends_of_the_range_are_sound) {
    ck_assert_float_eq(qd_expf(0), 1);
    ck_assert_float_eq(qd_expf(-INFINITY), 0);
    ck_assert_float_eq(qd_expf(-1e30f), 0);
    ck_assert(isinf(qd_expf(INFINITY)) && isinf(qd_expf(100)));
    ck_assert_float_eq(qd_tanhf(0), 0);
    ck_assert_float_eq(qd_tanhf(INFINITY), 1);
    ck_assert_float_eq(qd_tanhf(-1e30f), -1);
    ck_assert_float_eq(qd_erff(0), 0);
    ck_assert_float_eq(qd_erff(INFINITY), 1);
    ck_assert_float_eq(qd_erff(-1e30f), -1);
    ck_assert_float_eq(qd_log1pf(0), 0);
    ck_assert_float_eq(qd_logf(1), 0);
    ck_assert_float_eq(qd_sigmoidf(INFINITY), 1);
    ck_assert_float_eq(qd_sigmoidf(-INFINITY), 0);
}
END_TEST

START_TEST(what_is_no_number_stays_none) {
    ck_assert(isnan(qd_expf(NAN)));
    ck_assert(isnan(qd_tanhf(NAN)));
    ck_assert(isnan(qd_erff(NAN)));
    ck_assert(isnan(qd_log1pf(NAN)));
    ck_assert(isnan(qd_sigmoidf(NAN)));
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("vector math");
    tcase_add_test(tc, results_are_within_two_units_in_the_last_place);
    tcase_add_test(tc, the_ends_of_the_range_are_sound);
    tcase_add_test(tc, what_is_no_number_stays_none);
    Suite *suite = suite_create("worker/vector_math");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
