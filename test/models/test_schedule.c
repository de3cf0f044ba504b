/* Learning-rate schedules against the closed forms of models/schedule.h: ends, middles, seams. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "models/schedule.h"

#define NEAR 1e-12

static void has(const qd_schedule_spec *spec, int64_t step, int64_t total, double factor) {
    double got = qd_schedule_factor(spec, step, total);
    ck_assert_msg(fabs(got - factor) <= NEAR, "kind %d, step %ld of %ld: %.17g, not %.17g",
                  (int)spec->kind, (long)step, (long)total, got, factor);
}

/* The angles whose cosines are known without asking for them. */
#define COS_60 0.5
#define COS_45 0.70710678118654752
#define COS_30 0.86602540378443865

START_TEST(nothing_said_is_exactly_one) {
    qd_schedule_spec spec = {0};
    for (int64_t step = 1; step <= 2000; step += 37)
        ck_assert_double_eq(qd_schedule_factor(&spec, step, 1000), 1);
}
END_TEST

START_TEST(warmup_rises_in_a_line_before_every_kind) {
    for (int kind = QD_SCHEDULE_CONSTANT; kind <= QD_SCHEDULE_PLATEAU; kind++) {
        qd_schedule_spec spec = {.kind = (qd_schedule_kind)kind,
                                 .warmup = 8,
                                 .every = 5,
                                 .gamma = 0.5,
                                 .decay_steps = 5,
                                 .div = 4,
                                 .peak = 0.5};
        has(&spec, 1, 100, 0.125);
        has(&spec, 4, 100, 0.5);
        has(&spec, 8, 100, 1);
        has(&spec, 9, 100, kind == QD_SCHEDULE_ONE_CYCLE ? 0.25 : 1);
    }
}
END_TEST

START_TEST(linear_ends_at_final_and_stays) {
    qd_schedule_spec spec = {.kind = QD_SCHEDULE_LINEAR, .final = 0.2};
    has(&spec, 1, 101, 1);
    has(&spec, 26, 101, 0.8);
    has(&spec, 51, 101, 0.6);
    ck_assert_double_eq(qd_schedule_factor(&spec, 101, 101), 0.2);
    ck_assert_double_eq(qd_schedule_factor(&spec, 5000, 101), 0.2);
    spec.warmup = 10;
    has(&spec, 11, 111, 1);
    has(&spec, 61, 111, 0.6);
    has(&spec, 111, 111, 0.2);
}
END_TEST

START_TEST(step_falls_by_gamma_every_so_many_steps) {
    qd_schedule_spec spec = {.kind = QD_SCHEDULE_STEP, .every = 10, .gamma = 0.5};
    has(&spec, 1, 100, 1);
    has(&spec, 10, 100, 1);
    has(&spec, 11, 100, 0.5);
    has(&spec, 20, 100, 0.5);
    has(&spec, 21, 100, 0.25);
    has(&spec, 101, 20, 1.0 / 1024);
    spec.warmup = 5;
    has(&spec, 15, 100, 1);
    has(&spec, 16, 100, 0.5);
}
END_TEST

START_TEST(cosine_is_half_a_wave) {
    qd_schedule_spec spec = {.kind = QD_SCHEDULE_COSINE};
    has(&spec, 1, 13, 1);
    has(&spec, 3, 13, (1 + COS_30) / 2);
    has(&spec, 4, 13, (1 + COS_45) / 2);
    has(&spec, 5, 13, (1 + COS_60) / 2);
    has(&spec, 7, 13, 0.5);
    has(&spec, 9, 13, (1 - COS_60) / 2);
    has(&spec, 13, 13, 0);
    has(&spec, 14, 13, 0);
    spec.final = 0.1;
    spec.warmup = 100;
    has(&spec, 101, 113, 1);
    has(&spec, 107, 113, 0.55);
    has(&spec, 113, 113, 0.1);
}
END_TEST

START_TEST(wsd_is_level_and_then_falls_in_a_line) {
    qd_schedule_spec spec = {
        .kind = QD_SCHEDULE_WSD, .warmup = 10, .decay_steps = 20, .final = 0.1};
    has(&spec, 5, 100, 0.5);
    has(&spec, 11, 100, 1);
    has(&spec, 80, 100, 1);
    has(&spec, 81, 100, 1 - 0.9 / 20);
    has(&spec, 90, 100, 0.55);
    has(&spec, 100, 100, 0.1);
    has(&spec, 200, 100, 0.1);
    has(&spec, 20, 20, 0.1); /* a run too short for its decay: at once */
    has(&spec, 15, 20, 0.55);
}
END_TEST

START_TEST(one_cycle_goes_up_and_down_along_cosines) {
    qd_schedule_spec spec = {.kind = QD_SCHEDULE_ONE_CYCLE, .div = 25, .peak = 0.25, .final = 0.02};
    has(&spec, 1, 49, 0.04);
    has(&spec, 5, 49, 0.04 + 0.96 * (1 - COS_60) / 2);
    has(&spec, 7, 49, 0.52);
    has(&spec, 13, 49, 1);
    has(&spec, 25, 49, 0.02 + 0.98 * (1 + COS_60) / 2);
    has(&spec, 31, 49, 0.51);
    has(&spec, 49, 49, 0.02);
    has(&spec, 50, 49, 0.02);
}
END_TEST

START_TEST(a_length_of_its_own_does_not_move_with_the_run) {
    for (int kind = QD_SCHEDULE_CONSTANT; kind <= QD_SCHEDULE_PLATEAU; kind++) {
        qd_schedule_spec own = {.kind = (qd_schedule_kind)kind,
                                .warmup = 3,
                                .final = 0.1,
                                .every = 7,
                                .gamma = 0.9,
                                .decay_steps = 12,
                                .div = 10,
                                .peak = 0.4};
        qd_schedule_spec given = own;
        given.steps = 50;
        for (int64_t step = 1; step <= 60; step++) {
            double factor = qd_schedule_factor(&own, step, 50);
            ck_assert_double_eq(qd_schedule_factor(&given, step, 1), factor);
            ck_assert_double_eq(qd_schedule_factor(&given, step, 1000), factor);
            ck_assert(factor >= 0 && factor <= 1);
        }
    }
}
END_TEST

/* Where the warm-up leaves one step or none, that is a first step: no division by zero. */
START_TEST(the_shortest_lengths_have_factors) {
    for (int kind = QD_SCHEDULE_CONSTANT; kind <= QD_SCHEDULE_PLATEAU; kind++)
        for (int64_t warmup = 0; warmup <= 3; warmup++) {
            qd_schedule_spec spec = {.kind = (qd_schedule_kind)kind,
                                     .warmup = warmup,
                                     .every = 1,
                                     .gamma = 0.5,
                                     .decay_steps = 1,
                                     .div = 2,
                                     .peak = 0.5};
            for (int64_t step = 1; step <= 5; step++) {
                double factor = qd_schedule_factor(&spec, step, 1);
                ck_assert(factor >= 0 && factor <= 1);
            }
        }
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("schedule");
    tcase_add_test(tc, nothing_said_is_exactly_one);
    tcase_add_test(tc, warmup_rises_in_a_line_before_every_kind);
    tcase_add_test(tc, linear_ends_at_final_and_stays);
    tcase_add_test(tc, step_falls_by_gamma_every_so_many_steps);
    tcase_add_test(tc, cosine_is_half_a_wave);
    tcase_add_test(tc, wsd_is_level_and_then_falls_in_a_line);
    tcase_add_test(tc, one_cycle_goes_up_and_down_along_cosines);
    tcase_add_test(tc, a_length_of_its_own_does_not_move_with_the_run);
    tcase_add_test(tc, the_shortest_lengths_have_factors);
    Suite *suite = suite_create("models/schedule");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
