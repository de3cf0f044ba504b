/* The plain operators of a Transformer block: linear over several dimensions, sums, activations,
 * layer norm. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "test/worker/op_check.h"

static const int64_t sizes[] = {1, 3, 7, 16, 17, 33};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void linear_reference(const op_case *c, double *const *inputs, double *const *params,
                             double *y) {
    int64_t in = c->params[0].dim[1], out = c->params[0].dim[0];
    int64_t rows = qd_shape_elements(&c->inputs[0]) / in;
    for (int64_t n = 0; n < rows; n++)
        for (int64_t o = 0; o < out; o++) {
            double sum = params[1][o];
            for (int64_t k = 0; k < in; k++)
                sum += inputs[0][n * in + k] * params[0][o * in + k];
            y[n * out + o] = sum;
        }
}

START_TEST(linear_takes_any_leading_dimensions) {
    op_check(&(op_case){.op = &qd_op_linear,
                        .input_count = 1,
                        .param_count = 2,
                        .inputs = {SHAPE(2, 3, 5)},
                        .params = {SHAPE(7, 5), SHAPE(7)},
                        .reference = linear_reference});
    op_check(&(op_case){.op = &qd_op_linear,
                        .input_count = 1,
                        .param_count = 2,
                        .inputs = {SHAPE(1, 2, 3, 17)},
                        .params = {SHAPE(1, 17), SHAPE(1)},
                        .reference = linear_reference});
}
END_TEST

/* The gradient of such a weight is added up panel by panel of 256 rows. */
START_TEST(linear_takes_more_rows_than_a_panel_has) {
    op_check(&(op_case){.op = &qd_op_linear,
                        .input_count = 1,
                        .param_count = 2,
                        .inputs = {SHAPE(2, 135, 17)},
                        .params = {SHAPE(18, 17), SHAPE(18)},
                        .reference = linear_reference});
}
END_TEST

START_TEST(linear_may_flatten_all_but_the_samples) {
    op_check(&(op_case){.op = &qd_op_linear,
                        .attributes.linear.flatten = true,
                        .input_count = 1,
                        .param_count = 2,
                        .inputs = {SHAPE(3, 2, 1, 5)},
                        .params = {SHAPE(4, 10), SHAPE(4)},
                        .reference = linear_reference});
}
END_TEST

static void check_cut(qd_cut cut, int slots, int64_t unit, int64_t in, int64_t out) {
    op_check(&(op_case){.op = &qd_op_linear,
                        .attributes.linear = {.cut = cut, .unit = unit},
                        .tensor_slots = slots,
                        .input_count = 1,
                        .param_count = 2,
                        .inputs = {SHAPE(2, 3, in)},
                        .params = {SHAPE(out, in), SHAPE(out)},
                        .reference = linear_reference});
}

START_TEST(linear_is_the_same_layer_in_any_number_of_tensor_slots) {
    static const qd_cut cuts[] = {QD_CUT_OUT, QD_CUT_IN};
    for (int c = 0; c < 2; c++)
        for (int slots = 1; slots <= 8; slots++) {
            check_cut(cuts[c], slots, 0, 24, 16);
            check_cut(cuts[c], slots, 0, 9, 13);
            check_cut(cuts[c], slots, 3, 12, 15); /* fewer units than slots, too */
        }
}
END_TEST

START_TEST(linear_in_bf16_is_exact_for_what_bf16_holds) {
    static const qd_cut cuts[] = {QD_CUT_NONE, QD_CUT_OUT, QD_CUT_IN};
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < SIZES; i++)
            op_check(&(op_case){.op = &qd_op_linear,
                                .attributes.linear.cut = cuts[c],
                                .precision = QD_PRECISION_BF16,
                                .tensor_slots = 3,
                                .input_count = 1,
                                .param_count = 2,
                                .inputs = {SHAPE(2, 3, sizes[i])},
                                .params = {SHAPE(7, sizes[i]), SHAPE(7)},
                                .reference = linear_reference});
}
END_TEST

static void add_reference(const op_case *c, double *const *inputs, double *const *params,
                          double *y) {
    (void)params;
    for (int64_t i = 0; i < qd_shape_elements(&c->inputs[0]); i++)
        y[i] = inputs[0][i] + inputs[1][i];
}

START_TEST(add_is_the_sum_and_hands_its_gradient_to_both) {
    for (int i = 0; i < SIZES; i++)
        op_check(&(op_case){.op = &qd_op_add,
                            .input_count = 2,
                            .inputs = {SHAPE(3, sizes[i]), SHAPE(3, sizes[i])},
                            .reference = add_reference});
}
END_TEST

static double gelu(double x) {
    return x * erfc(-x / sqrt(2)) / 2;
}

static double gelu_tanh(double x) {
    return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double silu(double x) {
    return x / (1 + exp(-x));
}

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

static const struct {
    const qd_op *op;
    double (*function)(double);
} activations[] = {
    {&qd_op_gelu, gelu}, {&qd_op_gelu_tanh, gelu_tanh}, {&qd_op_silu, silu},
    {&qd_op_tanh, tanh}, {&qd_op_sigmoid, sigmoid},
};
enum { ACTIVATIONS = sizeof activations / sizeof *activations };

static void activation_reference(const op_case *c, double *const *inputs, double *const *params,
                                 double *y) {
    (void)params;
    for (int a = 0; a < ACTIVATIONS; a++)
        for (int64_t i = 0; activations[a].op == c->op && i < qd_shape_elements(&c->inputs[0]); i++)
            y[i] = activations[a].function(inputs[0][i]);
}

START_TEST(activations_agree_with_float64_for_odd_sizes) {
    for (int a = 0; a < ACTIVATIONS; a++)
        for (int i = 0; i < SIZES; i++)
            op_check(&(op_case){.op = activations[a].op,
                                .input_count = 1,
                                .inputs = {SHAPE(3, sizes[i])},
                                .tolerance = 1e-6,
                                .reference = activation_reference});
}
END_TEST

static void layer_norm_reference(const op_case *c, double *const *inputs, double *const *params,
                                 double *y) {
    int64_t width = c->params[0].dim[0], rows = qd_shape_elements(&c->inputs[0]) / width;
    for (int64_t n = 0; n < rows; n++) {
        const double *x = inputs[0] + n * width;
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < width; i++)
            mean += x[i] / (double)width;
        for (int64_t i = 0; i < width; i++)
            variance += (x[i] - mean) * (x[i] - mean) / (double)width;
        for (int64_t i = 0; i < width; i++)
            y[n * width + i] =
                (x[i] - mean) / sqrt(variance + (double)c->attributes.norm.epsilon) * params[0][i] +
                params[1][i];
    }
}

START_TEST(layer_norm_agrees_with_float64_for_odd_sizes) {
    /* From a width of 3 on: of one or two elements the gradient hangs on epsilon alone. */
    for (int i = 1; i < SIZES; i++)
        for (int j = 1; j < SIZES; j++)
            op_check(&(op_case){.op = &qd_op_layer_norm,
                                .attributes.norm.epsilon = 1e-2f,
                                .input_count = 1,
                                .param_count = 2,
                                .inputs = {SHAPE(sizes[i], sizes[j])},
                                .params = {SHAPE(sizes[j]), SHAPE(sizes[j])},
                                .reference = layer_norm_reference});
    op_check(&(op_case){.op = &qd_op_layer_norm,
                        .attributes.norm.epsilon = 1e-5f,
                        .input_count = 1,
                        .param_count = 2,
                        .inputs = {SHAPE(2, 3, 65)},
                        .params = {SHAPE(65), SHAPE(65)},
                        .reference = layer_norm_reference});
}
END_TEST

static const int32_t indices[] = {4, 0, 2, 4, 4, 1};

static void embedding_reference(const op_case *c, double *const *inputs, double *const *params,
                                double *y) {
    (void)inputs;
    int64_t width = c->params[0].dim[1];
    for (int64_t i = 0; i < qd_shape_elements(&c->inputs[0]); i++)
        for (int64_t j = 0; j < width; j++)
            y[i * width + j] = params[0][c->indices[0][i] * width + j];
}

START_TEST(embedding_copies_rows_and_adds_up_the_gradients_of_repeated_ones) {
    for (int i = 0; i < SIZES; i++)
        op_check(&(op_case){.op = &qd_op_embedding,
                            .input_count = 1,
                            .param_count = 1,
                            .inputs = {SHAPE(2, 3)},
                            .indices = {indices},
                            .params = {SHAPE(5, sizes[i])},
                            .reference = embedding_reference});
}
END_TEST

static void position_reference(const op_case *c, double *const *inputs, double *const *params,
                               double *y) {
    int64_t block = c->inputs[0].dim[1] * c->inputs[0].dim[2];
    for (int64_t i = 0; i < qd_shape_elements(&c->inputs[0]); i++)
        y[i] = inputs[0][i] + params[0][i % block];
}

START_TEST(position_adds_the_head_of_its_table_to_every_sample) {
    for (int i = 0; i < SIZES; i++)
        op_check(&(op_case){.op = &qd_op_position,
                            .input_count = 1,
                            .param_count = 1,
                            .inputs = {SHAPE(3, 4, sizes[i])},
                            .params = {SHAPE(6, sizes[i])},
                            .reference = position_reference});
}
END_TEST

/* Of 6 rows, 7 slots have some none. */
START_TEST(what_is_summed_over_rows_is_the_same_in_any_number_of_tensor_slots) {
    for (int slots = 2; slots <= 7; slots++) {
        op_check(&(op_case){.op = &qd_op_linear,
                            .attributes.linear.cut = QD_CUT_IN,
                            .tensor_slots = slots,
                            .by_rows = true,
                            .input_count = 1,
                            .param_count = 2,
                            .inputs = {SHAPE(2, 3, 9)},
                            .params = {SHAPE(13, 9), SHAPE(13)},
                            .reference = linear_reference});
        op_check(&(op_case){.op = &qd_op_layer_norm,
                            .attributes.norm.epsilon = 1e-2f,
                            .tensor_slots = slots,
                            .by_rows = true,
                            .input_count = 1,
                            .param_count = 2,
                            .inputs = {SHAPE(2, 3, 17)},
                            .params = {SHAPE(17), SHAPE(17)},
                            .reference = layer_norm_reference});
        op_check(&(op_case){.op = &qd_op_position,
                            .tensor_slots = slots,
                            .by_rows = true,
                            .input_count = 1,
                            .param_count = 1,
                            .inputs = {SHAPE(2, 3, 17)},
                            .params = {SHAPE(4, 17)},
                            .reference = position_reference});
    }
}
END_TEST

static void cross_entropy_reference(const op_case *c, double *const *inputs, double *const *params,
                                    double *y) {
    (void)params;
    int64_t classes = c->inputs[0].dim[c->inputs[0].dims - 1];
    for (int64_t i = 0; i < qd_shape_elements(&c->inputs[1]); i++) {
        const double *x = inputs[0] + i * classes;
        double sum = 0;
        for (int64_t j = 0; j < classes; j++)
            sum += exp(x[j]);
        y[i] = log(sum) - x[c->indices[1][i]];
    }
}

START_TEST(cross_entropy_takes_any_leading_dimensions) {
    for (int i = 2; i < SIZES; i++)
        op_check(&(op_case){.op = &qd_op_cross_entropy,
                            .input_count = 2,
                            .inputs = {SHAPE(2, 3, sizes[i]), SHAPE(2, 3)},
                            .indices = {NULL, indices},
                            .tolerance = 1e-6,
                            .reference = cross_entropy_reference});
}
END_TEST

START_TEST(cross_entropy_is_the_same_in_any_number_of_tensor_slots) {
    for (int slots = 1; slots <= 7; slots++)
        for (int i = 2; i < SIZES; i++)
            op_check(&(op_case){.op = &qd_op_cross_entropy,
                                .attributes.cross_entropy.cut = true,
                                .tensor_slots = slots,
                                .input_count = 2,
                                .inputs = {SHAPE(2, 3, sizes[i]), SHAPE(2, 3)},
                                .indices = {NULL, indices},
                                .tolerance = 1e-6,
                                .reference = cross_entropy_reference});
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("op basics");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, linear_takes_any_leading_dimensions);
    tcase_add_test(tc, linear_takes_more_rows_than_a_panel_has);
    tcase_add_test(tc, linear_may_flatten_all_but_the_samples);
    tcase_add_test(tc, linear_is_the_same_layer_in_any_number_of_tensor_slots);
    tcase_add_test(tc, what_is_summed_over_rows_is_the_same_in_any_number_of_tensor_slots);
    tcase_add_test(tc, linear_in_bf16_is_exact_for_what_bf16_holds);
    tcase_add_test(tc, add_is_the_sum_and_hands_its_gradient_to_both);
    tcase_add_test(tc, activations_agree_with_float64_for_odd_sizes);
    tcase_add_test(tc, layer_norm_agrees_with_float64_for_odd_sizes);
    tcase_add_test(tc, embedding_copies_rows_and_adds_up_the_gradients_of_repeated_ones);
    tcase_add_test(tc, position_adds_the_head_of_its_table_to_every_sample);
    tcase_add_test(tc, cross_entropy_takes_any_leading_dimensions);
    tcase_add_test(tc, cross_entropy_is_the_same_in_any_number_of_tensor_slots);
    Suite *suite = suite_create("worker/op_basics");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
