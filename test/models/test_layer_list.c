/* A model as a list of layers: what is filled in, what graph comes of it, what a run is held to.
 * The messages of lists that are refused are in test/data/broken (test_broken_files.c). */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/family.h"
#include "models/op.h"
#include "runtime/error.h"

#define TAIL                                                                                       \
    "data: {format: npy, folder: d, train_inputs: a, train_targets: b}\n"                          \
    "train: {batch: 8, steps: 1}\noptimizer: {kind: sgd, learning_rate: 0.1}\nslots: {data: 2}\n"
#define IMAGE "name: a\nmodel:\n  family: layers\n  image: [8, 6, 4]\n  classes: 5\n  layers:\n"
#define TEXT                                                                                       \
    "name: a\nmodel:\n  family: layers\n  context: 7\n  vocabulary: 30\n  classes: 5\n  layers:\n"
#define NEXT                                                                                       \
    "name: a\nmodel:\n  family: layers\n  context: 7\n  vocabulary: 30\n  next_token: true\n"      \
    "  layers:\n"

static qd_job accepted(const char *text) {
    qd_job job;
    ck_assert_msg(qd_job_parse("a.yaml", text, strlen(text), &job) == 0, "%s\n%s",
                  qd_error_message(), text);
    return job;
}

static qd_graph *build(const qd_job *job) {
    qd_graph *graph = NULL;
    ck_assert_msg(qd_family_build(job, &graph) == 0, "%s", qd_error_message());
    return graph;
}

/* The graph's nodes, a line each: "NAME OP SHAPE". */
static void assert_graph(const char *text, const char *expected) {
    qd_job job = accepted(text);
    qd_graph *g = build(&job);
    qd_text nodes = {0};
    char shape[64];
    for (int i = 0; i < g->node_count; i++) {
        const qd_node *node = &g->nodes[i];
        qd_text_add(&nodes, "%s %s %s\n", node->name, node->op->name,
                    qd_shape_text(&g->values[node->output].shape, shape, sizeof shape));
    }
    ck_assert_str_eq(nodes.bytes, expected);
    qd_text_fini(&nodes);
    qd_graph_destroy(g);
}

START_TEST(every_kind_for_images_has_its_operator_and_shape) {
    assert_graph(IMAGE
                 "  - {kind: convolution, filters: 8, kernel: 3, stride: 2, groups: 2}\n"
                 "  - batch_norm\n  - {kind: relu, name: stem}\n"
                 "  - {kind: dropout, rate: 0.5}\n  - gelu\n  - gelu_tanh\n  - silu\n  - tanh\n"
                 "  - sigmoid\n  - {kind: add, with: stem}\n"
                 "  - {kind: max_pool, window: 3, stride: 1, padding: 1}\n"
                 "  - {kind: mean_pool, window: 2}\n"
                 "  - {kind: reshape, shape: [2, 4, 2]}\n  - {kind: linear, width: 3}\n"
                 "  - {kind: flatten, name: flat}\n"
                 "  - {kind: global_mean_pool, name: all, from: stem}\n"
                 "  - {kind: concat, with: flat}\n  - layer_norm\n  - rms_norm\n  - softmax\n"
                 "  - {kind: linear, width: 5, bias: false}\n" TAIL,
                 "convolution0 convolution [4, 4, 3, 8]\n"
                 "batch_norm1 batch_norm [4, 4, 3, 8]\n"
                 "stem relu [4, 4, 3, 8]\n"
                 "dropout3 dropout [4, 4, 3, 8]\n"
                 "gelu4 gelu [4, 4, 3, 8]\n"
                 "gelu_tanh5 gelu_tanh [4, 4, 3, 8]\n"
                 "silu6 silu [4, 4, 3, 8]\n"
                 "tanh7 tanh [4, 4, 3, 8]\n"
                 "sigmoid8 sigmoid [4, 4, 3, 8]\n"
                 "add9 add [4, 4, 3, 8]\n"
                 "max_pool10 max_pool [4, 4, 3, 8]\n"
                 "mean_pool11 mean_pool [4, 2, 1, 8]\n"
                 "reshape12 reshape [4, 2, 4, 2]\n"
                 "linear13 linear [4, 2, 4, 3]\n"
                 "flat reshape [4, 24]\n"
                 "all mean_pool [4, 1, 1, 8]\n"
                 "all.flatten reshape [4, 8]\n"
                 "concat16 concat [4, 32]\n"
                 "layer_norm17 layer_norm [4, 32]\n"
                 "rms_norm18 rms_norm [4, 32]\n"
                 "softmax19 softmax [4, 32]\n"
                 "linear20 linear [4, 5]\n"
                 "loss cross_entropy [4]\n");
}
END_TEST

/* The padding behind a text takes no part; its length is found out once, where it is first needed.
 */
START_TEST(every_kind_for_tokens_minds_the_lengths_of_texts) {
    assert_graph(TEXT "  - {kind: embedding, width: 12}\n  - position\n"
                      "  - {kind: attention, heads: 6, kv_heads: 2}\n  - {kind: lstm, width: 10}\n"
                      "  - {kind: gru, width: 9, name: states}\n"
                      "  - {kind: position_take, position: -1, name: last}\n"
                      "  - {kind: position_mean, from: states}\n  - {kind: concat, with: last}\n"
                      "  - {kind: linear, width: 5}\n" TAIL,
                 "embedding0 embedding [4, 7, 12]\n"
                 "position1 position [4, 7, 12]\n"
                 "lengths token_lengths [4]\n"
                 "attention2.qkv linear [4, 7, 20]\n"
                 "attention2 attention_lengths [4, 7, 12]\n"
                 "attention2.proj linear [4, 7, 12]\n"
                 "lstm3 lstm_lengths [4, 7, 10]\n"
                 "states gru_lengths [4, 7, 9]\n"
                 "last position_take [4, 9]\n"
                 "position_mean6 position_mean_lengths [4, 9]\n"
                 "concat7 concat [4, 18]\n"
                 "linear8 linear [4, 5]\n"
                 "loss cross_entropy [4]\n");
}
END_TEST

START_TEST(a_model_of_the_next_token_has_texts_of_one_length) {
    assert_graph(NEXT "  - {kind: embedding, width: 12}\n"
                      "  - {kind: attention, heads: 6, causal: true, rotary: true}\n"
                      "  - {kind: lstm, width: 10}\n"
                      "  - {kind: gru, width: 9}\n  - {kind: linear, width: 30}\n" TAIL,
                 "embedding0 embedding [4, 7, 12]\n"
                 "attention1.qkv linear [4, 7, 36]\n"
                 "attention1.rotary rotary [4, 7, 36]\n"
                 "attention1 attention [4, 7, 12]\n"
                 "attention1.proj linear [4, 7, 12]\n"
                 "lstm2 lstm [4, 7, 10]\n"
                 "gru3 gru [4, 7, 9]\n"
                 "linear4 linear [4, 7, 30]\n"
                 "loss cross_entropy [4, 7]\n");
}
END_TEST

START_TEST(what_is_left_out_is_filled_in) {
    qd_job job = accepted(IMAGE "  - {kind: convolution, filters: 8, kernel: 5}\n"
                                "  - {kind: convolution, filters: 8, kernel: 5, padding: 0}\n"
                                "  - {kind: max_pool, window: 2}\n  - flatten\n"
                                "  - {kind: linear, width: 5}\n" TAIL);
    const qd_layer_spec *l = job.model.list;
    ck_assert_int_eq(job.model.list_count, 5);
    ck_assert_str_eq(l[0].name, "convolution0");
    ck_assert_int_eq(l[0].stride, 1);
    ck_assert_int_eq(l[0].padding, 2);
    ck_assert_int_eq(l[0].groups, 1);
    ck_assert(l[0].bias);
    ck_assert_int_eq(l[1].padding, 0);
    ck_assert_int_eq(l[2].stride, 2);
    ck_assert_int_eq(l[2].padding, 0);
    job = accepted(TEXT "  - {kind: embedding, width: 12}\n  - {kind: attention, heads: 6}\n"
                        "  - position_mean\n  - {kind: linear, width: 5}\n" TAIL);
    ck_assert_int_eq(job.model.list[1].kv_heads, 6);
    ck_assert(!job.model.list[1].causal);
    ck_assert_double_eq(job.model.list[0].std, 1);
}
END_TEST

/* Two passes less; but what others read must be there as it is. */
START_TEST(a_relu_that_alone_reads_a_convolution_is_part_of_it) {
    assert_graph(IMAGE "  - {kind: convolution, name: a, filters: 4, kernel: 3}\n"
                       "  - {kind: relu, name: b}\n"
                       "  - {kind: convolution, name: c, filters: 4, kernel: 3}\n"
                       "  - {kind: relu, name: d}\n  - {kind: add, name: e, with: c}\n"
                       "  - {kind: add, name: f, with: b}\n  - global_mean_pool\n"
                       "  - {kind: linear, width: 5}\n" TAIL,
                 "a convolution [4, 8, 6, 4]\n"
                 "c convolution [4, 8, 6, 4]\n"
                 "d relu [4, 8, 6, 4]\n"
                 "e add [4, 8, 6, 4]\n"
                 "f add [4, 8, 6, 4]\n"
                 "global_mean_pool6 mean_pool [4, 1, 1, 4]\n"
                 "global_mean_pool6.flatten reshape [4, 4]\n"
                 "linear7 linear [4, 5]\n"
                 "loss cross_entropy [4]\n");
}
END_TEST

START_TEST(each_loss_has_its_operator_and_options) {
    static const struct {
        const char *keys;
        const qd_op *op;
    } cases[] = {{"  outputs: 5\n  loss: mse\n", &qd_op_mse},
                 {"  outputs: 5\n  loss: huber\n", &qd_op_huber},
                 {"  outputs: 5\n  loss: binary_cross_entropy\n", &qd_op_binary_cross_entropy},
                 {"  outputs: 5\n  loss: kl\n", &qd_op_kl},
                 {"  classes: 5\n  label_smoothing: 0.25\n", &qd_op_cross_entropy}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024];
        snprintf(text, sizeof text,
                 "name: a\nmodel:\n  family: layers\n  inputs: 3\n%s  layers:\n"
                 "  - {kind: linear, width: 5}\n" TAIL,
                 cases[i].keys);
        qd_job job = accepted(text);
        qd_graph *g = build(&job);
        const qd_node *loss = &g->nodes[g->node_count - 1];
        ck_assert_ptr_eq(loss->op, cases[i].op);
        if (loss->op == &qd_op_huber)
            ck_assert_float_eq(loss->attributes.huber.delta, 1);
        if (loss->op == &qd_op_cross_entropy)
            ck_assert_float_eq(loss->attributes.cross_entropy.label_smoothing, 0.25f);
        qd_graph_destroy(g);
    }
}
END_TEST

static void assert_sample(const char *text, qd_sample_spec expected) {
    qd_job job = accepted(text);
    qd_sample_spec spec = qd_family_sample_spec(&job);
    ck_assert_int_eq(spec.input_dtype, expected.input_dtype);
    ck_assert_int_eq(spec.inputs, expected.inputs);
    ck_assert_int_eq(spec.targets, expected.targets);
    ck_assert_int_eq(spec.target_dtype, expected.target_dtype);
    ck_assert_int_eq(spec.next_token, expected.next_token);
    ck_assert_int_eq(spec.vocabulary, expected.vocabulary);
    ck_assert_int_eq(spec.classes, expected.classes);
}

START_TEST(samples_are_images_numbers_or_tokens) {
    assert_sample(IMAGE "  - flatten\n  - {kind: linear, width: 5}\n" TAIL,
                  (qd_sample_spec){.input_dtype = QD_F32,
                                   .inputs = 192,
                                   .targets = 1,
                                   .target_dtype = QD_I32,
                                   .classes = 5});
    assert_sample(
        "name: a\nmodel: {family: layers, inputs: 3, outputs: 2, loss: mse, layers: "
        "[{kind: linear, width: 2}]}\n" TAIL,
        (qd_sample_spec){.input_dtype = QD_F32, .inputs = 3, .targets = 2, .target_dtype = QD_F32});
    assert_sample(NEXT "  - {kind: embedding, width: 4}\n  - {kind: linear, width: 30}\n" TAIL,
                  (qd_sample_spec){.input_dtype = QD_I32,
                                   .inputs = 7,
                                   .targets = 7,
                                   .target_dtype = QD_I32,
                                   .next_token = true,
                                   .vocabulary = 30,
                                   .classes = 30});
}
END_TEST

START_TEST(an_emitted_list_parses_back_to_the_same_list) {
    static const char *const jobs[] = {
        IMAGE "  - {kind: convolution, filters: 8, kernel: 5, padding: 0}\n"
              "  - {kind: batch_norm, momentum: 0.3, name: no}\n  - {kind: dropout, rate: 0.1}\n"
              "  - {kind: reshape, shape: [64]}\n  - {kind: linear, width: 5}\n" TAIL,
        NEXT "  - {kind: embedding, width: 4}\n  - {kind: linear, width: 30}\n" TAIL,
        "name: a\nmodel: {family: layers, inputs: 3, outputs: 2, loss: huber, layers: [{kind: "
        "linear, width: 2}]}\n" TAIL};
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        qd_job job = accepted(jobs[i]);
        qd_text text = {0};
        qd_job_emit(&job, &text);
        qd_job again = accepted(text.bytes);
        ck_assert_mem_eq(&job.model, &again.model, sizeof job.model);
        ck_assert_int_eq(qd_job_check_same_result(&job, &again), 0);
        qd_text_fini(&text);
    }
}
END_TEST

START_TEST(a_run_is_held_to_its_layers) {
    qd_job saved = accepted(IMAGE "  - flatten\n  - {kind: linear, width: 7, name: a}\n"
                                  "  - {kind: linear, width: 5}\n" TAIL);
    qd_job now = accepted(IMAGE "  - flatten\n  - {kind: linear, width: 8, name: a}\n"
                                "  - {kind: linear, width: 5}\n" TAIL);
    ck_assert_int_eq(qd_job_check_same_result(&saved, &now), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), "model.layers[1].width: 7 there, 8 here");
    now = accepted(IMAGE "  - flatten\n  - {kind: linear, width: 7, name: b}\n"
                         "  - {kind: linear, width: 5}\n" TAIL);
    ck_assert_int_eq(qd_job_check_same_result(&saved, &now), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(), "model.layers[1].name: a there, b here");
}
END_TEST

/* A slot of one sample has too little for a batch norm: the job that is planned is the one that is
 * checked, also where its sizes were changed after it was read. */
START_TEST(a_job_that_was_changed_names_the_layer_that_no_longer_fits) {
    qd_job job = accepted("name: a\nmodel: {family: layers, inputs: 3, classes: 5, layers: "
                          "[batch_norm, {kind: linear, width: 5}]}\n" TAIL);
    qd_graph *graph;
    job.slots_data = 8;
    ck_assert_int_eq(qd_family_build(&job, &graph), QD_ECONFIG);
    ck_assert_str_eq(
        qd_error_message(),
        "model layers: layers[0]: batch_norm0: input [1, 3] has one element a channel; "
        "batch_norm needs two or more in each data slot");
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("layer list");
    tcase_add_test(tc, every_kind_for_images_has_its_operator_and_shape);
    tcase_add_test(tc, every_kind_for_tokens_minds_the_lengths_of_texts);
    tcase_add_test(tc, a_model_of_the_next_token_has_texts_of_one_length);
    tcase_add_test(tc, what_is_left_out_is_filled_in);
    tcase_add_test(tc, a_relu_that_alone_reads_a_convolution_is_part_of_it);
    tcase_add_test(tc, each_loss_has_its_operator_and_options);
    tcase_add_test(tc, samples_are_images_numbers_or_tokens);
    tcase_add_test(tc, an_emitted_list_parses_back_to_the_same_list);
    tcase_add_test(tc, a_run_is_held_to_its_layers);
    tcase_add_test(tc, a_job_that_was_changed_names_the_layer_that_no_longer_fits);
    Suite *suite = suite_create("models/layer_list");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
