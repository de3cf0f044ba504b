/* Cutting a graph into the parts of a pipeline. */
#include <check.h>
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/family.h"
#include "models/layers.h"
#include "models/pipeline_stages.h"
#include "runtime/error.h"
#include "test/models/mlp_job.h"

enum { MOST_NODES = 512 };

static qd_graph *build(qd_job job) {
    qd_graph *graph = NULL;
    ck_assert_msg(qd_family_build(&job, &graph) == 0, "%s", qd_error_message());
    return graph;
}

static qd_job gpt(int64_t layers) {
    return (qd_job){.name = "gpt",
                    .model = {.family = QD_FAMILY_GPT,
                              .layers = layers,
                              .heads = 2,
                              .kv_heads = 2,
                              .width = 16,
                              .context = 8,
                              .length = 8,
                              .vocabulary = 32,
                              .classes = 32},
                    .train = {.batch = 2, .steps = 1},
                    .slots_data = 1,
                    .slots_tensor = 1,
                    .ranks_min = 1,
                    .ranks_max = 1};
}

static qd_pipeline_stages *cut(const qd_graph *graph, int parts, const double *cost) {
    qd_pipeline_stages *stages = NULL;
    ck_assert_msg(qd_pipeline_stages_create(graph, parts, cost, &stages) == 0, "%s",
                  qd_error_message());
    return stages;
}

static qd_timeline *timeline_of(const qd_graph *graph) {
    qd_timeline *timeline = NULL;
    ck_assert_int_eq(qd_timeline_create(graph, &timeline), 0);
    return timeline;
}

static void flops_of(const qd_graph *graph, double *cost) {
    qd_timeline *timeline = timeline_of(graph);
    ck_assert_int_le(graph->node_count, MOST_NODES);
    qd_pipeline_flops(graph, timeline, cost);
    qd_timeline_destroy(timeline);
}

static qd_pipeline_cost part_flops(const qd_graph *graph, const qd_pipeline_nodes *part) {
    qd_timeline *timeline = timeline_of(graph);
    qd_pipeline_cost cost = qd_pipeline_part_flops(graph, timeline, part);
    qd_timeline_destroy(timeline);
    return cost;
}

/* Every node in exactly one part, no part empty, no FLOPs lost. */
static void deals_all(const qd_graph *graph, const qd_pipeline_stages *stages) {
    int next = 0;
    double forward = 0, backward = 0;
    for (int k = 0; k < stages->parts; k++) {
        const qd_pipeline_nodes *p = &stages->part[k];
        ck_assert_int_eq(p->first, next);
        ck_assert_int_gt(p->end, p->first);
        next = p->end;
        qd_pipeline_cost cost = part_flops(graph, p);
        forward += cost.forward;
        backward += cost.backward_input + cost.backward_weight;
    }
    ck_assert_int_eq(next, graph->node_count);
    ck_assert_double_eq_tol(forward, qd_graph_forward_flops(graph), 1e-9 * forward);
    ck_assert_double_eq_tol(backward, qd_graph_backward_flops(graph), 1e-9 * backward);
}

/* What a part reads of the parts before it has been handed to it, with one gradient to give back.
 */
static void hands_on_what_is_read(const qd_graph *graph, const qd_pipeline_stages *stages) {
    for (int k = 0; k < stages->parts; k++) {
        const qd_pipeline_nodes *p = &stages->part[k];
        int carriers = 0;
        for (int i = 0; i < p->taken_count; i++)
            carriers += graph->values[p->taken[i]].needs_grad;
        ck_assert_int_eq(carriers, k > 0);
        for (int n = p->first; n < p->end; n++)
            for (int i = 0; i < graph->nodes[n].input_count; i++) {
                int value = graph->nodes[n].inputs[i], producer = graph->values[value].producer;
                bool has = producer < 0 || producer >= p->first;
                for (int j = 0; j < p->taken_count; j++)
                    has |= p->taken[j] == value;
                ck_assert_msg(has, "part %d does not get %s", k, graph->values[value].name);
            }
    }
}

/* Layers that stages do not divide are where others have lost some. */
START_TEST(every_layer_is_dealt_to_exactly_one_part) {
    double cost[MOST_NODES];
    for (int64_t layers = 1; layers <= 13; layers++) {
        qd_graph *g = build(gpt(layers));
        flops_of(g, cost);
        for (int parts = 1; parts <= qd_pipeline_most_parts(g); parts++) {
            qd_pipeline_stages *stages = cut(g, parts, cost);
            deals_all(g, stages);
            hands_on_what_is_read(g, stages);
            qd_pipeline_stages_destroy(stages);
        }
        qd_graph_destroy(g);
    }
}
END_TEST

START_TEST(every_job_file_we_ship_is_cut_into_any_number_of_parts_it_has) {
    static double cost[MOST_NODES];
    glob_t files;
    ck_assert_int_eq(glob(QD_SOURCE_DIR "/conf/jobs/*.yaml", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        qd_job job;
        ck_assert_msg(qd_job_load(files.gl_pathv[i], &job) == 0, "%s", qd_error_message());
        qd_graph *g = build(job);
        flops_of(g, cost);
        int most = qd_pipeline_most_parts(g);
        ck_assert_int_ge(most, 1);
        for (int parts = 1; parts <= most; parts++) {
            qd_pipeline_stages *stages = cut(g, parts, cost);
            deals_all(g, stages);
            hands_on_what_is_read(g, stages);
            qd_pipeline_stages_destroy(stages);
        }
        qd_graph_destroy(g);
    }
    globfree(&files);
}
END_TEST

/* A chain of relus: every place between two is a cut, so that costs alone decide. */
static qd_graph *chain(int nodes) {
    qd_graph *g = NULL;
    ck_assert_int_eq(qd_graph_create(2, &g), 0);
    qd_shape shape = {.dims = 2, .dim = {2, 3}}, weight = {.dims = 2, .dim = {3, 3}};
    int x = qd_graph_add_value(g, "x", QD_VALUE_INPUT, QD_F32, &shape);
    int w = qd_graph_add_param(g, "w", &weight, (qd_init){0});
    for (int i = 0; i < nodes; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", i);
        x = qd_graph_add_node(g, i == 0 ? &qd_op_linear : &qd_op_relu, name, &x, 1, &w, i == 0);
        ck_assert_int_ge(x, 0);
    }
    return g;
}

/* By trying all cuts: the cost of the dearest part, and the sum of squares. */
static void try_all(const double *cost, int from, int nodes, int parts, double dearest,
                    double squares, double best[2]) {
    double sum = 0;
    for (int to = from + 1; to <= nodes; to++) {
        sum += cost[to - 1];
        double d = fmax(dearest, sum), s = squares + sum * sum;
        if (parts > 1)
            try_all(cost, to, nodes, parts - 1, d, s, best);
        else if (to == nodes && (d < best[0] || (d == best[0] && s < best[1]))) {
            best[0] = d;
            best[1] = s;
        }
    }
}

START_TEST(the_dearest_part_is_as_cheap_as_can_be_then_parts_are_even) {
    enum { NODES = 11 };
    uint64_t state = 5;
    qd_graph *g = chain(NODES);
    ck_assert_int_eq(qd_pipeline_most_parts(g), NODES);
    for (int trial = 0; trial < 300; trial++) {
        double cost[NODES], best[2] = {INFINITY, INFINITY}, got[2] = {0, 0};
        for (int i = 0; i < NODES; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            cost[i] = (double)((state >> 40) % 20);
        }
        int parts = 1 + trial % NODES;
        try_all(cost, 0, NODES, parts, 0, 0, best);
        qd_pipeline_stages *stages = cut(g, parts, cost);
        for (int k = 0; k < parts; k++) {
            got[0] = fmax(got[0], stages->part[k].cost);
            got[1] += stages->part[k].cost * stages->part[k].cost;
        }
        ck_assert_double_eq(got[0], best[0]);
        ck_assert_double_eq(got[1], best[1]);
        qd_pipeline_stages_destroy(stages);
    }
    qd_graph_destroy(g);
}
END_TEST

START_TEST(nodes_without_cost_are_cut_where_fewest_bytes_cross) {
    qd_graph *g = build(MLP_JOB(4, 1, QD_OPTIMIZER_SGD, 50, 40, 3, 30));
    double cost[MOST_NODES] = {0};
    qd_pipeline_stages *stages = cut(g, 2, cost);
    /* layer0 [4, 40], relu0 [4, 40], layer1 [4, 3], relu1 [4, 3], layer2 [4, 30] */
    int handed_on = stages->part[1].taken[0];
    ck_assert_int_eq(stages->part[1].taken_count, 1);
    ck_assert_int_eq(g->values[handed_on].shape.dim[1], 3);
    qd_pipeline_stages_destroy(stages);
    qd_graph_destroy(g);
}
END_TEST

/* Inside a residual branch both the branch and what goes round it would be handed on. */
START_TEST(residual_branches_are_not_cut) {
    qd_graph *g = build(gpt(6));
    double cost[MOST_NODES];
    flops_of(g, cost);
    /* Cuts are behind tokens, positions, add1 and add2 of each block, norm and head. */
    ck_assert_int_eq(qd_pipeline_most_parts(g), 2 + 2 * 6 + 2 + 1);
    qd_pipeline_stages *stages = cut(g, qd_pipeline_most_parts(g), cost);
    for (int k = 1; k < stages->parts; k++) {
        const char *name = g->nodes[stages->part[k].first - 1].name;
        ck_assert_msg(strstr(name, "add") || strcmp(name, "tokens") == 0 ||
                          strcmp(name, "positions") == 0 || strcmp(name, "norm") == 0 ||
                          strcmp(name, "head") == 0,
                      "cut behind %s", name);
    }
    qd_pipeline_stages_destroy(stages);
    qd_graph_destroy(g);
}
END_TEST

/* A block is recomputed where its backward runs: all of it lies in one part, what is computed anew
 * counted. */
START_TEST(recomputed_blocks_are_not_cut) {
    qd_job job = gpt(5);
    job.train.recompute = 3;
    qd_graph *g = build(job);
    qd_timeline *timeline = timeline_of(g);
    double cost[MOST_NODES], again = 0;
    flops_of(g, cost);
    /* As above, but for the halves of three blocks. */
    int most = 2 + 2 * 5 - 3 + 2 + 1;
    ck_assert_int_eq(qd_pipeline_most_parts(g), most);
    qd_pipeline_stages *stages = cut(g, most, cost);
    for (int k = 0; k < most; k++) {
        const qd_pipeline_nodes *p = &stages->part[k];
        qd_pipeline_cost c = part_flops(g, p);
        ck_assert_double_eq_tol(c.forward + c.backward_input + c.backward_weight, p->cost, 1e-6);
        again += p->cost;
        if (k > 0 && g->nodes[p->first].block >= 0 && g->nodes[p->first].block < 3)
            ck_assert_int_ne(g->nodes[p->first].block, g->nodes[p->first - 1].block);
    }
    again -= qd_graph_forward_flops(g) + qd_graph_backward_flops(g);
    ck_assert_double_gt(again, 0);
    ck_assert_double_eq_tol(again, qd_timeline_recompute_flops(timeline, g), 1e-6);
    qd_pipeline_stages_destroy(stages);
    qd_timeline_destroy(timeline);
    qd_graph_destroy(g);
}
END_TEST

START_TEST(a_tied_parameter_is_shared_by_the_parts_that_read_it) {
    qd_graph *g = build(gpt(4));
    double cost[MOST_NODES];
    flops_of(g, cost);
    qd_pipeline_stages *stages = cut(g, 4, cost);
    ck_assert_int_eq(stages->shared_count, 1);
    ck_assert_str_eq(g->params[stages->shared[0]].name, "tokens.weight");
    for (int k = 0; k < 4; k++)
        ck_assert_int_eq(qd_pipeline_part_reads(g, &stages->part[k], stages->shared[0]),
                         k == 0 || k == 3);
    qd_pipeline_stages_destroy(stages);
    stages = cut(g, 1, cost);
    ck_assert_int_eq(stages->shared_count, 0);
    qd_pipeline_stages_destroy(stages);
    qd_graph_destroy(g);
}
END_TEST

START_TEST(every_parameter_has_a_part_and_none_but_shared_ones_have_two) {
    qd_graph *g = build(gpt(5));
    double cost[MOST_NODES];
    flops_of(g, cost);
    for (int parts = 1; parts <= 8; parts++) {
        qd_pipeline_stages *stages = cut(g, parts, cost);
        for (int param = 0; param < g->param_count; param++) {
            int readers = 0;
            bool shared = false;
            for (int k = 0; k < parts; k++)
                readers += qd_pipeline_part_reads(g, &stages->part[k], param);
            for (int i = 0; i < stages->shared_count; i++)
                shared |= stages->shared[i] == param;
            ck_assert_int_ge(readers, 1);
            ck_assert_int_eq(shared, readers > 1);
        }
        qd_pipeline_stages_destroy(stages);
    }
    qd_graph_destroy(g);
}
END_TEST

START_TEST(lengths_of_texts_are_handed_on_through_every_part) {
    qd_job job;
    ck_assert_int_eq(qd_job_load(QD_SOURCE_DIR "/conf/jobs/languages-bert.yaml", &job), 0);
    qd_graph *g = build(job);
    double cost[MOST_NODES];
    flops_of(g, cost);
    int lengths = -1, last = -1;
    for (int n = 0; n < g->node_count; n++)
        if (g->nodes[n].op == &qd_op_token_lengths)
            lengths = g->nodes[n].output;
    for (int n = 0; n < g->node_count; n++)
        for (int i = 0; i < g->nodes[n].input_count; i++)
            last = g->nodes[n].inputs[i] == lengths ? n : last;
    qd_pipeline_stages *stages = cut(g, 3, cost);
    for (int k = 1; k < 3; k++) {
        bool taken = false;
        for (int i = 0; i < stages->part[k].taken_count; i++)
            taken |= stages->part[k].taken[i] == lengths;
        ck_assert_int_eq(taken, stages->part[k].first <= last);
    }
    qd_pipeline_stages_destroy(stages);
    qd_graph_destroy(g);
}
END_TEST

START_TEST(more_parts_than_places_to_cut_are_refused_with_the_number) {
    qd_graph *g = build(MLP_JOB(4, 1, QD_OPTIMIZER_SGD, 50, 40, 30));
    qd_pipeline_stages *stages = NULL;
    double cost[MOST_NODES];
    flops_of(g, cost);
    ck_assert_int_eq(qd_pipeline_stages_create(g, 5, cost, &stages), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(),
                     "a pipeline of 5 parts; this model can be cut into 1 to 4");
    ck_assert_int_eq(qd_pipeline_stages_create(g, 0, cost, &stages), QD_ECONFIG);
    ck_assert_ptr_null(stages);
    qd_graph_destroy(g);
}
END_TEST

/* A linear layer's backward is one product for its inputs and one for its weights, but for the
 * first one's, which has no input to go back to. */
START_TEST(backward_is_halved_between_inputs_and_weights) {
    qd_graph *g = build(MLP_JOB(4, 1, QD_OPTIMIZER_SGD, 500, 400, 300));
    double cost[MOST_NODES];
    flops_of(g, cost);
    qd_pipeline_stages *stages = cut(g, 1, cost);
    qd_pipeline_cost all = part_flops(g, &stages->part[0]);
    double first = 2.0 * 4 * 500 * 400, second = 2.0 * 4 * 400 * 300;
    ck_assert_double_eq_tol(all.forward, first + second, 0.01 * all.forward);
    ck_assert_double_eq_tol(all.backward_input, second, 0.02 * second);
    ck_assert_double_eq_tol(all.backward_weight, first + second, 0.01 * all.backward_weight);
    qd_pipeline_stages_destroy(stages);
    qd_graph_destroy(g);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("pipeline_stages");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, every_layer_is_dealt_to_exactly_one_part);
    tcase_add_test(tc, every_job_file_we_ship_is_cut_into_any_number_of_parts_it_has);
    tcase_add_test(tc, the_dearest_part_is_as_cheap_as_can_be_then_parts_are_even);
    tcase_add_test(tc, nodes_without_cost_are_cut_where_fewest_bytes_cross);
    tcase_add_test(tc, residual_branches_are_not_cut);
    tcase_add_test(tc, recomputed_blocks_are_not_cut);
    tcase_add_test(tc, a_tied_parameter_is_shared_by_the_parts_that_read_it);
    tcase_add_test(tc, every_parameter_has_a_part_and_none_but_shared_ones_have_two);
    tcase_add_test(tc, lengths_of_texts_are_handed_on_through_every_part);
    tcase_add_test(tc, more_parts_than_places_to_cut_are_refused_with_the_number);
    tcase_add_test(tc, backward_is_halved_between_inputs_and_weights);
    Suite *suite = suite_create("models/pipeline_stages");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
