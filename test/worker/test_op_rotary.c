/* Rotary positions against rotation by complex numbers in float64. */
#include <check.h>
#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "test/worker/op_check.h"

/* The pair (x[i], x[i + d / 2]) as the complex number that it is in the paper. */
static void turn(const double *x, double *y, int64_t width, int64_t position, double theta) {
    for (int64_t i = 0; i < width / 2; i++) {
        double angle = (double)position / pow(theta, 2 * (double)i / (double)width);
        double complex turned = (x[i] + x[i + width / 2] * I) * cexp(angle * I);
        y[i] = creal(turned);
        y[i + width / 2] = cimag(turned);
    }
}

static void reference(const op_case *c, double *const *inputs, double *const *params, double *y) {
    (void)params;
    int64_t groups = c->attributes.rotary.kv_heads;
    int64_t heads = c->attributes.rotary.heads / groups + 2; /* of a group */
    int64_t length = c->inputs[0].dim[1], width = c->inputs[0].dim[2] / groups / heads;
    int64_t count = qd_shape_elements(&c->inputs[0]) / width;
    for (int64_t i = 0; i < count; i++) {
        const double *x = inputs[0] + i * width;
        bool is_value = i % heads == heads - 1;
        if (is_value)
            memcpy(y + i * width, x, (size_t)width * sizeof *x);
        else
            turn(x, y + i * width, width, i / (groups * heads) % length,
                 (double)c->attributes.rotary.theta);
    }
}

static void check_rotary(int64_t samples, int64_t length, int64_t heads, int64_t kv_heads,
                         int64_t width, float theta, qd_precision precision) {
    op_check(&(op_case){.op = &qd_op_rotary,
                        .attributes.rotary = {heads, kv_heads, theta},
                        .input_count = 1,
                        .inputs = {SHAPE(samples, length, (heads + 2 * kv_heads) * width)},
                        .precision = precision,
                        .tolerance = 5e-7,
                        .reference = reference});
}

START_TEST(rotation_agrees_with_float64_for_odd_sizes) {
    for (int precision = QD_PRECISION_FP32; precision <= QD_PRECISION_BF16; precision++) {
        check_rotary(1, 1, 1, 1, 2, 10000, precision);
        check_rotary(2, 7, 1, 1, 6, 10000, precision);
        check_rotary(2, 5, 3, 3, 10, 100, precision);
        check_rotary(1, 9, 2, 2, 34, 10000, precision);
    }
}
END_TEST

START_TEST(the_key_of_a_group_turns_and_its_value_does_not) {
    check_rotary(2, 5, 4, 2, 6, 10000, QD_PRECISION_FP32);
    check_rotary(2, 5, 3, 1, 4, 10000, QD_PRECISION_FP32);
}
END_TEST

/* The angle of a position of some thousands has few digits left behind the point in float. */
START_TEST(far_positions_keep_their_digits) {
    op_check(&(op_case){.op = &qd_op_rotary,
                        .attributes.rotary = {1, 1, 10000},
                        .input_count = 1,
                        .inputs = {SHAPE(1, 5000, 3 * 4)},
                        .evaluates = true,
                        .tolerance = 5e-7,
                        .reference = reference});
}
END_TEST

static void refuses(int64_t heads, int64_t kv_heads, int64_t last, float theta, const char *why) {
    qd_graph *graph;
    ck_assert_int_eq(qd_graph_create(2, &graph), 0);
    int x = qd_graph_add_value(graph, "x", QD_VALUE_INPUT, QD_F32, &SHAPE(2, 3, last));
    qd_op_attributes attributes = {.rotary = {heads, kv_heads, theta}};
    int rc = qd_graph_add_node_with(graph, &qd_op_rotary, "turn", &x, 1, NULL, 0, attributes);
    ck_assert_int_eq(rc, QD_ECONFIG);
    ck_assert_msg(strstr(qd_error_message(), why) != NULL, "%s", qd_error_message());
    qd_graph_destroy(graph);
}

START_TEST(heads_that_can_not_be_turned_are_refused) {
    refuses(2, 2, 30, 10000, "turn: a head of width 5 can't be turned in pairs");
    refuses(2, 2, 31, 10000, "does not hold 2 query heads and 2 key and value heads");
    refuses(3, 2, 28, 10000, "does not hold 3 query heads and 2 key and value heads");
    refuses(1, 1, 12, 0, "theta 0; it is above 0");
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("rotary");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, rotation_agrees_with_float64_for_odd_sizes);
    tcase_add_test(tc, the_key_of_a_group_turns_and_its_value_does_not);
    tcase_add_test(tc, far_positions_keep_their_digits);
    tcase_add_test(tc, heads_that_can_not_be_turned_are_refused);
    Suite *suite = suite_create("worker/op_rotary");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
