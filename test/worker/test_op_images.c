/* Operators on images [n, height, width, channels]: convolution and pooling, over strides,
 * paddings, groups and sizes that divide nothing. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "test/worker/op_check.h"

typedef struct image {
    int64_t h, w, c;
} image;

/* Calls visit for each pixel of the image under window (row, column) that is not padding. */
#define EACH_PIXEL(I, J, PI, PJ, X, ROW, COLUMN, WINDOW, STRIDE, PADDING)                          \
    for (int64_t PI = 0; PI < (WINDOW)[0]; PI++)                                                   \
        for (int64_t PJ = 0, I = (ROW) * (STRIDE)[0] - (PADDING)[0] + PI,                          \
                     J = (COLUMN) * (STRIDE)[1] - (PADDING)[1];                                    \
             PJ < (WINDOW)[1]; PJ++, J++)                                                          \
            if (I >= 0 && I < (X).h && J >= 0 && J < (X).w)

static int64_t windows(int64_t size, int64_t window, int64_t stride, int64_t padding) {
    return (size + 2 * padding - window) / stride + 1;
}

static void convolution_reference(const op_case *c, double *const *inputs, double *const *params,
                                  double *y) {
    const qd_convolution_attributes *how = &c->attributes.convolution;
    const int64_t *x_dim = c->inputs[0].dim, *w_dim = c->params[0].dim;
    image x = {x_dim[1], x_dim[2], x_dim[3]};
    int64_t rows = windows(x.h, w_dim[2], how->stride[0], how->padding[0]);
    int64_t columns = windows(x.w, w_dim[3], how->stride[1], how->padding[1]);
    int64_t out = w_dim[0], in = w_dim[1];
    for (int64_t n = 0; n < x_dim[0]; n++)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t l = 0; l < columns; l++)
                for (int64_t o = 0; o < out; o++) {
                    double sum = c->param_count == 2 ? params[1][o] : 0;
                    int64_t first = o / (out / how->groups) * in;
                    EACH_PIXEL(i, j, ki, kj, x, r, l, &w_dim[2], how->stride, how->padding)
                    for (int64_t k = 0; k < in; k++)
                        sum += inputs[0][((n * x.h + i) * x.w + j) * x.c + first + k] *
                               params[0][((o * in + k) * w_dim[2] + ki) * w_dim[3] + kj];
                    y[((n * rows + r) * columns + l) * out + o] =
                        how->rectifies ? fmax(sum, 0) : sum;
                }
}

static void check_convolution(qd_shape x, qd_shape weight, int64_t stride, int64_t padding,
                              int64_t groups) {
    op_check(&(op_case){
        .op = &qd_op_convolution,
        .attributes.convolution = {{stride, stride}, {padding, padding}, groups},
        .input_count = 1,
        .param_count = 2,
        .inputs = {x},
        .params = {weight, SHAPE(weight.dim[0])},
        .tolerance = 2e-6,
        .reference = convolution_reference,
    });
}

START_TEST(convolution_agrees_with_its_definition_in_float64) {
    check_convolution(SHAPE(1, 1, 1, 1), SHAPE(1, 1, 1, 1), 1, 0, 1);
    check_convolution(SHAPE(2, 7, 5, 3), SHAPE(4, 3, 3, 3), 1, 1, 1);
    check_convolution(SHAPE(2, 8, 8, 1), SHAPE(16, 1, 3, 3), 1, 1, 1);
    check_convolution(SHAPE(1, 5, 6, 17), SHAPE(3, 17, 1, 1), 1, 0, 1);
    check_convolution(SHAPE(1, 6, 6, 16), SHAPE(16, 16, 3, 3), 1, 1, 1);
    check_convolution(SHAPE(1, 9, 7, 2), SHAPE(5, 2, 5, 3), 1, 2, 1);
}
END_TEST

START_TEST(strides_may_leave_a_rest) {
    check_convolution(SHAPE(2, 8, 7, 3), SHAPE(4, 3, 3, 3), 2, 1, 1);
    check_convolution(SHAPE(1, 7, 8, 3), SHAPE(2, 3, 2, 2), 3, 0, 1);
    check_convolution(SHAPE(1, 8, 8, 4), SHAPE(4, 4, 1, 1), 2, 0, 1);
}
END_TEST

START_TEST(groups_see_their_own_channels_only) {
    check_convolution(SHAPE(2, 5, 5, 6), SHAPE(4, 3, 3, 3), 1, 1, 2);
    check_convolution(SHAPE(1, 6, 6, 8), SHAPE(8, 1, 3, 3), 2, 1, 8);
    check_convolution(SHAPE(1, 4, 4, 32), SHAPE(32, 16, 3, 3), 1, 1, 2);
}
END_TEST

START_TEST(what_is_rectified_has_no_gradient_where_it_is_zero) {
    static const qd_precision precisions[] = {QD_PRECISION_FP32, QD_PRECISION_BF16};
    for (int p = 0; p < 2; p++)
        op_check(&(op_case){
            .op = &qd_op_convolution,
            .attributes.convolution = {{1, 1}, {1, 1}, 1, true},
            .precision = precisions[p],
            .input_count = 1,
            .param_count = 2,
            .inputs = {SHAPE(2, 5, 6, 3)},
            .params = {SHAPE(17, 3, 3, 3), SHAPE(17)},
            .tolerance = 5e-6,
            .reference = convolution_reference,
        });
}
END_TEST

static void check_without_bias(qd_shape x, qd_shape weight) {
    op_check(&(op_case){
        .op = &qd_op_convolution,
        .attributes.convolution = {{1, 1}, {1, 1}, 1},
        .input_count = 1,
        .param_count = 1,
        .inputs = {x},
        .params = {weight},
        .tolerance = 2e-6,
        .reference = convolution_reference,
    });
}

START_TEST(the_bias_may_be_left_out) {
    check_without_bias(SHAPE(2, 5, 6, 3), SHAPE(4, 3, 3, 3));
}
END_TEST

START_TEST(convolution_in_bf16_is_exact_for_what_bf16_holds) {
    static const qd_shape images[] = {{4, {2, 7, 5, 3}}, {4, {1, 8, 8, 4}}, {4, {2, 8, 8, 16}}};
    static const qd_shape weights[] = {{4, {4, 3, 3, 3}}, {4, {4, 4, 1, 1}}, {4, {16, 16, 3, 3}}};
    for (int64_t stride = 1; stride <= 2; stride++)
        for (int i = 0; i < 3; i++)
            op_check(&(op_case){
                .op = &qd_op_convolution,
                .attributes.convolution = {{stride, stride},
                                           {weights[i].dim[2] / 2, weights[i].dim[2] / 2},
                                           1},
                .precision = QD_PRECISION_BF16,
                .input_count = 1,
                .param_count = 2,
                .inputs = {images[i]},
                .params = {weights[i], SHAPE(weights[i].dim[0])},
                .reference = convolution_reference,
            });
}
END_TEST

static void max_reference(const op_case *c, double *const *inputs, double *const *params,
                          double *y) {
    (void)params;
    const qd_pool_attributes *how = &c->attributes.pool;
    const int64_t *dim = c->inputs[0].dim;
    image x = {dim[1], dim[2], dim[3]};
    int64_t rows = windows(x.h, how->window[0], how->stride[0], how->padding[0]);
    int64_t columns = windows(x.w, how->window[1], how->stride[1], how->padding[1]);
    for (int64_t n = 0; n < dim[0]; n++)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t l = 0; l < columns; l++)
                for (int64_t k = 0; k < x.c; k++) {
                    double greatest = -INFINITY, sum = 0, count = 0;
                    EACH_PIXEL(i, j, wi, wj, x, r, l, how->window, how->stride, how->padding) {
                        double value = inputs[0][((n * x.h + i) * x.w + j) * x.c + k];
                        greatest = fmax(greatest, value);
                        sum += value;
                        count++;
                    }
                    y[((n * rows + r) * columns + l) * x.c + k] =
                        c->op == &qd_op_max_pool ? greatest : sum / count;
                }
}

static void check_pool(const qd_op *op, qd_shape x, int64_t window, int64_t stride,
                       int64_t padding) {
    op_check(&(op_case){
        .op = op,
        .attributes.pool = {{window, window}, {stride, stride}, {padding, padding}},
        .input_count = 1,
        .inputs = {x},
        .tolerance = 1e-6,
        .reference = max_reference,
    });
}

START_TEST(pools_agree_with_their_definition_in_float64) {
    const qd_op *const ops[] = {&qd_op_max_pool, &qd_op_mean_pool};
    for (int i = 0; i < 2; i++) {
        check_pool(ops[i], SHAPE(1, 1, 1, 1), 1, 1, 0);
        check_pool(ops[i], SHAPE(2, 6, 8, 3), 2, 2, 0);
        check_pool(ops[i], SHAPE(2, 7, 5, 17), 2, 2, 0); /* a row is left over */
        check_pool(ops[i], SHAPE(1, 7, 6, 16), 3, 2, 1); /* as in ResNet, windows overlap */
        check_pool(ops[i], SHAPE(2, 5, 5, 4), 5, 1, 0);  /* over the whole image */
    }
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("images");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, convolution_agrees_with_its_definition_in_float64);
    tcase_add_test(tc, strides_may_leave_a_rest);
    tcase_add_test(tc, groups_see_their_own_channels_only);
    tcase_add_test(tc, the_bias_may_be_left_out);
    tcase_add_test(tc, convolution_in_bf16_is_exact_for_what_bf16_holds);
    tcase_add_test(tc, what_is_rectified_has_no_gradient_where_it_is_zero);
    tcase_add_test(tc, pools_agree_with_their_definition_in_float64);
    Suite *suite = suite_create("worker/op_images");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
