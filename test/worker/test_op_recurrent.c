/* LSTM and GRU: odd sizes, one step only, samples of several lengths. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "test/worker/op_check.h"

enum { MAX_WIDTH = 33 };

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

/* Row `row` of W v + b. */
static double row_of(const double *w, const double *b, int64_t row, const double *v,
                     int64_t width) {
    double sum = b[row];
    for (int64_t i = 0; i < width; i++)
        sum += w[row * width + i] * v[i];
    return sum;
}

/* The new state (and cell) from those before. */
typedef void step_of(const double *x, int64_t in, double *const *params, double *h, double *cell,
                     int64_t width);

static void lstm_step(const double *x, int64_t in, double *const *params, double *h, double *cell,
                      int64_t width) {
    double gates[4 * MAX_WIDTH];
    for (int64_t j = 0; j < 4 * width; j++)
        gates[j] =
            row_of(params[0], params[2], j, x, in) + row_of(params[1], params[3], j, h, width);
    for (int64_t j = 0; j < width; j++) {
        cell[j] =
            sigmoid(gates[width + j]) * cell[j] + sigmoid(gates[j]) * tanh(gates[2 * width + j]);
        h[j] = sigmoid(gates[3 * width + j]) * tanh(cell[j]);
    }
}

static void gru_step(const double *x, int64_t in, double *const *params, double *h, double *cell,
                     int64_t width) {
    (void)cell;
    double next[MAX_WIDTH];
    for (int64_t j = 0; j < width; j++) {
        double of_x[3], of_h[3];
        for (int64_t gate = 0; gate < 3; gate++) {
            of_x[gate] = row_of(params[0], params[2], gate * width + j, x, in);
            of_h[gate] = row_of(params[1], params[3], gate * width + j, h, width);
        }
        double r = sigmoid(of_x[0] + of_h[0]), z = sigmoid(of_x[1] + of_h[1]);
        next[j] = (1 - z) * tanh(of_x[2] + r * of_h[2]) + z * h[j];
    }
    memcpy(h, next, (size_t)width * sizeof *h);
}

/* Sample for sample; behind its length a sample repeats its last state. */
static void run(const op_case *c, double *const *inputs, double *const *params, double *y,
                step_of *step) {
    const qd_shape *x = &c->inputs[0];
    int64_t length = x->dim[1], in = x->dim[2], width = c->params[1].dim[1];
    for (int64_t n = 0; n < x->dim[0]; n++) {
        double h[MAX_WIDTH] = {0}, cell[MAX_WIDTH] = {0};
        for (int64_t t = 0; t < length; t++) {
            int64_t row = n * length + t;
            if (c->input_count == 1 || t < c->indices[1][n])
                step(inputs[0] + row * in, in, params, h, cell, width);
            memcpy(y + row * width, h, (size_t)width * sizeof *h);
        }
    }
}

static void lstm(const op_case *c, double *const *inputs, double *const *params, double *y) {
    run(c, inputs, params, y, lstm_step);
}

static void gru(const op_case *c, double *const *inputs, double *const *params, double *y) {
    run(c, inputs, params, y, gru_step);
}

typedef struct sizes {
    int64_t samples, length, in, width;
} sizes;

/* Both layers; lengths NULL: the operators without. */
static void check_in(qd_precision precision, sizes s, const int32_t *lengths, int threads) {
    for (int is_gru = 0; is_gru < 2; is_gru++) {
        int64_t rows = (is_gru ? 3 : 4) * s.width;
        const qd_op *full = is_gru ? &qd_op_gru : &qd_op_lstm;
        const qd_op *cut = is_gru ? &qd_op_gru_lengths : &qd_op_lstm_lengths;
        op_check(&(op_case){
            .op = lengths ? cut : full,
            .input_count = lengths ? 2 : 1,
            .inputs = {SHAPE(s.samples, s.length, s.in), SHAPE(s.samples)},
            .indices = {NULL, lengths},
            .param_count = 4,
            .params = {SHAPE(rows, s.in), SHAPE(rows, s.width), SHAPE(rows), SHAPE(rows)},
            .threads = threads,
            .precision = precision,
            .tolerance = precision == QD_PRECISION_BF16 ? 1e-2 : 2e-6,
            .reference = is_gru ? gru : lstm});
    }
}

static void check_both(sizes s, const int32_t *lengths, int threads) {
    check_in(QD_PRECISION_FP32, s, lengths, threads);
}

/* The states between steps are no bf16: unlike those of one product, results are near only. */
START_TEST(in_bf16_they_are_near) {
    static const int32_t lengths[] = {5, 2, 1};
    check_in(QD_PRECISION_BF16, (sizes){3, 5, 4, 7}, NULL, 1);
    check_in(QD_PRECISION_BF16, (sizes){3, 5, 4, 17}, lengths, 1);
    check_in(QD_PRECISION_BF16, (sizes){2, 1, 9, 16}, NULL, 1);
}
END_TEST

START_TEST(whole_sequences_agree_with_the_definition_in_float64) {
    check_both((sizes){3, 5, 4, 7}, NULL, 1);
    check_both((sizes){2, 4, 3, 17}, NULL, 1);
    check_both((sizes){2, 3, 19, 5}, NULL, 1);
    check_both((sizes){1, 1, 1, 1}, NULL, 1);
    check_both((sizes){17, 2, 1, 1}, NULL, 2);
}
END_TEST

START_TEST(a_single_step_leaves_the_states_weights_without_a_gradient) {
    check_both((sizes){3, 1, 4, 7}, NULL, 1);
    check_both((sizes){2, 1, 4, 17}, (const int32_t[]){1, 1}, 1);
}
END_TEST

START_TEST(short_samples_repeat_their_last_state_and_collect_its_gradients) {
    check_both((sizes){3, 5, 4, 7}, (const int32_t[]){5, 5, 5}, 1);
    check_both((sizes){3, 5, 4, 7}, (const int32_t[]){1, 5, 3}, 1);
    check_both((sizes){3, 5, 4, 7}, (const int32_t[]){4, 1, 2}, 1); /* none is full */
    check_both((sizes){2, 4, 3, 17}, (const int32_t[]){1, 1}, 1);
    check_both((sizes){5, 6, 2, 3}, (const int32_t[]){6, 1, 4, 4, 2}, 2);
}
END_TEST

/* ---- what is refused ---- */

/* A graph of one layer over floats [2, 3, 4], with lengths of this type and shape. */
static int add_lstm(qd_graph *g, const qd_op *op, qd_dtype dtype, int64_t lengths, int64_t rows) {
    int inputs[] = {
        qd_graph_add_value(g, "x", QD_VALUE_INPUT, QD_F32, &SHAPE(2, 3, 4)),
        qd_graph_add_value(g, "lengths", QD_VALUE_INPUT, dtype, &SHAPE(2, lengths)),
    };
    g->values[inputs[1]].shape.dims = lengths == 1 ? 1 : 2;
    int params[] = {qd_graph_add_param(g, "w_ih", &SHAPE(rows, 4), (qd_init){0}),
                    qd_graph_add_param(g, "w_hh", &SHAPE(20, 5), (qd_init){0}),
                    qd_graph_add_param(g, "b_ih", &SHAPE(20), (qd_init){0}),
                    qd_graph_add_param(g, "b_hh", &SHAPE(20), (qd_init){0})};
    return qd_graph_add_node(g, op, "layer", inputs, op->inputs, params, 4);
}

static void assert_refused(qd_dtype dtype, int64_t lengths, int64_t rows, const char *message) {
    qd_graph *g;
    ck_assert_int_eq(qd_graph_create(2, &g), 0);
    ck_assert_int_eq(add_lstm(g, &qd_op_lstm_lengths, dtype, lengths, rows), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), message);
    qd_graph_destroy(g);
}

START_TEST(operands_that_do_not_fit_are_refused) {
    assert_refused(QD_I32, 1, 15,
                   "layer: input [2, 3, 4], weights [15, 4] and [20, 5], biases [20] and [20] do "
                   "not fit together; lstm_lengths takes [n, length, in] of float, [4 width, in], "
                   "[4 width, width] and twice [4 width]");
    assert_refused(QD_F32, 1, 20,
                   "layer: lengths [2] of float; lstm_lengths takes one length for each sample, "
                   "[2] of integers");
    assert_refused(QD_I32, 3, 20,
                   "layer: lengths [2, 3] of integers; lstm_lengths takes one length for each "
                   "sample, [2] of integers");
}
END_TEST

static float zeros[512];

static void assert_length_refused(int32_t length, const char *message) {
    qd_graph *g;
    qd_backend_context *context;
    ck_assert_int_eq(qd_graph_create(2, &g), 0);
    ck_assert_int_ge(add_lstm(g, &qd_op_lstm_lengths, QD_I32, 1, 20), 0);
    ck_assert_int_eq(qd_backend_cpu.create(1, &context), 0);
    ck_assert_int_eq(qd_backend_cpu.prepare(context, g), 0);
    int32_t lengths[] = {3, length};
    float output[30], saved[150], scratch[300];
    ck_assert_int_le(qd_op_lstm_lengths.saved(g, g->nodes), 150);
    ck_assert_int_le(g->nodes[0].scratch, 300);
    qd_operands operands = {.inputs = {zeros, lengths},
                            .params = {zeros, zeros, zeros, zeros},
                            .output = output,
                            .saved = saved,
                            .scratch = scratch};
    ck_assert_int_eq(qd_backend_cpu.forward(context, g, g->nodes, &operands), QD_EDATA);
    ck_assert_str_eq(qd_error_message(), message);
    qd_backend_cpu.destroy(context);
    qd_graph_destroy(g);
}

START_TEST(lengths_outside_of_the_sequence_are_refused) {
    assert_length_refused(0, "length 0 of sample 1 of the batch; lengths lie in 1 .. 3");
    assert_length_refused(4, "length 4 of sample 1 of the batch; lengths lie in 1 .. 3");
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("recurrent");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, whole_sequences_agree_with_the_definition_in_float64);
    tcase_add_test(tc, a_single_step_leaves_the_states_weights_without_a_gradient);
    tcase_add_test(tc, short_samples_repeat_their_last_state_and_collect_its_gradients);
    tcase_add_test(tc, operands_that_do_not_fit_are_refused);
    tcase_add_test(tc, lengths_outside_of_the_sequence_are_refused);
    tcase_add_test(tc, in_bf16_they_are_near);
    Suite *suite = suite_create("worker/op_recurrent");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
