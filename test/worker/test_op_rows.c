/* Operators over the rows of the last dimension, and those that move elements. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "test/worker/op_check.h"

static const int64_t sizes[] = {1, 3, 7, 16, 17, 33};
enum { SIZES = sizeof sizes / sizeof *sizes };

static int64_t width_of(const qd_shape *shape) {
    return shape->dim[shape->dims - 1];
}

static void rms_norm_reference(const op_case *c, double *const *inputs, double *const *params,
                               double *y) {
    int64_t width = width_of(&c->inputs[0]), rows = qd_shape_elements(&c->inputs[0]) / width;
    for (int64_t n = 0; n < rows; n++) {
        const double *x = inputs[0] + n * width;
        double square = 0;
        for (int64_t i = 0; i < width; i++)
            square += x[i] * x[i] / (double)width;
        for (int64_t i = 0; i < width; i++)
            y[n * width + i] =
                x[i] / sqrt(square + (double)c->attributes.norm.epsilon) * params[0][i];
    }
}

START_TEST(rms_norm_agrees_with_float64_for_odd_sizes) {
    for (int i = 0; i < SIZES; i++)
        for (int j = 0; j < SIZES; j++)
            op_check(&(op_case){.op = &qd_op_rms_norm,
                                .attributes.norm.epsilon = 1e-2f,
                                .input_count = 1,
                                .param_count = 1,
                                .inputs = {SHAPE(sizes[i], sizes[j])},
                                .params = {SHAPE(sizes[j])},
                                .tolerance = 1e-6,
                                .reference = rms_norm_reference});
    op_check(&(op_case){.op = &qd_op_rms_norm,
                        .attributes.norm.epsilon = 1e-5f,
                        .input_count = 1,
                        .param_count = 1,
                        .inputs = {SHAPE(2, 3, 65)},
                        .params = {SHAPE(65)},
                        .tolerance = 1e-6,
                        .reference = rms_norm_reference});
}
END_TEST

static void softmax_reference(const op_case *c, double *const *inputs, double *const *params,
                              double *y) {
    (void)params;
    int64_t width = width_of(&c->inputs[0]), rows = qd_shape_elements(&c->inputs[0]) / width;
    for (int64_t n = 0; n < rows; n++) {
        double sum = 0;
        for (int64_t i = 0; i < width; i++)
            sum += exp(inputs[0][n * width + i]);
        for (int64_t i = 0; i < width; i++)
            y[n * width + i] = exp(inputs[0][n * width + i]) / sum;
    }
}

START_TEST(softmax_agrees_with_float64_for_odd_sizes) {
    for (int i = 0; i < SIZES; i++)
        op_check(&(op_case){.op = &qd_op_softmax,
                            .input_count = 1,
                            .inputs = {SHAPE(2, 3, sizes[i])},
                            .tolerance = 1e-6,
                            .reference = softmax_reference});
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("op rows");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, rms_norm_agrees_with_float64_for_odd_sizes);
    tcase_add_test(tc, softmax_agrees_with_float64_for_odd_sizes);
    Suite *suite = suite_create("worker/op_rows");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
