#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/op.h"
#include "runtime/error.h"
#include "runtime/random.h"
#include "worker/backend.h"

/* Each operator alone, through the backend's table, against a float64 reference written here and
 * central differences of it. */

enum { GUARD = 16 };
static const int64_t sizes[] = {1, 3, 7, 17, 33, 64};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* Buffers start as NaN and end in a guard, so that what is not written, or written outside, or
 * added to what was there, is seen. */
static float *buffer(int64_t count) {
    size_t bytes = ((size_t)(count + GUARD) * sizeof(float) + 63) / 64 * 64;
    float *data = aligned_alloc(64, bytes);
    for (int64_t i = 0; i < count + GUARD; i++)
        data[i] = NAN;
    return data;
}

static float *random_buffer(int64_t count, uint32_t site) {
    float *data = buffer(count);
    for (int64_t i = 0; i < count; i++)
        data[i] = 2 * qd_random_uniform((qd_random_key){5, site}, 0, (uint64_t)i) - 1;
    return data;
}

/* Check writes to a pipe at each assertion, so loops over elements assert on failure only. */
static void assert_written(const float *data, int64_t count) {
    for (int64_t i = 0; i < count + GUARD; i++) {
        if (i < count && isnan(data[i]))
            ck_abort_msg("element %ld was not written", (long)i);
        if (i >= count && !isnan(data[i]))
            ck_abort_msg("wrote %ld behind the end", (long)(i - count));
    }
}

/* |a - b| <= tolerance (1 + |b|) for each element */
static void assert_close(const float *a, const double *b, int64_t count, double tolerance) {
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)a[i] - b[i]) <= tolerance * (1 + fabs(b[i]))))
            ck_abort_msg("element %ld is %.9g, not %.9g", (long)i, (double)a[i], b[i]);
}

static double *doubles(int64_t count) {
    ck_assert_int_gt(count, 0);
    return calloc((size_t)count, sizeof(double));
}

static double *widen(const float *data, int64_t count) {
    double *wide = doubles(count);
    for (int64_t i = 0; i < count; i++)
        wide[i] = (double)data[i];
    return wide;
}

/* A graph of one node. */
typedef struct alone {
    qd_backend_context *context;
    qd_graph *graph;
    qd_operands operands;
} alone;

static void alone_open(alone *a, int64_t samples) {
    *a = (alone){0};
    ck_assert_int_eq(qd_graph_create(samples, &a->graph), 0);
    ck_assert_int_eq(qd_backend_cpu.create(1, &a->context), 0);
}

static void alone_close(alone *a) {
    qd_backend_cpu.destroy(a->context);
    qd_graph_destroy(a->graph);
}

static int add_value(alone *a, const char *name, qd_dtype dtype, int dims, int64_t d0, int64_t d1) {
    qd_shape shape = {.dims = dims, .dim = {d0, d1}};
    return qd_graph_add_value(a->graph, name, QD_VALUE_INPUT, dtype, &shape);
}

static int add_param(alone *a, const char *name, int dims, int64_t d0, int64_t d1) {
    qd_shape shape = {.dims = dims, .dim = {d0, d1}};
    return qd_graph_add_param(a->graph, name, &shape, (qd_init){0});
}

static void run_forward(alone *a) {
    int rc = qd_backend_cpu.forward(a->context, a->graph, &a->graph->nodes[0], &a->operands);
    ck_assert_msg(rc == 0, "%s", qd_error_message());
}

static void run_backward(alone *a) {
    int rc = qd_backend_cpu.backward(a->context, a->graph, &a->graph->nodes[0], &a->operands);
    ck_assert_msg(rc == 0, "%s", qd_error_message());
}

/*
 * The float64 reference of an operator: y from up to three tensors, whose sizes it knows from n,
 * in, out. differentiate() is then the gradient of sum(dy * y) by central differences.
 */
typedef struct reference {
    int64_t n, in, out;
    double *x[3]; /* input, weight, bias */
    const int32_t *targets;
    void (*forward)(const struct reference *r, double *y);
    int64_t outputs;
} reference;

static double weighted(const reference *r, const double *dy, double *y) {
    double sum = 0;
    r->forward(r, y);
    for (int64_t i = 0; i < r->outputs; i++)
        sum += dy[i] * y[i];
    return sum;
}

static void differentiate(const reference *r, int which, int64_t count, const double *dy,
                          double *gradient) {
    const double h = 1e-5;
    double *y = doubles(r->outputs);
    for (int64_t i = 0; i < count; i++) {
        double x = r->x[which][i];
        r->x[which][i] = x + h;
        double up = weighted(r, dy, y);
        r->x[which][i] = x - h;
        gradient[i] = (up - weighted(r, dy, y)) / (2 * h);
        r->x[which][i] = x;
    }
    free(y);
}

static void assert_gradient(const reference *r, int which, int64_t count, const double *dy,
                            const float *actual) {
    double *expected = doubles(count);
    differentiate(r, which, count, dy, expected);
    assert_written(actual, count);
    assert_close(actual, expected, count, 2e-5);
    free(expected);
}

static void assert_forward(const reference *r, const float *actual) {
    double *expected = doubles(r->outputs);
    r->forward(r, expected);
    assert_written(actual, r->outputs);
    assert_close(actual, expected, r->outputs, 5e-6);
    free(expected);
}

static void free_reference(reference *r) {
    for (int i = 0; i < 3; i++)
        free(r->x[i]);
}

/* ---- linear ---- */

static void linear_reference(const reference *r, double *y) {
    for (int64_t i = 0; i < r->n; i++)
        for (int64_t o = 0; o < r->out; o++) {
            double sum = r->x[2][o];
            for (int64_t k = 0; k < r->in; k++)
                sum += r->x[0][i * r->in + k] * r->x[1][o * r->in + k];
            y[i * r->out + o] = sum;
        }
}

static void linear_open(alone *a, int64_t n, int64_t in, int64_t out, bool input_grad) {
    alone_open(a, n);
    int x = add_value(a, "x", QD_F32, 2, n, in);
    int params[] = {add_param(a, "w", 2, out, in), add_param(a, "b", 1, out, 0)};
    ck_assert_int_ge(qd_graph_add_node(a->graph, &qd_op_linear, "l", &x, 1, params, 2), 0);
    ck_assert_int_eq(qd_backend_cpu.prepare(a->context, a->graph), 0);
    a->operands = (qd_operands){
        .inputs = {random_buffer(n * in, 1)},
        .params = {random_buffer(out * in, 2), random_buffer(out, 3)},
        .output = buffer(n * out),
        .output_grad = random_buffer(n * out, 4),
        .input_grads = {input_grad ? buffer(n * in) : NULL},
        .param_grads = {buffer(out * in), buffer(out)},
        .scratch = buffer(a->graph->nodes[0].scratch),
    };
}

static void free_operands(qd_operands *o) {
    for (int i = 0; i < QD_MAX_OPERANDS; i++) {
        free(o->inputs[i]);
        free(o->params[i]);
        free(o->input_grads[i]);
        free(o->param_grads[i]);
    }
    free(o->output);
    free(o->output_grad);
    free(o->saved);
    free(o->scratch);
}

static void check_linear(int64_t n, int64_t in, int64_t out, bool differences) {
    alone a;
    linear_open(&a, n, in, out, true);
    qd_operands *o = &a.operands;
    reference r = {
        .n = n,
        .in = in,
        .out = out,
        .x = {widen(o->inputs[0], n * in), widen(o->params[0], out * in), widen(o->params[1], out)},
        .forward = linear_reference,
        .outputs = n * out};
    run_forward(&a);
    assert_forward(&r, o->output);
    run_backward(&a);
    if (differences) {
        double *dy = widen(o->output_grad, n * out);
        assert_gradient(&r, 0, n * in, dy, o->input_grads[0]);
        assert_gradient(&r, 1, out * in, dy, o->param_grads[0]);
        assert_gradient(&r, 2, out, dy, o->param_grads[1]);
        free(dy);
    }
    free_reference(&r);
    free_operands(o);
    alone_close(&a);
}

START_TEST(linear_agrees_with_float64_for_odd_sizes) {
    for (int i = 0; i < SIZES; i++)
        for (int j = 0; j < SIZES; j++)
            for (int k = 0; k < SIZES; k++)
                check_linear(sizes[i], sizes[j], sizes[k], sizes[i] * sizes[j] * sizes[k] <= 2500);
}
END_TEST

START_TEST(linear_leaves_out_an_input_gradient_nobody_wants) {
    alone a;
    linear_open(&a, 7, 5, 3, false);
    run_backward(&a);
    assert_written(a.operands.param_grads[0], 15);
    assert_written(a.operands.param_grads[1], 3);
    free_operands(&a.operands);
    alone_close(&a);
}
END_TEST

START_TEST(linear_gives_the_same_bits_wherever_its_buffers_lie) {
    enum { N = 16, IN = 117, OUT = 35 };
    alone a, b;
    linear_open(&a, N, IN, OUT, true);
    linear_open(&b, N, IN, OUT, true);
    /* One line further on than the allocator puts it. */
    float *moved = aligned_alloc(64, 64 + (OUT * IN * 4 + 63) / 64 * 64);
    float *weight = b.operands.params[0];
    b.operands.params[0] = memcpy(moved + 16, weight, OUT * IN * sizeof *moved);
    run_forward(&a);
    run_forward(&b);
    ck_assert_mem_eq(a.operands.output, b.operands.output, N * OUT * sizeof(float));
    run_backward(&a);
    run_backward(&b);
    ck_assert_mem_eq(a.operands.input_grads[0], b.operands.input_grads[0], N * IN * sizeof(float));
    ck_assert_mem_eq(a.operands.param_grads[0], b.operands.param_grads[0],
                     OUT * IN * sizeof(float));
    b.operands.params[0] = weight;
    free(moved);
    free_operands(&a.operands);
    free_operands(&b.operands);
    alone_close(&a);
    alone_close(&b);
}
END_TEST

/* ---- relu ---- */

static void relu_reference(const reference *r, double *y) {
    for (int64_t i = 0; i < r->outputs; i++)
        y[i] = fmax(r->x[0][i], 0);
}

static void relu_open(alone *a, int64_t n, int64_t width) {
    alone_open(a, n);
    int x = add_value(a, "x", QD_F32, 2, n, width);
    ck_assert_int_ge(qd_graph_add_node(a->graph, &qd_op_relu, "r", &x, 1, NULL, 0), 0);
    a->operands = (qd_operands){
        .inputs = {random_buffer(n * width, 1)},
        .output = buffer(n * width),
        .output_grad = random_buffer(n * width, 4),
        .input_grads = {buffer(n * width)},
    };
}

START_TEST(relu_agrees_with_float64_for_odd_sizes) {
    for (int i = 0; i < SIZES; i++)
        for (int j = 0; j < SIZES; j++) {
            alone a;
            int64_t count = sizes[i] * sizes[j];
            relu_open(&a, sizes[i], sizes[j]);
            /* Away from the kink, where a difference quotient means nothing. */
            float *x = a.operands.inputs[0];
            for (int64_t e = 0; e < count; e++)
                x[e] += x[e] > 0 ? 0.01f : -0.01f;
            reference r = {.x = {widen(x, count)}, .forward = relu_reference, .outputs = count};
            run_forward(&a);
            assert_forward(&r, a.operands.output);
            run_backward(&a);
            double *dy = widen(a.operands.output_grad, count);
            assert_gradient(&r, 0, count, dy, a.operands.input_grads[0]);
            free(dy);
            free_reference(&r);
            free_operands(&a.operands);
            alone_close(&a);
        }
}
END_TEST

START_TEST(relu_has_gradient_zero_at_zero_and_lets_nan_through) {
    alone a;
    relu_open(&a, 1, 3);
    float *x = a.operands.inputs[0], *y = a.operands.output, *dx = a.operands.input_grads[0];
    x[0] = 0.0f;
    x[1] = -0.0f;
    x[2] = NAN;
    run_forward(&a);
    ck_assert(y[0] == 0.0f && y[1] == 0.0f && isnan(y[2]));
    run_backward(&a);
    ck_assert(dx[0] == 0.0f && dx[1] == 0.0f);
    free_operands(&a.operands);
    alone_close(&a);
}
END_TEST

/* ---- cross-entropy ---- */

static void cross_entropy_reference(const reference *r, double *y) {
    for (int64_t i = 0; i < r->n; i++) {
        const double *x = r->x[0] + i * r->in;
        double sum = 0, max = x[0];
        for (int64_t j = 1; j < r->in; j++)
            max = fmax(max, x[j]);
        for (int64_t j = 0; j < r->in; j++)
            sum += exp(x[j] - max);
        y[i] = log(sum) + max - x[r->targets[i]];
    }
}

static void cross_entropy_open(alone *a, int64_t n, int64_t classes) {
    alone_open(a, n);
    int inputs[] = {add_value(a, "x", QD_F32, 2, n, classes), add_value(a, "t", QD_I32, 1, n, 0)};
    ck_assert_int_ge(qd_graph_add_node(a->graph, &qd_op_cross_entropy, "loss", inputs, 2, NULL, 0),
                     0);
    int32_t *targets = calloc((size_t)n, sizeof *targets);
    for (int64_t i = 0; i < n; i++)
        targets[i] = (int32_t)(3 * i % classes);
    a->operands = (qd_operands){
        .inputs = {random_buffer(n * classes, 1), targets},
        .output = buffer(n),
        .saved = buffer(2 * n),
        .output_grad = random_buffer(n, 4),
        .input_grads = {buffer(n * classes)},
    };
}

START_TEST(cross_entropy_agrees_with_float64_for_odd_sizes) {
    for (int i = 0; i < SIZES; i++)
        for (int j = 0; j < SIZES; j++) {
            alone a;
            int64_t n = sizes[i], classes = sizes[j], count = n * classes;
            cross_entropy_open(&a, n, classes);
            float *x = a.operands.inputs[0];
            for (int64_t e = 0; e < count; e++)
                x[e] *= 6;
            reference r = {.n = n,
                           .in = classes,
                           .x = {widen(x, count)},
                           .targets = a.operands.inputs[1],
                           .forward = cross_entropy_reference,
                           .outputs = n};
            run_forward(&a);
            assert_forward(&r, a.operands.output);
            run_backward(&a);
            double *dy = widen(a.operands.output_grad, n);
            assert_gradient(&r, 0, count, dy, a.operands.input_grads[0]);
            free(dy);
            free_reference(&r);
            free_operands(&a.operands);
            alone_close(&a);
        }
}
END_TEST

START_TEST(cross_entropy_stands_logits_of_any_size) {
    alone a;
    cross_entropy_open(&a, 2, 3);
    float *x = a.operands.inputs[0], *loss = a.operands.output;
    float *dx = a.operands.input_grads[0], *scale = a.operands.output_grad;
    int32_t *targets = a.operands.inputs[1];
    memcpy(x, (float[]){1e30f, 0, -1e30f, 200, 100, 100}, 6 * sizeof *x);
    targets[0] = 0;
    targets[1] = 1;
    scale[0] = scale[1] = 0.5f;
    run_forward(&a);
    run_backward(&a);
    ck_assert_float_eq(loss[0], 0);
    ck_assert_float_eq(loss[1], 100);
    static const float expected[] = {0, 0, 0, 0.5f, -0.5f, 0};
    for (int i = 0; i < 6; i++)
        ck_assert_float_eq_tol(dx[i], expected[i], 1e-30f);
    free_operands(&a.operands);
    alone_close(&a);
}
END_TEST

START_TEST(cross_entropy_names_a_target_that_is_no_class) {
    alone a;
    cross_entropy_open(&a, 3, 10);
    int32_t *targets = a.operands.inputs[1];
    targets[2] = 10;
    const qd_node *node = &a.graph->nodes[0];
    ck_assert_int_eq(qd_backend_cpu.forward(a.context, a.graph, node, &a.operands), QD_EDATA);
    ck_assert_str_eq(qd_error_message(),
                     "target 10 at position 2 of the batch; targets lie in 0 .. 9");
    targets[2] = -1;
    ck_assert_int_eq(qd_backend_cpu.backward(a.context, a.graph, node, &a.operands), QD_EDATA);
    free_operands(&a.operands);
    alone_close(&a);
}
END_TEST

/* ---- the rest of the table ---- */

static qd_backend_context *context; /* made by main */

START_TEST(columns_of_a_matrix_have_the_norm_of_the_same_numbers_packed) {
    enum { ROWS = 5, STRIDE = 41 };
    float x[ROWS * STRIDE];
    for (int i = 0; i < ROWS * STRIDE; i++)
        x[i] = (float)(i % 23) - 11;
    for (int first = 0; first < 20; first += 7)
        for (int columns = 1; columns < 21; columns++) {
            double sum, expected = 0; /* of small whole numbers: exact in any order */
            for (int i = 0; i < ROWS; i++)
                for (int j = first; j < first + columns; j++)
                    expected += (double)(x[i * STRIDE + j] * x[i * STRIDE + j]);
            ck_assert_int_eq(
                qd_backend_cpu.norm_squared(context, x + first, ROWS, columns, STRIDE, &sum), 0);
            ck_assert_double_eq(sum, expected);
        }
}
END_TEST

/* Put together from parts of a row, the answer is that of the whole row (score's). */
START_TEST(the_greatest_of_parts_is_the_greatest_of_the_whole) {
    enum { CLASSES = 7 };
    const float rows[][CLASSES] = {
        {1, 5, 2, 5, 0, 5, 3},
        {-INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY, -INFINITY},
        {NAN, 1, 2, 3, 4, 5, 6},
        {0, NAN, 2, NAN, NAN, NAN, 1},
        {0, 1, 2, INFINITY, NAN, INFINITY, 1},
    };
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
        for (int cut = 1; cut < CLASSES; cut++) {
            float a[2], b[2], loss = 0;
            double sum;
            int64_t right;
            ck_assert_int_eq(qd_backend_cpu.greatest(context, rows[r], 1, cut, 0, a), 0);
            ck_assert_int_eq(
                qd_backend_cpu.greatest(context, rows[r] + cut, 1, CLASSES - cut, cut, b), 0);
            bool second = b[0] > a[0] || (b[0] == a[0] && b[1] < a[1]);
            int32_t answer = (int32_t)(second ? b[1] : a[1]);
            ck_assert_int_eq(qd_backend_cpu.score(context, &loss, rows[r], &answer, NULL, 1,
                                                  CLASSES, &sum, &right),
                             0);
            ck_assert_int_eq(right, 1);
        }
}
END_TEST

START_TEST(score_sums_losses_and_counts_rows_whose_first_greatest_is_the_target) {
    const float logits[] = {0, 2, 1, /* right */
                            3, 3, 0, /* a tie: the first counts, so wrong */
                            3, 3, 0, /* right */
                            0, 0, 9 /* beyond n */};
    const float losses[] = {0.5f, 0.25f, 2, 100};
    const int32_t targets[] = {1, 1, 0, 2};
    double sum;
    int64_t correct;
    ck_assert_int_eq(
        qd_backend_cpu.score(context, losses, logits, targets, NULL, 3, 3, &sum, &correct), 0);
    ck_assert_double_eq(sum, 2.75);
    ck_assert_int_eq(correct, 2);
    const int32_t ignored = 0;
    ck_assert_int_eq(
        qd_backend_cpu.score(context, losses, logits, targets, &ignored, 3, 3, &sum, &correct), 0);
    ck_assert_int_eq(correct, 1);
}
END_TEST

START_TEST(add_adds_every_element_and_no_more) {
    for (int64_t n = 0; n < 70; n++) {
        float *into = random_buffer(n, 1), *from = random_buffer(n, 2);
        float *expected = random_buffer(n, 1);
        for (int64_t i = 0; i < n; i++)
            expected[i] += from[i];
        ck_assert_int_eq(qd_backend_cpu.add(context, into, from, n), 0);
        assert_written(into, n);
        for (int64_t i = 0; i < n; i++)
            ck_assert_float_eq(into[i], expected[i]);
        free(into);
        free(from);
        free(expected);
    }
}
END_TEST

START_TEST(memory_is_aligned_and_zero) {
    static const size_t bytes[] = {1, 64, 4097, (5 << 20) + 3};
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        void *memory = NULL;
        ck_assert_int_eq(qd_backend_cpu.alloc(NULL, bytes[i], &memory), 0);
        ck_assert_uint_eq((uintptr_t)memory % 64, 0);
        for (size_t b = 0; b < bytes[i]; b++)
            if (((char *)memory)[b] != 0)
                ck_abort_msg("byte %zu of %zu is not 0", b, bytes[i]);
        memset(memory, 1, bytes[i]);
        qd_backend_cpu.release(NULL, memory, bytes[i]);
    }
}
END_TEST

START_TEST(memory_that_cannot_be_had_is_an_error) {
    void *memory = NULL;
    ck_assert_int_eq(qd_backend_cpu.alloc(NULL, (size_t)1 << 60, &memory), QD_ENOMEM);
    ck_assert_ptr_null(memory);
    ck_assert_ptr_nonnull(strstr(qd_error_message(), "1152921504606846976 bytes"));
}
END_TEST

START_TEST(a_backend_needs_a_thread) {
    qd_backend_context *none = NULL;
    ck_assert_int_eq(qd_backend_cpu.create(0, &none), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), "cpu: 0 threads; at least 1 is needed");
}
END_TEST

int main(void) {
    if (qd_backend_cpu.create(1, &context))
        return EXIT_FAILURE;
    TCase *tc = tcase_create("ops");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, linear_agrees_with_float64_for_odd_sizes);
    tcase_add_test(tc, linear_leaves_out_an_input_gradient_nobody_wants);
    tcase_add_test(tc, linear_gives_the_same_bits_wherever_its_buffers_lie);
    tcase_add_test(tc, relu_agrees_with_float64_for_odd_sizes);
    tcase_add_test(tc, relu_has_gradient_zero_at_zero_and_lets_nan_through);
    tcase_add_test(tc, cross_entropy_agrees_with_float64_for_odd_sizes);
    tcase_add_test(tc, cross_entropy_stands_logits_of_any_size);
    tcase_add_test(tc, cross_entropy_names_a_target_that_is_no_class);
    tcase_add_test(tc, columns_of_a_matrix_have_the_norm_of_the_same_numbers_packed);
    tcase_add_test(tc, the_greatest_of_parts_is_the_greatest_of_the_whole);
    tcase_add_test(tc, score_sums_losses_and_counts_rows_whose_first_greatest_is_the_target);
    tcase_add_test(tc, add_adds_every_element_and_no_more);
    tcase_add_test(tc, memory_is_aligned_and_zero);
    tcase_add_test(tc, memory_that_cannot_be_had_is_an_error);
    tcase_add_test(tc, a_backend_needs_a_thread);
    Suite *suite = suite_create("worker/ops");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    qd_backend_cpu.destroy(context);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
