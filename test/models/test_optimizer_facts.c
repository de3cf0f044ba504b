#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "models/family.h"
#include "models/memory_plan.h"
#include "models/optimizer.h"
#include "models/part_graph.h"
#include "runtime/error.h"

static qd_job parse(const char *text) {
    qd_job job;
    ck_assert_msg(qd_job_parse("test", text, strlen(text), &job) == 0, "%s", qd_error_message());
    return job;
}

#define MUON "optimizer: {kind: muon, learning_rate: 0.02, adamw_learning_rate: 0.001}\n"
#define GPT                                                                                        \
    "name: a\n"                                                                                    \
    "model: {family: gpt, layers: 1, heads: 2, width: 24, context: 8, vocabulary: 37}\n"           \
    "data: {format: text, folder: none, file: none}\n"                                             \
    "train: {batch: 4, steps: 1}\n"
#define IMAGES                                                                                     \
    "data: {format: idx, folder: d, train_images: a, train_labels: b, test_images: c, "            \
    "test_labels: e}\n"                                                                            \
    "train: {batch: 8, steps: 1}\n"
#define MLP "name: a\nmodel: {family: mlp, inputs: 20, hidden: [17, 9], classes: 5}\n" IMAGES
#define CNN                                                                                        \
    "name: a\nmodel: {family: cnn, image: [8, 8, 1], filters: [4], hidden: [6, 7], classes: "      \
    "5}\n" IMAGES

/* The names of the parameters that Muon makes orthogonal, in order, a blank behind each. */
static void list_matrices(const char *text, char *names, size_t size) {
    qd_job job = parse(text);
    qd_graph *graph;
    ck_assert_int_eq(qd_family_build(&job, &graph), 0);
    names[0] = '\0';
    for (int p = 0; p < graph->param_count; p++)
        if (qd_optimizer_orthogonalizes(&job.optimizer, graph, p)) {
            strncat(names, graph->params[p].name, size - strlen(names) - 1);
            strncat(names, " ", size - strlen(names) - 1);
        }
    qd_graph_destroy(graph);
}

START_TEST(muon_takes_the_matrices_between_the_first_and_the_last_layer) {
    char names[512];
    list_matrices(GPT MUON, names, sizeof names);
    ck_assert_str_eq(names,
                     "block0.qkv.weight block0.proj.weight block0.up.weight block0.down.weight ");
    list_matrices(MLP MUON, names, sizeof names);
    ck_assert_str_eq(names, "layer1.weight ");
    list_matrices(CNN MUON, names, sizeof names);
    ck_assert_str_eq(names, "layer0.weight layer1.weight ");
}
END_TEST

START_TEST(other_rules_take_none) {
    char names[512];
    list_matrices(GPT "optimizer: {kind: adamw, learning_rate: 0.02}\n", names, sizeof names);
    ck_assert_str_eq(names, "");
}
END_TEST

/* Two of the largest matrix, [96, 24], and two of its shorter side: all multiples of 16. */
START_TEST(the_plan_has_room_for_muon) {
    qd_job job = parse(GPT MUON);
    qd_graph *graph;
    ck_assert_int_eq(qd_family_build(&job, &graph), 0);
    ck_assert_int_eq(qd_optimizer_scratch(&job.optimizer, graph), 2 * 96 * 24 + 2 * 24 * 24);
    ck_assert_int_eq(qd_optimizer_matrix_scratch(3, 7), 2 * 32 + 2 * 16);
    qd_timeline *timeline;
    qd_memory_plan *with, *without;
    ck_assert_int_eq(qd_timeline_create(graph, &timeline), 0);
    for (int n = 0; n < graph->node_count; n++)
        graph->nodes[n].scratch = 0;
    ck_assert_int_eq(qd_memory_plan_create(&job, graph, timeline, 1, &with), 0);
    job.optimizer.kind = QD_OPTIMIZER_ADAMW;
    ck_assert_int_eq(qd_memory_plan_create(&job, graph, timeline, 1, &without), 0);
    ck_assert_uint_eq(with->bytes - without->bytes, 4 * (2 * 96 * 24 + 2 * 24 * 24));
    qd_memory_plan_destroy(with);
    qd_memory_plan_destroy(without);
    qd_timeline_destroy(timeline);
    qd_graph_destroy(graph);
}
END_TEST

/* A part of the model whose end is not the model's takes the same ones. Room is for whole matrices
 * where this graph has a part of each. */
START_TEST(parts_of_a_model_take_what_the_whole_does) {
    qd_job job = parse(GPT MUON "slots: {pipeline: 3, tensor: 2}\n");
    qd_graph *whole, *part;
    qd_pipeline_stages *cut;
    int taken = 0;
    ck_assert_int_eq(qd_family_build_part(&job, 2, 1, &whole), 0);
    ck_assert_int_eq(qd_optimizer_scratch(&job.optimizer, whole), 2 * 96 * 24 + 2 * 24 * 24);
    ck_assert_int_eq(qd_part_graph_cut(&job, &cut), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(qd_part_graph_create(whole, cut, i, &part), 0);
        for (int p = 0; p < part->param_count; p++) {
            int of_whole = qd_part_graph_param(whole, &part->params[p]);
            bool takes = qd_optimizer_orthogonalizes(&job.optimizer, part, p);
            ck_assert(takes == qd_optimizer_orthogonalizes(&job.optimizer, whole, of_whole));
            taken += takes;
        }
        qd_graph_destroy(part);
    }
    ck_assert_int_eq(taken, 4);
    qd_pipeline_stages_destroy(cut);
    qd_graph_destroy(whole);
}
END_TEST

START_TEST(decay_is_meant_for_all_or_for_matrices) {
    qd_optimizer_spec spec = {.decay = QD_DECAY_ALL};
    qd_param bias = {.shape = {1, {8}}}, weight = {.shape = {2, {8, 3}}},
             kernel = {.shape = {4, {8, 3, 3, 2}}};
    ck_assert(qd_optimizer_decays(&spec, &bias) && qd_optimizer_decays(&spec, &weight));
    spec.decay = QD_DECAY_MATRICES;
    ck_assert(!qd_optimizer_decays(&spec, &bias) && qd_optimizer_decays(&spec, &weight));
    ck_assert(qd_optimizer_decays(&spec, &kernel));
}
END_TEST

START_TEST(each_kind_has_its_row) {
    static const struct {
        qd_optimizer_kind kind;
        const char *name;
        int vectors;
        const char *names[2];
    } rows[] = {
        {QD_OPTIMIZER_SGD, "sgd", 1, {"momentum"}},   {QD_OPTIMIZER_ADAM, "adam", 2, {"m", "v"}},
        {QD_OPTIMIZER_ADAMW, "adamw", 2, {"m", "v"}}, {QD_OPTIMIZER_LAMB, "lamb", 2, {"m", "v"}},
        {QD_OPTIMIZER_MUON, "muon", 2, {"m", "v"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        qd_optimizer_spec spec = {.kind = rows[i].kind};
        const qd_optimizer_facts *facts = qd_optimizer_facts_of(&spec);
        ck_assert_str_eq(facts->name, rows[i].name);
        ck_assert_int_eq(facts->state_vectors, rows[i].vectors);
        for (int v = 0; v < rows[i].vectors; v++)
            ck_assert_str_eq(facts->state_names[v], rows[i].names[v]);
    }
}
END_TEST

/* As torch.optim.Muon and NVIDIA's FusedLAMB have them; what is given stays. */
START_TEST(rules_have_defaults_of_their_own) {
    qd_optimizer_spec o = parse(GPT MUON).optimizer;
    ck_assert(o.momentum == 0.95 && o.weight_decay == 0.1 && o.epsilon == 1e-8);
    ck_assert(o.clip == 0 && o.l1 == 0 && o.decay == QD_DECAY_ALL);
    o = parse(GPT "optimizer: {kind: lamb, learning_rate: 0.01}\n").optimizer;
    ck_assert(o.epsilon == 1e-6 && o.weight_decay == 0.01);
    o = parse(GPT "optimizer: {kind: lamb, learning_rate: 0.01, epsilon: 1e-8, weight_decay: 0, "
                  "decay: matrices, clip: 1.5, l1: 0.001}\n")
            .optimizer;
    ck_assert(o.epsilon == 1e-8 && o.weight_decay == 0 && o.decay == QD_DECAY_MATRICES);
    ck_assert(o.clip == 1.5 && o.l1 == 0.001);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("optimizer facts");
    tcase_add_test(tc, muon_takes_the_matrices_between_the_first_and_the_last_layer);
    tcase_add_test(tc, other_rules_take_none);
    tcase_add_test(tc, the_plan_has_room_for_muon);
    tcase_add_test(tc, parts_of_a_model_take_what_the_whole_does);
    tcase_add_test(tc, decay_is_meant_for_all_or_for_matrices);
    tcase_add_test(tc, each_kind_has_its_row);
    tcase_add_test(tc, rules_have_defaults_of_their_own);
    Suite *suite = suite_create("models/optimizer");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
