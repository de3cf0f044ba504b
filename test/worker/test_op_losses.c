/* Losses by their definitions in float64: one for each row of the last dimension. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "test/worker/op_check.h"

static const int64_t sizes[] = {1, 3, 7, 16, 17, 33};
enum { SIZES = sizeof sizes / sizeof *sizes };

static double square(const op_case *c, double x, double t) {
    (void)c;
    return pow(x - t, 2);
}

static double huber(const op_case *c, double x, double t) {
    double delta = (double)c->attributes.huber.delta, a = fabs(x - t);
    return a <= delta ? a * a / 2 : delta * (a - delta / 2);
}

static double binary(const op_case *c, double x, double t) {
    (void)c;
    double p = 1 / (1 + exp(-x));
    return -t * log(p) - (1 - t) * log(1 - p);
}

static const struct {
    const qd_op *op;
    double (*function)(const op_case *c, double x, double t);
} means[] = {
    {&qd_op_mse, square},
    {&qd_op_huber, huber},
    {&qd_op_binary_cross_entropy, binary},
};
enum { MEANS = sizeof means / sizeof *means };

static int64_t width_of(const op_case *c) {
    return c->inputs[0].dim[c->inputs[0].dims - 1];
}

static void mean_reference(const op_case *c, double *const *inputs, double *const *params,
                           double *y) {
    (void)params;
    int64_t width = width_of(c), rows = qd_shape_elements(&c->inputs[0]) / width;
    for (int m = 0; m < MEANS; m++)
        for (int64_t n = 0; means[m].op == c->op && n < rows; n++) {
            y[n] = 0;
            for (int64_t i = n * width; i < (n + 1) * width; i++)
                y[n] += means[m].function(c, inputs[0][i], inputs[1][i]) / (double)width;
        }
}

START_TEST(means_over_a_row_agree_with_float64_for_odd_sizes) {
    for (int m = 0; m < MEANS; m++)
        for (int i = 0; i < SIZES; i++)
            op_check(&(op_case){.op = means[m].op,
                                .attributes.huber.delta = means[m].op == &qd_op_huber ? 0.4f : 0,
                                .input_count = 2,
                                .inputs = {SHAPE(2, 3, sizes[i]), SHAPE(2, 3, sizes[i])},
                                .is_target = {false, true},
                                .tolerance = 1e-6,
                                .reference = mean_reference});
}
END_TEST

/* By the series of log(1 + e^-|x|) for large x: x itself, and e^-|x|. */
START_TEST(binary_cross_entropy_is_stable_for_large_logits) {
    const float logits[] = {1000, 1000, -1000, -1000, 20, -20}, targets[] = {1, 0, 1, 0, 1, 0};
    const double expected[] = {0, 1000, 1000, 0, exp(-20), exp(-20)};
    float losses[6];
    qd_graph *graph;
    ck_assert_int_eq(qd_graph_create(6, &graph), 0);
    int inputs[] = {
        qd_graph_add_value(graph, "x", QD_VALUE_INPUT, QD_F32, &SHAPE(6, 1)),
        qd_graph_add_value(graph, "t", QD_VALUE_TARGET, QD_F32, &SHAPE(6, 1)),
    };
    ck_assert_int_ge(
        qd_graph_add_node(graph, &qd_op_binary_cross_entropy, "loss", inputs, 2, NULL, 0), 0);
    qd_backend_context *context;
    ck_assert_int_eq(qd_backend_cpu.create(1, &context), 0);
    qd_operands operands = {.inputs = {(void *)logits, (void *)targets}, .output = losses};
    ck_assert_int_eq(qd_backend_cpu.forward(context, graph, &graph->nodes[0], &operands), 0);
    for (int i = 0; i < 6; i++)
        ck_assert_double_eq_tol((double)losses[i], expected[i], 1e-6 * expected[i] + 1e-30);
    qd_backend_cpu.destroy(context);
    qd_graph_destroy(graph);
}
END_TEST

static void kl_reference(const op_case *c, double *const *inputs, double *const *params,
                         double *y) {
    (void)params;
    int64_t width = width_of(c), rows = qd_shape_elements(&c->inputs[0]) / width;
    for (int64_t n = 0; n < rows; n++) {
        const double *x = inputs[0] + n * width, *t = inputs[1] + n * width;
        double sum = 0;
        for (int64_t i = 0; i < width; i++)
            sum += exp(x[i]);
        y[n] = 0;
        for (int64_t i = 0; i < width; i++)
            y[n] += t[i] > 0 ? t[i] * (log(t[i]) - log(exp(x[i]) / sum)) : 0;
    }
}

/* Rows with zeros in them, each of them summing up to 1 about. */
static void distribute(float *t, int64_t rows, int64_t width) {
    for (int64_t n = 0; n < rows; n++) {
        float sum = 0;
        for (int64_t i = 0; i < width; i++)
            sum += t[n * width + i] = (float)((7 * i + 3 * n + 1) % 5);
        for (int64_t i = 0; i < width; i++)
            t[n * width + i] /= sum > 0 ? sum : 1;
    }
}

START_TEST(kl_agrees_with_float64_for_odd_sizes) {
    static float targets[6 * 33];
    for (int i = 0; i < SIZES; i++) {
        distribute(targets, 6, sizes[i]);
        op_check(&(op_case){.op = &qd_op_kl,
                            .input_count = 2,
                            .inputs = {SHAPE(2, 3, sizes[i]), SHAPE(2, 3, sizes[i])},
                            .floats = {NULL, targets},
                            .is_target = {false, true},
                            .tolerance = 1e-6,
                            .reference = kl_reference});
    }
}
END_TEST

static const int32_t classes[] = {2, 0, -100, 1, -100, 2};

/* Label smoothing as in PyTorch: the target's distribution is mixed with the uniform one. */
static void cross_entropy_reference(const op_case *c, double *const *inputs, double *const *params,
                                    double *y) {
    (void)params;
    int64_t width = width_of(c);
    double smoothing = (double)c->attributes.cross_entropy.label_smoothing;
    for (int64_t n = 0; n < qd_shape_elements(&c->inputs[1]); n++) {
        const double *x = inputs[0] + n * width;
        double sum = 0;
        y[n] = 0;
        for (int64_t i = 0; i < width; i++)
            sum += exp(x[i]);
        for (int64_t i = 0; i < width && c->indices[1][n] >= 0; i++) {
            double t = smoothing / (double)width + (i == c->indices[1][n] ? 1 - smoothing : 0);
            y[n] -= t * (c->class_weights ? c->class_weights[i] : 1) * log(exp(x[i]) / sum);
        }
    }
}

START_TEST(cross_entropy_smooths_labels_and_ignores_an_index) {
    const float smoothings[] = {0, 0.1f, 1};
    for (int s = 0; s < 3; s++)
        for (int i = 1; i < SIZES; i++)
            op_check(&(op_case){.op = &qd_op_cross_entropy,
                                .attributes.cross_entropy = {smoothings[s], true, -100},
                                .input_count = 2,
                                .inputs = {SHAPE(2, 3, sizes[i]), SHAPE(2, 3)},
                                .indices = {NULL, classes},
                                .tolerance = 1e-6,
                                .reference = cross_entropy_reference});
}
END_TEST

/* Also where tensor slots deal out the classes. */
START_TEST(cross_entropy_weighs_classes) {
    const float smoothings[] = {0, 0.1f, 1};
    static double weights[33];
    for (int i = 0; i < 33; i++)
        weights[i] = i % 4 * 0.375;
    for (int s = 0; s < 3; s++)
        for (int i = 1; i < SIZES; i++)
            for (int slots = 1; slots <= 3; slots++)
                op_check(&(op_case){.op = &qd_op_cross_entropy,
                                    .attributes.cross_entropy = {smoothings[s], true, -100, true},
                                    .input_count = 2,
                                    .inputs = {SHAPE(2, 3, sizes[i]), SHAPE(2, 3)},
                                    .indices = {NULL, classes},
                                    .tensor_slots = slots,
                                    .class_weights = weights,
                                    .class_weight_count = sizes[i],
                                    .tolerance = 1e-6,
                                    .reference = cross_entropy_reference});
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("op losses");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, means_over_a_row_agree_with_float64_for_odd_sizes);
    tcase_add_test(tc, binary_cross_entropy_is_stable_for_large_logits);
    tcase_add_test(tc, cross_entropy_smooths_labels_and_ignores_an_index);
    tcase_add_test(tc, cross_entropy_weighs_classes);
    tcase_add_test(tc, kl_agrees_with_float64_for_odd_sizes);
    Suite *suite = suite_create("worker/op_losses");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
