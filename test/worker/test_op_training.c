/* Operators that do something else while training than while evaluating: batch norm, dropout. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "test/worker/op_check.h"

static const float epsilon = 1e-3f;

/* ---- batch norm ---- */

typedef struct moments {
    double mean, variance; /* biased */
} moments;

static moments moments_of(const op_case *c, const double *x, int64_t channel) {
    int64_t channels = c->params[0].dim[0], rows = qd_shape_elements(&c->inputs[0]) / channels;
    moments m = {0, 0};
    for (int64_t n = 0; n < rows; n++)
        m.mean += x[n * channels + channel] / (double)rows;
    for (int64_t n = 0; n < rows; n++)
        m.variance += pow(x[n * channels + channel] - m.mean, 2) / (double)rows;
    return m;
}

static void batch_norm_reference(const op_case *c, double *const *inputs, double *const *params,
                                 double *y) {
    int64_t channels = c->params[0].dim[0], rows = qd_shape_elements(&c->inputs[0]) / channels;
    for (int64_t k = 0; k < channels; k++) {
        moments m =
            c->evaluates ? (moments){params[2][k], params[3][k]} : moments_of(c, inputs[0], k);
        double deviation = sqrt(m.variance + (double)epsilon);
        for (int64_t n = 0; n < rows; n++)
            y[n * channels + k] =
                (inputs[0][n * channels + k] - m.mean) / deviation * params[0][k] + params[1][k];
    }
}

static void batch_norm_measure(const op_case *c, double *const *inputs, double *const *measured) {
    int64_t channels = c->params[0].dim[0], rows = qd_shape_elements(&c->inputs[0]) / channels;
    for (int64_t k = 0; k < channels; k++) {
        moments m = moments_of(c, inputs[0], k);
        measured[0][k] = m.mean;
        measured[1][k] = m.variance * (double)rows / (double)(rows - 1);
    }
}

static op_case batch_norm(qd_shape x) {
    qd_shape channels = SHAPE(x.dim[x.dims - 1]);
    return (op_case){
        .op = &qd_op_batch_norm,
        .attributes.norm.epsilon = epsilon,
        .input_count = 1,
        .param_count = 4,
        .inputs = {x},
        .params = {channels, channels, channels, channels},
        .statistic_count = 2,
        .measure = batch_norm_measure,
        .reference = batch_norm_reference,
        .tolerance = 5e-6,
    };
}

START_TEST(batch_norm_takes_the_moments_of_the_batch_while_training) {
    op_case cases[] = {batch_norm(SHAPE(5, 3)), batch_norm(SHAPE(2, 1)),
                       batch_norm(SHAPE(2, 3, 5, 17)), batch_norm(SHAPE(3, 7, 16))};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        op_check(&cases[i]);
}
END_TEST

START_TEST(batch_norm_takes_its_running_statistics_while_evaluating) {
    static const float variance[] = {0.5f, 1, 2};
    op_case c = batch_norm(SHAPE(5, 3));
    c.evaluates = true;
    c.param_floats[3] = variance;
    op_check(&c);
}
END_TEST

START_TEST(batch_norm_needs_two_elements_a_channel) {
    qd_graph *g;
    qd_shape x = SHAPE(1, 3), channels = SHAPE(3);
    ck_assert_int_eq(qd_graph_create(1, &g), 0);
    int input = qd_graph_add_value(g, "x", QD_VALUE_INPUT, QD_F32, &x);
    int params[] = {qd_graph_add_param(g, "g", &channels, (qd_init){0}),
                    qd_graph_add_param(g, "b", &channels, (qd_init){0}),
                    qd_graph_add_param(g, "m", &channels, (qd_init){0}),
                    qd_graph_add_param(g, "v", &channels, (qd_init){0})};
    qd_graph_make_statistic(g, params[2], 0.1f);
    qd_graph_make_statistic(g, params[3], 0.1f);
    qd_op_attributes attributes = {.norm = {epsilon}};
    ck_assert_int_eq(
        qd_graph_add_node_with(g, &qd_op_batch_norm, "bn", &input, 1, params, 4, attributes),
        QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), "bn: input [1, 3] has one element a channel; batch_norm "
                                         "needs two or more in each data slot");
    qd_graph_destroy(g);
}
END_TEST

/* ---- dropout ---- */

enum { SAMPLES = 6, WIDTH = 1001 };

/* A dropout of `samples` samples of ones, run as the state says, into y. */
static void drop(int64_t samples, float rate, qd_run_state run, bool backward, float *y) {
    qd_graph *g;
    qd_backend_context *context;
    qd_shape x = SHAPE(samples, WIDTH);
    float ones[SAMPLES * WIDTH];
    for (int i = 0; i < SAMPLES * WIDTH; i++)
        ones[i] = 1;
    ck_assert_int_eq(qd_graph_create(samples, &g), 0);
    int input = qd_graph_add_value(g, "x", QD_VALUE_INPUT, QD_F32, &x);
    qd_op_attributes attributes = {.dropout = {rate}};
    ck_assert_int_ge(
        qd_graph_add_node_with(g, &qd_op_dropout, "drop", &input, 1, NULL, 0, attributes), 0);
    ck_assert_int_eq(qd_backend_cpu.create(1, &context), 0);
    ck_assert_int_eq(qd_backend_cpu.prepare(context, g), 0);
    qd_operands o = {.inputs = {ones}, .output = y, .run = &run};
    if (backward) {
        o.output_grad = ones;
        o.input_grads[0] = y;
    }
    ck_assert_int_eq(
        (backward ? qd_backend_cpu.backward : qd_backend_cpu.forward)(context, g, &g->nodes[0], &o),
        0);
    qd_backend_cpu.destroy(context);
    qd_graph_destroy(g);
}

static const qd_run_state training = {.training = true, .seed = 5, .step = 2};

START_TEST(dropout_keeps_the_rest_scaled_and_its_gradient_alike) {
    static float y[SAMPLES * WIDTH], dx[SAMPLES * WIDTH];
    drop(SAMPLES, 0.25f, training, false, y);
    drop(SAMPLES, 0.25f, training, true, dx);
    int kept = 0;
    for (int i = 0; i < SAMPLES * WIDTH; i++) {
        if (y[i] != 0 && fabsf(y[i] - 4.0f / 3) > 1e-6f)
            ck_abort_msg("element %d is %g", i, (double)y[i]);
        kept += y[i] != 0;
    }
    /* Binomial: 0.75 of 6006, standard deviation 34. */
    ck_assert_int_lt(abs(kept - 4504), 5 * 34);
    ck_assert_mem_eq(y, dx, sizeof y);
}
END_TEST

START_TEST(dropout_depends_on_the_sample_and_not_on_the_slot) {
    static float whole[SAMPLES * WIDTH], part[SAMPLES * WIDTH];
    drop(SAMPLES, 0.5f, training, false, whole);
    qd_run_state run = training;
    run.first_sample = 4;
    drop(2, 0.5f, run, false, part);
    ck_assert_mem_eq(part, whole + 4 * WIDTH, 2 * WIDTH * sizeof *part);
}
END_TEST

START_TEST(dropout_differs_from_step_to_step) {
    static float one[SAMPLES * WIDTH], other[SAMPLES * WIDTH];
    qd_run_state run = training;
    drop(SAMPLES, 0.5f, run, false, one);
    run.step++;
    drop(SAMPLES, 0.5f, run, false, other);
    ck_assert_mem_ne(one, other, sizeof one);
}
END_TEST

START_TEST(dropout_does_nothing_while_evaluating) {
    static float y[SAMPLES * WIDTH];
    qd_run_state run = training;
    run.training = false;
    drop(SAMPLES, 0.5f, run, false, y);
    for (int i = 0; i < SAMPLES * WIDTH; i++)
        if (y[i] != 1)
            ck_abort_msg("element %d is %g", i, (double)y[i]);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("training");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, batch_norm_takes_the_moments_of_the_batch_while_training);
    tcase_add_test(tc, batch_norm_takes_its_running_statistics_while_evaluating);
    tcase_add_test(tc, batch_norm_needs_two_elements_a_channel);
    tcase_add_test(tc, dropout_keeps_the_rest_scaled_and_its_gradient_alike);
    tcase_add_test(tc, dropout_depends_on_the_sample_and_not_on_the_slot);
    tcase_add_test(tc, dropout_differs_from_step_to_step);
    tcase_add_test(tc, dropout_does_nothing_while_evaluating);
    Suite *suite = suite_create("worker/op_training");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
