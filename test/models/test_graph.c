#include <check.h>
#include <glob.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/family.h"
#include "models/graph.h"
#include "models/op.h"
#include "runtime/error.h"
#include "test/models/mlp_job.h"

static qd_graph *build(qd_job job) {
    qd_graph *graph = NULL;
    ck_assert_msg(qd_family_build(&job, &graph) == 0, "%s", qd_error_message());
    return graph;
}

static qd_graph *empty(int64_t samples) {
    qd_graph *graph = NULL;
    ck_assert_int_eq(qd_graph_create(samples, &graph), 0);
    return graph;
}

static int add_input(qd_graph *graph, qd_dtype dtype, int dims, int64_t d0, int64_t d1) {
    qd_shape shape = {.dims = dims, .dim = {d0, d1}};
    return qd_graph_add_value(graph, "x", QD_VALUE_INPUT, dtype, &shape);
}

static int add_param(qd_graph *graph, const char *name, int dims, int64_t d0, int64_t d1) {
    qd_shape shape = {.dims = dims, .dim = {d0, d1}};
    return qd_graph_add_param(graph, name, &shape, (qd_init){0});
}

static void assert_shape(const qd_shape *shape, const char *expected) {
    char text[64];
    ck_assert_str_eq(qd_shape_text(shape, text, sizeof text), expected);
}

/* The call failed as a wrong configuration, with exactly this message. */
#define ASSERT_REFUSED(call, message)                                                              \
    do {                                                                                           \
        ck_assert_int_eq(call, QD_ECONFIG);                                                        \
        ck_assert_str_eq(qd_error_message(), message);                                             \
    } while (0)

START_TEST(an_mlp_has_a_linear_layer_for_each_width_and_an_activation_between_two) {
    qd_graph *g = build(MLP_JOB(32, 4, QD_OPTIMIZER_SGD, 49, 32, 16, 10));
    static const char *const names[] = {"layer0", "relu0", "layer1", "relu1", "layer2", "loss"};
    static const char *const shapes[] = {"[8, 32]", "[8, 32]", "[8, 16]",
                                         "[8, 16]", "[8, 10]", "[8]"};
    ck_assert_int_eq(g->samples, 8);
    ck_assert_int_eq(g->node_count, 6);
    for (int i = 0; i < g->node_count; i++) {
        ck_assert_str_eq(g->nodes[i].name, names[i]);
        const qd_value *output = &g->values[g->nodes[i].output];
        assert_shape(&output->shape, shapes[i]);
        ck_assert_int_eq(output->producer, i);
        ck_assert(output->needs_grad);
        ck_assert_int_eq(output->dtype, QD_F32);
    }
    assert_shape(&g->values[g->input].shape, "[8, 49]");
    assert_shape(&g->values[g->target].shape, "[8]");
    ck_assert_int_eq(g->values[g->target].dtype, QD_I32);
    ck_assert(!g->values[g->input].needs_grad);
    ck_assert_int_eq(g->logits, g->nodes[4].output);
    ck_assert_int_eq(g->loss, g->nodes[5].output);
    qd_graph_destroy(g);
}
END_TEST

START_TEST(parameters_lie_in_order_on_multiples_of_16_elements) {
    qd_graph *g = build(MLP_JOB(4, 1, QD_OPTIMIZER_SGD, 5, 3, 2));
    static const char *const names[] = {"layer0.weight", "layer0.bias", "layer1.weight",
                                        "layer1.bias"};
    static const char *const shapes[] = {"[3, 5]", "[3]", "[2, 3]", "[2]"};
    ck_assert_int_eq(g->param_count, 4);
    for (int i = 0; i < 4; i++) {
        ck_assert_str_eq(g->params[i].name, names[i]);
        assert_shape(&g->params[i].shape, shapes[i]);
        ck_assert_int_eq(g->params[i].offset, 16 * i);
    }
    ck_assert_int_eq(g->param_elements, 64);
    ck_assert_int_eq(qd_graph_param_count(g), 15 + 3 + 6 + 2);
    qd_graph_destroy(g);
}
END_TEST

START_TEST(weight_and_bias_start_uniform_within_one_over_root_of_fan_in) {
    qd_graph *g = build(MLP_JOB(4, 1, QD_OPTIMIZER_SGD, 784, 128, 10));
    for (int i = 0; i < g->param_count; i++) {
        double fan_in = i < 2 ? 784 : 128;
        ck_assert_int_eq(g->params[i].init.kind, QD_INIT_UNIFORM);
        ck_assert_double_eq_tol((double)g->params[i].init.scale, 1 / sqrt(fan_in), 1e-8);
    }
    qd_graph_destroy(g);
}
END_TEST

START_TEST(an_mlp_without_hidden_layers_is_one_linear_layer) {
    qd_graph *g = build(MLP_JOB(3, 3, QD_OPTIMIZER_SGD, 7, 2));
    ck_assert_int_eq(g->node_count, 2);
    assert_shape(&g->values[g->logits].shape, "[1, 2]");
    qd_graph_destroy(g);
}
END_TEST

START_TEST(flops_follow_the_closed_formula) {
    double n = 16, in = 784, hidden = 128, classes = 10;
    qd_graph *g = build(MLP_JOB(64, 4, QD_OPTIMIZER_SGD, 784, 128, 10));
    double first = 2 * n * in * hidden, second = 2 * n * hidden * classes;
    double bias = n * hidden + n * classes, relu = n * hidden;
    ck_assert_double_eq(qd_graph_forward_flops(g), first + second + bias + relu + 3 * n * classes);
    /* The input's gradient is wanted by the second layer only. */
    ck_assert_double_eq(qd_graph_backward_flops(g),
                        first + 2 * second + bias + relu + 5 * n * classes);
    qd_graph_destroy(g);
}
END_TEST

START_TEST(linear_refuses_a_weight_of_another_width) {
    qd_graph *g = empty(4);
    int x = add_input(g, QD_F32, 2, 4, 6);
    int params[] = {add_param(g, "w", 2, 3, 5), add_param(g, "b", 1, 3, 0)};
    ASSERT_REFUSED(qd_graph_add_node(g, &qd_op_linear, "layer9", &x, 1, params, 2),
                   "layer9: input [4, 6], weight [3, 5] and bias [3] do not fit together; linear "
                   "takes [n, .., in] of float, [out, in] and [out]");
    ck_assert_int_eq(g->node_count, 0);
    ck_assert_int_eq(g->value_count, 1);
    qd_graph_destroy(g);
}
END_TEST

START_TEST(linear_refuses_a_bias_of_another_width) {
    qd_graph *g = empty(4);
    int x = add_input(g, QD_F32, 2, 4, 6);
    int params[] = {add_param(g, "w", 2, 3, 6), add_param(g, "b", 1, 2, 0)};
    ck_assert_int_eq(qd_graph_add_node(g, &qd_op_linear, "l", &x, 1, params, 2), QD_ECONFIG);
    ck_assert_ptr_nonnull(strstr(qd_error_message(), "bias [2] do not fit together"));
    qd_graph_destroy(g);
}
END_TEST

START_TEST(relu_refuses_integers) {
    qd_graph *g = empty(4);
    int x = add_input(g, QD_I32, 2, 4, 6);
    ASSERT_REFUSED(qd_graph_add_node(g, &qd_op_relu, "r", &x, 1, NULL, 0),
                   "r: relu takes floats, but x holds integers");
    qd_graph_destroy(g);
}
END_TEST

START_TEST(cross_entropy_refuses_targets_that_are_no_integers) {
    qd_graph *g = empty(4);
    int inputs[] = {add_input(g, QD_F32, 2, 4, 6), add_input(g, QD_F32, 1, 4, 0)};
    ASSERT_REFUSED(qd_graph_add_node(g, &qd_op_cross_entropy, "loss", inputs, 2, NULL, 0),
                   "loss: logits [4, 6] and target [4] do not fit together; cross_entropy takes "
                   "[n, .., classes] of float and [n, ..] of integers");
    qd_graph_destroy(g);
}
END_TEST

START_TEST(a_node_refuses_a_wrong_number_of_operands) {
    qd_graph *g = empty(4);
    int x = add_input(g, QD_F32, 2, 4, 6);
    ASSERT_REFUSED(qd_graph_add_node(g, &qd_op_linear, "l", &x, 1, NULL, 0),
                   "l: linear takes 1 inputs and 2 parameters, but was given 1 and 0");
    int nowhere = 5;
    ASSERT_REFUSED(qd_graph_add_node(g, &qd_op_relu, "r", &nowhere, 1, NULL, 0),
                   "r: input 0 is no value of the graph");
    qd_graph_destroy(g);
}
END_TEST

START_TEST(the_last_reader_writes_a_gradient_and_those_before_it_add) {
    qd_graph *g = empty(4);
    int x = add_input(g, QD_F32, 2, 4, 3);
    int params[] = {add_param(g, "w", 2, 3, 3), add_param(g, "b", 1, 3, 0)};
    int l = qd_graph_add_node(g, &qd_op_linear, "l", &x, 1, params, 2);
    int r = qd_graph_add_node(g, &qd_op_relu, "r", &l, 1, NULL, 0);
    int tied = qd_graph_add_node(g, &qd_op_linear, "tied", &r, 1, params, 2);
    ck_assert_int_ge(qd_graph_add_node(g, &qd_op_add, "skip", (int[]){tied, l}, 2, NULL, 0), 0);
    ck_assert_int_ge(qd_graph_add_node(g, &qd_op_add, "twice", (int[]){tied, tied}, 2, NULL, 0), 0);
    ck_assert(qd_graph_adds_to_param(g, 0, 0) && qd_graph_adds_to_param(g, 0, 1));
    ck_assert(!qd_graph_adds_to_param(g, 2, 0) && !qd_graph_adds_to_param(g, 2, 1));
    ck_assert(qd_graph_adds_to_input(g, 1, 0));  /* l, which skip reads later */
    ck_assert(!qd_graph_adds_to_input(g, 2, 0)); /* r has no other reader */
    ck_assert(qd_graph_adds_to_input(g, 3, 0));  /* tied, which twice reads later */
    ck_assert(!qd_graph_adds_to_input(g, 3, 1));
    ck_assert(!qd_graph_adds_to_input(g, 4, 0) && qd_graph_adds_to_input(g, 4, 1));
    qd_graph_destroy(g);
}
END_TEST

START_TEST(two_parameters_may_not_share_a_name) {
    qd_graph *g = empty(4);
    ck_assert_int_eq(add_param(g, "w", 1, 3, 0), 0);
    ASSERT_REFUSED(add_param(g, "w", 1, 4, 0), "two parameters are named w");
    ck_assert_int_eq(g->param_count, 1);
    qd_graph_destroy(g);
}
END_TEST

START_TEST(impossible_shapes_and_names_are_refused) {
    qd_graph *g = empty(4);
    ASSERT_REFUSED(add_param(g, "w", 2, 0, 5), "w: shape [0, 5]; every dimension is at least 1");
    ASSERT_REFUSED(add_param(g, "w", 0, 0, 0), "w: 0 dimensions; a tensor has 1 to 5");
    ASSERT_REFUSED(add_param(g, "w", 2, INT64_C(1) << 30, INT64_C(1) << 34),
                   "w: shape [1073741824, 17179869184]; a tensor has at most 2^44 elements");
    ASSERT_REFUSED(add_input(g, QD_F32, 2, 3, 6),
                   "x: shape [3, 6]; dimension 0 counts the 4 samples");
    ASSERT_REFUSED(add_param(g, "", 1, 3, 0),
                   "\"\" can't name a part of a model; use 1 to 63 bytes");
    char name[QD_MAX_NAME + 1] = {0};
    memset(name, 'n', QD_MAX_NAME);
    ck_assert_int_eq(add_param(g, name, 1, 3, 0), QD_ECONFIG);
    name[QD_MAX_NAME - 1] = '\0';
    ck_assert_int_eq(add_param(g, name, 1, 3, 0), 0);
    qd_graph_destroy(g);
}
END_TEST

START_TEST(a_graph_needs_a_sample) {
    qd_graph *g = NULL;
    ASSERT_REFUSED(qd_graph_create(0, &g), "a graph needs at least 1 sample, not 0");
    ck_assert_ptr_null(g);
}
END_TEST

START_TEST(a_layer_without_width_is_named) {
    qd_job job = MLP_JOB(4, 1, QD_OPTIMIZER_SGD, 5, 3, 0, 2);
    qd_graph *g = NULL;
    ASSERT_REFUSED(qd_family_build(&job, &g),
                   "model mlp: layer1.weight: shape [0, 3]; every dimension is at least 1");
    ck_assert_ptr_null(g);
}
END_TEST

START_TEST(more_recomputed_blocks_than_there_are_are_refused) {
    qd_job job = MLP_JOB(4, 1, QD_OPTIMIZER_SGD, 5, 3, 2);
    qd_graph *g = NULL;
    job.train.recompute = 1;
    ASSERT_REFUSED(qd_family_build(&job, &g), "model mlp: train.recompute 1 of 0 block(s)");
}
END_TEST

START_TEST(slots_that_do_not_divide_the_batch_are_refused) {
    qd_job job = MLP_JOB(32, 5, QD_OPTIMIZER_SGD, 5, 3, 2);
    qd_graph *g = NULL;
    ASSERT_REFUSED(qd_family_build(&job, &g), "slots.data 5 does not divide train.batch 32");
}
END_TEST

START_TEST(a_graph_grows_to_any_number_of_layers) {
    int64_t widths[QD_JOB_MAX_LAYERS + 2];
    for (int i = 0; i < QD_JOB_MAX_LAYERS + 2; i++)
        widths[i] = 3 + i % 5;
    qd_graph *g = build(mlp_job(widths, QD_JOB_MAX_LAYERS + 2, 2, 1, QD_OPTIMIZER_ADAM));
    ck_assert_int_eq(g->node_count, 2 * QD_JOB_MAX_LAYERS + 2);
    ck_assert_int_eq(g->param_count, 2 * QD_JOB_MAX_LAYERS + 2);
    ck_assert_str_eq(g->params[2 * QD_JOB_MAX_LAYERS].name, "layer64.weight");
    qd_graph_destroy(g);
}
END_TEST

START_TEST(every_job_file_we_ship_builds_its_graph) {
    glob_t files;
    ck_assert_int_eq(glob(QD_SOURCE_DIR "/conf/jobs/*.yaml", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        qd_job job;
        ck_assert_msg(qd_job_load(files.gl_pathv[i], &job) == 0, "%s", qd_error_message());
        qd_graph *g = build(job);
        qd_sample_spec spec = qd_family_sample_spec(&job);
        ck_assert_int_eq(qd_shape_elements(&g->values[g->input].shape), g->samples * spec.inputs);
        ck_assert_int_eq(qd_graph_targets_per_sample(g), spec.targets);
        ck_assert_int_eq(g->values[g->input].dtype, spec.input_dtype);
        ck_assert_int_eq(g->block_count, qd_family_blocks(&job));
        qd_graph_destroy(g);
    }
    globfree(&files);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("graph");
    tcase_add_test(tc, an_mlp_has_a_linear_layer_for_each_width_and_an_activation_between_two);
    tcase_add_test(tc, parameters_lie_in_order_on_multiples_of_16_elements);
    tcase_add_test(tc, weight_and_bias_start_uniform_within_one_over_root_of_fan_in);
    tcase_add_test(tc, an_mlp_without_hidden_layers_is_one_linear_layer);
    tcase_add_test(tc, flops_follow_the_closed_formula);
    tcase_add_test(tc, linear_refuses_a_weight_of_another_width);
    tcase_add_test(tc, linear_refuses_a_bias_of_another_width);
    tcase_add_test(tc, relu_refuses_integers);
    tcase_add_test(tc, cross_entropy_refuses_targets_that_are_no_integers);
    tcase_add_test(tc, a_node_refuses_a_wrong_number_of_operands);
    tcase_add_test(tc, the_last_reader_writes_a_gradient_and_those_before_it_add);
    tcase_add_test(tc, two_parameters_may_not_share_a_name);
    tcase_add_test(tc, impossible_shapes_and_names_are_refused);
    tcase_add_test(tc, a_graph_needs_a_sample);
    tcase_add_test(tc, a_layer_without_width_is_named);
    tcase_add_test(tc, more_recomputed_blocks_than_there_are_are_refused);
    tcase_add_test(tc, slots_that_do_not_divide_the_batch_are_refused);
    tcase_add_test(tc, a_graph_grows_to_any_number_of_layers);
    tcase_add_test(tc, every_job_file_we_ship_builds_its_graph);
    Suite *suite = suite_create("models/graph");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
