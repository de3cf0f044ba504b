/* Operators over the rows of the last dimension, and those that move elements. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/error.h"
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
    for (int slots = 2; slots <= 7; slots++)
        op_check(&(op_case){.op = &qd_op_rms_norm,
                            .attributes.norm.epsilon = 1e-2f,
                            .tensor_slots = slots,
                            .by_rows = true,
                            .input_count = 1,
                            .param_count = 1,
                            .inputs = {SHAPE(2, 3, 17)},
                            .params = {SHAPE(17)},
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

static void concat_reference(const op_case *c, double *const *inputs, double *const *params,
                             double *y) {
    (void)params;
    int64_t a = width_of(&c->inputs[0]), b = width_of(&c->inputs[1]);
    for (int64_t i = 0; i < qd_shape_elements(&c->inputs[0]) / a * (a + b); i++) {
        int64_t n = i / (a + b), column = i % (a + b);
        y[i] = column < a ? inputs[0][n * a + column] : inputs[1][n * b + column - a];
    }
}

START_TEST(concat_puts_rows_side_by_side) {
    for (int i = 0; i < SIZES; i++)
        op_check(&(op_case){.op = &qd_op_concat,
                            .input_count = 2,
                            .inputs = {SHAPE(2, 3, sizes[i]), SHAPE(2, 3, 5)},
                            .reference = concat_reference});
}
END_TEST

static void position_mean_reference(const op_case *c, double *const *inputs, double *const *params,
                                    double *y) {
    (void)params;
    int64_t length = c->inputs[0].dim[1], width = c->inputs[0].dim[2];
    for (int64_t i = 0; i < c->inputs[0].dim[0] * width; i++) {
        y[i] = 0;
        for (int64_t t = 0; t < length; t++)
            y[i] += inputs[0][(i / width * length + t) * width + i % width] / (double)length;
    }
}

START_TEST(position_mean_agrees_with_float64_for_odd_sizes) {
    for (int i = 0; i < SIZES; i++)
        for (int j = 0; j < SIZES; j++)
            op_check(&(op_case){.op = &qd_op_position_mean,
                                .input_count = 1,
                                .inputs = {SHAPE(3, sizes[i], sizes[j])},
                                .tolerance = 1e-6,
                                .reference = position_mean_reference});
}
END_TEST

static void position_mean_lengths_reference(const op_case *c, double *const *inputs,
                                            double *const *params, double *y) {
    (void)params;
    int64_t length = c->inputs[0].dim[1], width = c->inputs[0].dim[2];
    for (int64_t i = 0; i < c->inputs[0].dim[0] * width; i++) {
        int32_t counted = c->indices[1][i / width];
        y[i] = 0;
        for (int64_t t = 0; t < counted; t++)
            y[i] += inputs[0][(i / width * length + t) * width + i % width] / (double)counted;
    }
}

START_TEST(position_mean_leaves_out_what_is_behind_a_length) {
    for (int i = 0; i < SIZES; i++) {
        int32_t length = (int32_t)sizes[i], lengths[] = {length, 1, (length + 1) / 2};
        op_check(&(op_case){.op = &qd_op_position_mean_lengths,
                            .input_count = 2,
                            .inputs = {SHAPE(3, sizes[i], 5), SHAPE(3)},
                            .indices = {NULL, lengths},
                            .tolerance = 1e-6,
                            .reference = position_mean_lengths_reference});
    }
}
END_TEST

static void position_take_reference(const op_case *c, double *const *inputs, double *const *params,
                                    double *y) {
    (void)params;
    int64_t length = c->inputs[0].dim[1], width = c->inputs[0].dim[2];
    int64_t position = c->attributes.position_take.position;
    for (int64_t i = 0; i < c->inputs[0].dim[0] * width; i++)
        y[i] = inputs[0][(i / width * length + position) * width + i % width];
}

START_TEST(position_take_takes_one_position) {
    for (int64_t position = 0; position < 4; position++)
        op_check(&(op_case){.op = &qd_op_position_take,
                            .attributes.position_take = {position},
                            .input_count = 1,
                            .inputs = {SHAPE(3, 4, 7)},
                            .reference = position_take_reference});
}
END_TEST

/* Runs an operator of an input and lengths forward, alone. */
static int forward_of(const qd_op *op, qd_dtype dtype, qd_shape shape, int input_count,
                      void *const inputs[2], void *output) {
    qd_graph *graph;
    qd_backend_context *context;
    qd_run_state run = {.training = true, .share = 1};
    ck_assert_int_eq(qd_graph_create(shape.dim[0], &graph), 0);
    int values[] = {
        qd_graph_add_value(graph, "x", QD_VALUE_INPUT, dtype, &shape),
        qd_graph_add_value(graph, "l", QD_VALUE_INPUT, QD_I32, &SHAPE(shape.dim[0])),
    };
    ck_assert_int_ge(qd_graph_add_node(graph, op, "node", values, input_count, NULL, 0), 0);
    ck_assert_int_eq(qd_backend_cpu.create(1, &context), 0);
    ck_assert_int_eq(qd_backend_cpu.prepare(context, graph), 0);
    qd_operands operands = {.inputs = {inputs[0], inputs[1]}, .output = output, .run = &run};
    int rc = qd_backend_cpu.forward(context, graph, &graph->nodes[0], &operands);
    qd_backend_cpu.destroy(context);
    qd_graph_destroy(graph);
    return rc;
}

START_TEST(tokens_end_where_only_zeros_follow) {
    int32_t tokens[] = {1, 2, 3, 4, 5, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0};
    int32_t lengths[4];
    void *const inputs[2] = {tokens, NULL};
    ck_assert_int_eq(forward_of(&qd_op_token_lengths, QD_I32, SHAPE(4, 4), 1, inputs, lengths), 0);
    ck_assert_mem_eq(lengths, ((int32_t[]){4, 1, 2, 1}), sizeof lengths);
}
END_TEST

START_TEST(lengths_outside_of_the_sample_are_refused) {
    static const int32_t wrong[] = {0, -1, 4};
    float x[12] = {0}, y[4];
    for (int i = 0; i < 3; i++) {
        int32_t lengths[] = {3, wrong[i]};
        void *const inputs[2] = {x, lengths};
        char message[80];
        snprintf(message, sizeof message,
                 "length %d of sample 1 of the batch; lengths lie in 1 .. 3", (int)wrong[i]);
        ck_assert_int_eq(
            forward_of(&qd_op_position_mean_lengths, QD_F32, SHAPE(2, 3, 2), 2, inputs, y),
            QD_EDATA);
        ck_assert_str_eq(qd_error_message(), message);
    }
}
END_TEST

static void reshape_reference(const op_case *c, double *const *inputs, double *const *params,
                              double *y) {
    (void)params;
    for (int64_t i = 0; i < qd_shape_elements(&c->inputs[0]); i++)
        y[i] = inputs[0][i];
}

START_TEST(reshape_is_a_copy) {
    op_check(&(op_case){.op = &qd_op_reshape,
                        .attributes.reshape.shape = SHAPE(2, 5, 3, 7),
                        .input_count = 1,
                        .inputs = {SHAPE(2, 105)},
                        .reference = reshape_reference});
}
END_TEST

static void assert_refused(const qd_op *op, qd_dtype dtype, qd_shape a, qd_shape b,
                           qd_op_attributes attributes) {
    qd_graph *graph;
    ck_assert_int_eq(qd_graph_create(2, &graph), 0);
    int inputs[] = {
        qd_graph_add_value(graph, "a", QD_VALUE_INPUT, dtype, &a),
        qd_graph_add_value(graph, "b", QD_VALUE_INPUT, dtype, &b),
    };
    int gain = qd_graph_add_param(graph, "gain", &SHAPE(4), (qd_init){0});
    int rc = qd_graph_add_node_with(graph, op, "node", inputs, op->inputs, &gain, op->params,
                                    attributes);
    ck_assert_msg(rc == QD_ECONFIG, "%s: %d", op->name, rc);
    qd_graph_destroy(graph);
}

START_TEST(operands_that_do_not_fit_are_refused) {
    const qd_op_attributes none = {0};
    const qd_op_attributes beyond = {.position_take = {3}};
    const qd_op_attributes reshaped = {.reshape.shape = SHAPE(4, 3)};
    assert_refused(&qd_op_rms_norm, QD_F32, SHAPE(2, 3), SHAPE(2, 3), none);
    assert_refused(&qd_op_rms_norm, QD_F32, SHAPE(2, 4), SHAPE(2, 4), none); /* epsilon 0 */
    assert_refused(&qd_op_softmax, QD_I32, SHAPE(2, 3), SHAPE(2, 3), none);
    assert_refused(&qd_op_concat, QD_F32, SHAPE(2, 3, 4), SHAPE(2, 4, 4), none);
    assert_refused(&qd_op_concat, QD_F32, SHAPE(2, 3, 4), SHAPE(2, 4), none);
    assert_refused(&qd_op_position_mean, QD_F32, SHAPE(2, 3), SHAPE(2, 3), none);
    assert_refused(&qd_op_position_mean_lengths, QD_F32, SHAPE(2, 3, 4), SHAPE(2), none);
    assert_refused(&qd_op_position_take, QD_F32, SHAPE(2, 3, 4), SHAPE(2), beyond);
    assert_refused(&qd_op_token_lengths, QD_F32, SHAPE(2, 3), SHAPE(2), none);
    assert_refused(&qd_op_reshape, QD_F32, SHAPE(2, 6), SHAPE(2, 6), none);
    assert_refused(&qd_op_reshape, QD_F32, SHAPE(2, 6), SHAPE(2, 6), reshaped);
    assert_refused(&qd_op_mse, QD_F32, SHAPE(2, 6), SHAPE(2, 3), none);
    assert_refused(&qd_op_huber, QD_F32, SHAPE(2, 6), SHAPE(2, 6), none); /* delta 0 */
    assert_refused(&qd_op_kl, QD_F32, SHAPE(2), SHAPE(2), none);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("op rows");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, rms_norm_agrees_with_float64_for_odd_sizes);
    tcase_add_test(tc, softmax_agrees_with_float64_for_odd_sizes);
    tcase_add_test(tc, concat_puts_rows_side_by_side);
    tcase_add_test(tc, position_mean_agrees_with_float64_for_odd_sizes);
    tcase_add_test(tc, position_mean_leaves_out_what_is_behind_a_length);
    tcase_add_test(tc, position_take_takes_one_position);
    tcase_add_test(tc, tokens_end_where_only_zeros_follow);
    tcase_add_test(tc, lengths_outside_of_the_sample_are_refused);
    tcase_add_test(tc, reshape_is_a_copy);
    tcase_add_test(tc, operands_that_do_not_fit_are_refused);
    Suite *suite = suite_create("worker/op_rows");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
