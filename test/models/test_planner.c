/* The planner, on clusters so simple that its predictions can be worked out by hand: a device
 * computes 1e9 FLOPs a second whatever they are, memory is as fast as the schema allows, links move
 * 1e6 (inside) and 1e5 (between) bytes a second. */
#include <check.h>
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/family.h"
#include "models/memory_plan.h"
#include "models/pipeline.h"
#include "models/pipeline_stages.h"
#include "models/planner.h"
#include "runtime/error.h"
#include "test/models/mlp_job.h"

static const double peak = 1e9, inside = 1e6, between = 1e5;

static qd_hardware simple(int64_t devices) {
    return (qd_hardware){.name = "simple",
                         .devices = devices,
                         .kind = QD_DEVICE_GPU,
                         .fp32_flops = peak,
                         .bf16_flops = peak,
                         .product_share = {1, 1, 1},
                         .memory_bytes = 1e15,
                         .memory_bytes_per_s = 1e16,
                         .memory_share = 1,
                         .inside = {inside, 1, 0},
                         .between = {between, 1, 0}};
}

static qd_job gpt(int64_t layers, int64_t batch) {
    return (qd_job){.name = "gpt",
                    .model = {.family = QD_FAMILY_GPT,
                              .layers = layers,
                              .heads = 4,
                              .kv_heads = 4,
                              .width = 16,
                              .context = 8,
                              .length = 8,
                              .vocabulary = 32,
                              .classes = 32},
                    .train = {.batch = batch, .steps = 1, .micro_batches = 1},
                    .optimizer = {.kind = QD_OPTIMIZER_ADAM},
                    .slots_data = 1,
                    .slots_tensor = 1,
                    .ranks_min = 1,
                    .ranks_max = 1};
}

static qd_plan predict(const qd_job *job, const qd_hardware *h, qd_plan_layout layout) {
    qd_planner *planner = NULL;
    qd_plan plan;
    ck_assert_msg(qd_planner_create(job, h, NULL, &planner) == 0, "%s", qd_error_message());
    ck_assert_msg(qd_planner_predict(planner, &layout, &plan) == 0, "%s", qd_error_message());
    qd_planner_destroy(planner);
    return plan;
}

static int choose(const qd_job *job, const qd_hardware *h, int64_t ranks, qd_plan_pins pins,
                  qd_plan_choice *choice) {
    qd_planner *planner = NULL;
    ck_assert_msg(qd_planner_create(job, h, NULL, &planner) == 0, "%s", qd_error_message());
    int rc = qd_planner_choose(planner, ranks, &pins, choice);
    qd_planner_destroy(planner);
    return rc;
}

static qd_plan_layout data_layout(int dp, int zero, int64_t micro_batches) {
    return (qd_plan_layout){.dp = dp,
                            .pp = 1,
                            .tp = 1,
                            .zero = zero,
                            .schedule = QD_PLAN_NO_SCHEDULE,
                            .chunks = 1,
                            .slots = dp,
                            .micro_batches = micro_batches};
}

static int schedule(const char *name) {
    for (int i = 0; qd_pipeline_names[i]; i++)
        if (strcmp(qd_pipeline_names[i], name) == 0)
            return i;
    ck_abort_msg("no schedule %s", name);
    return -1;
}

static qd_graph *graph_of(const qd_job *job) {
    qd_graph *graph = NULL;
    ck_assert_msg(qd_family_build(job, &graph) == 0, "%s", qd_error_message());
    return graph;
}

static double flops_of_batch(const qd_job *job) {
    qd_graph *graph = graph_of(job);
    double flops = qd_graph_forward_flops(graph) + qd_graph_backward_flops(graph);
    flops *= (double)job->train.batch / (double)graph->samples;
    qd_graph_destroy(graph);
    return flops;
}

static double parameters_of(const qd_job *job) {
    qd_graph *graph = graph_of(job);
    double count = (double)qd_graph_param_count(graph);
    qd_graph_destroy(graph);
    return count;
}

/* ---- time ---- */

START_TEST(computing_takes_flops_over_peak_and_data_ranks_share_it) {
    qd_job job = MLP_JOB(16, 1, QD_OPTIMIZER_ADAM, 64, 32, 10);
    qd_hardware h = simple(8);
    h.inside.bytes_per_s = 1e15;
    for (int dp = 1; dp <= 16; dp *= 2) {
        qd_plan plan = predict(&job, &h, data_layout(dp, 0, 1));
        double expected = flops_of_batch(&job) / peak / dp;
        ck_assert_double_eq_tol(plan.time[QD_PLAN_COMPUTE], expected, 1e-9 * expected);
        if (dp <= 8) /* else over the slow link */
            ck_assert_double_eq_tol(plan.mfu, 1, 1e-3);
        double sum = 0;
        for (int t = 0; t < QD_PLAN_TIMES; t++)
            sum += plan.time[t];
        ck_assert_double_eq_tol(plan.step_s, sum, 1e-12 * sum);
    }
}
END_TEST

/* Elements that a layer of 64 x 10 moves for one sample: forward x, y, W and b, backward for the
 * weights x, y and twice W and b (the input has no gradient); and the loss: logits, target, loss,
 * backward with the logits' gradient. */
static const double moved_weights = 64 * 10 + 10;
static const double moved_elements =
    (64 + 10 + 64 * 10 + 10) + (64 + 10 + 2 * (64 * 10 + 10)) + (10 + 1 + 1) + (10 + 1 + 1 + 10);

START_TEST(what_moves_more_than_it_computes_takes_the_time_of_memory) {
    qd_job job = MLP_JOB(1, 1, QD_OPTIMIZER_ADAM, 64, 10);
    qd_hardware h = simple(1);
    h.fp32_flops = 1e18;
    h.memory_bytes_per_s = 1e6;
    qd_plan plan = predict(&job, &h, data_layout(1, 0, 1));
    /* Adam: weight, gradient and two moments read, all but the gradient written. */
    double expected = 7 * 4 * moved_weights / 1e6;
    ck_assert_double_eq_tol(plan.time[QD_PLAN_OPTIMIZER], expected, 1e-9 * expected);
    expected = 4 * moved_elements / 1e6;
    ck_assert_double_eq_tol(plan.time[QD_PLAN_COMPUTE], expected, 1e-9 * expected);
}
END_TEST

START_TEST(a_core_moves_and_computes_by_turns) {
    qd_job job = MLP_JOB(1, 1, QD_OPTIMIZER_ADAM, 64, 10);
    qd_hardware h = simple(1);
    h.kind = QD_DEVICE_CPU;
    h.memory_bytes_per_s = 1e6;
    qd_plan plan = predict(&job, &h, data_layout(1, 0, 1));
    double expected = flops_of_batch(&job) / peak + 4 * moved_elements / 1e6;
    ck_assert_double_eq_tol(plan.time[QD_PLAN_COMPUTE], expected, 1e-9 * expected);
}
END_TEST

/* Rajbhandari et al., arXiv 1910.02054, 7: 2 P for stages 0 to 2, since gradients of
 * micro-batches are added up before they are scattered; for stage 3 parameters are gathered 2 m
 * times; times (d - 1) / d. */
START_TEST(data_ranks_send_what_zero_says) {
    qd_job job = MLP_JOB(64, 1, QD_OPTIMIZER_ADAM, 64, 32, 10);
    qd_hardware h = simple(8);
    double p = 4 * parameters_of(&job), m = 2;
    for (int d = 2; d <= 8; d *= 2)
        for (int zero = 0; zero <= 3; zero++) {
            double times = zero < 3 ? 2 : 2 * m + 1;
            qd_plan plan = predict(&job, &h, data_layout(d, zero, (int64_t)m));
            double expected = times * p * (d - 1) / d;
            ck_assert_double_eq_tol(plan.data.inside, expected, 1e-9 * expected);
            ck_assert_double_eq(plan.data.between, 0);
            /* nothing is hidden: overlap is 0 */
            double seconds = plan.time[QD_PLAN_GRADIENTS] + plan.time[QD_PLAN_PARAMETERS];
            ck_assert_double_eq_tol(seconds, expected / inside, 1e-9 * seconds);
        }
}
END_TEST

/* With g = 2 devices a node and N = 4 nodes: 2 S (g - 1) / g inside, 2 (S / g) (N - 1) / N between.
 */
START_TEST(a_group_over_nodes_sums_in_two_levels) {
    qd_job job = MLP_JOB(64, 1, QD_OPTIMIZER_ADAM, 64, 32, 10);
    qd_hardware h = simple(2);
    double s = 4 * parameters_of(&job);
    qd_plan plan = predict(&job, &h, data_layout(8, 0, 1));
    ck_assert_double_eq_tol(plan.data.inside, 2 * s / 2, 1e-9 * s);
    ck_assert_double_eq_tol(plan.data.between, 2 * (s / 2) * 3 / 4, 1e-9 * s);
    double expected = plan.data.inside / inside + plan.data.between / between;
    ck_assert_double_eq_tol(plan.time[QD_PLAN_GRADIENTS], expected, 1e-9 * expected);
    h.inside.latency_s = 1; /* reduce-scatter and all-gather: a doubling inside, two between */
    h.between.latency_s = 10;
    plan = predict(&job, &h, data_layout(8, 0, 1));
    expected += 2 * (1 * 1 + 2 * 10);
    ck_assert_double_eq_tol(plan.time[QD_PLAN_GRADIENTS], expected, 1e-9 * expected);
}
END_TEST

/* One bucket cannot be hidden; of several all but the last can. */
START_TEST(gradients_are_hidden_behind_backward_but_for_a_bucket) {
    qd_job job = MLP_JOB(64, 1, QD_OPTIMIZER_ADAM, 8192, 4096, 10);
    qd_hardware h = simple(8);
    double s = 4 * parameters_of(&job), buckets = ceil(s / (32 << 20));
    h.overlap = 1;
    h.inside.bytes_per_s = 1e12; /* much faster than computing */
    qd_plan plan = predict(&job, &h, data_layout(2, 0, 1));
    ck_assert_double_eq(buckets, 5);
    ck_assert_double_eq_tol(plan.time[QD_PLAN_GRADIENTS], s / 1e12 / buckets, 1e-9);
    h.overlap = 0.75; /* a quarter of what is hidden slows computing down */
    plan = predict(&job, &h, data_layout(2, 0, 1));
    ck_assert_double_eq_tol(plan.time[QD_PLAN_GRADIENTS],
                            s / 1e12 * (1 / buckets + 0.25 * (1 - 1 / buckets)), 1e-9);
}
END_TEST

/* Narayanan et al., arXiv 2104.04473, 3.2: 8 b s h (t - 1) / t elements a layer and micro-batch. */
START_TEST(a_layer_costs_tensor_ranks_eight_activations) {
    qd_hardware h = simple(4);
    double b = 2, s = 8, width = 16, m = 2;
    for (int t = 1; t <= 4; t *= 2) {
        qd_plan_layout layout = data_layout(1, 0, (int64_t)m);
        layout.tp = t;
        qd_job three = gpt(3, 4), two = gpt(2, 4);
        double more =
            predict(&three, &h, layout).tensor.inside - predict(&two, &h, layout).tensor.inside;
        ck_assert_double_eq_tol(more, m * 4 * 8 * b * s * width * (t - 1) / t, 1e-6);
        /* and embedding and head one each, the loss three numbers a position */
        double rest = predict(&two, &h, layout).tensor.inside - 2 * more;
        ck_assert_double_eq_tol(rest, m * 4 * 2 * b * s * (2 * width + 3) * (t - 1) / t, 1e-6);
    }
}
END_TEST

/* The four matrices of a layer, [3 w, w], [w, w], [4 w, w], [w, 4 w]: of the shorter side s and the
 * longer l five times 4 s s l + 2 s s s FLOPs, on one of t ranks; and in all four of the parts that
 * are there of 12 w w elements, t - 1 travel to it and back. Data ranks with shards have some of
 * the matrices each. */
START_TEST(tensor_ranks_share_what_muon_makes_orthogonal) {
    qd_hardware h = simple(8);
    double width = 16, flops = 5 * (4 * (3 + 1 + 4 + 4) + 4 * 2) * width * width * width;
    for (int t = 1; t <= 4; t *= 2)
        for (int zero = 0; zero <= 1; zero++) {
            qd_plan_layout layout = data_layout(2, zero, 1);
            layout.tp = t;
            qd_job with = gpt(2, 4), without = gpt(2, 4);
            with.optimizer.kind = QD_OPTIMIZER_MUON;
            qd_plan muon = predict(&with, &h, layout), adam = predict(&without, &h, layout);
            double own = 2.0 / (zero ? 2 : 1);
            ck_assert_double_eq_tol(muon.time[QD_PLAN_OPTIMIZER] - adam.time[QD_PLAN_OPTIMIZER],
                                    own * flops / peak / t, 1e-9);
            ck_assert_double_eq_tol(muon.tensor.inside - adam.tensor.inside,
                                    own * 2 * 4 * 12 * width * width * (t - 1) / (t * t), 1e-6);
            double scratch = 4 * (2 * 4 * width * width + 2 * width * width);
            ck_assert_double_ge(muon.memory[QD_PLAN_SCRATCH], scratch);
        }
}
END_TEST

/* Korthikanti et al., arXiv 2205.05198, 4.2.2: as many bytes, each sum and its spreading a half of
 * them, and two inputs a layer gathered once more in backward; in bf16 what is gathered is halved.
 * Beside them the gradients of two norms and two biases. */
START_TEST(tokens_that_tensor_ranks_share_cost_ten_activations_a_layer) {
    qd_hardware h = simple(4);
    double b = 2, s = 8, width = 16, m = 2;
    for (int t = 1; t <= 4; t *= 2)
        for (int precision = 0; precision <= 1; precision++) {
            qd_plan_layout layout = data_layout(1, 0, (int64_t)m);
            layout.tp = t;
            qd_job three = gpt(3, 4), two = gpt(2, 4);
            three.layout_sequence_parallel = two.layout_sequence_parallel = true;
            three.train.precision = two.train.precision = precision;
            double more =
                predict(&three, &h, layout).tensor.inside - predict(&two, &h, layout).tensor.inside;
            double activations = precision == QD_PRECISION_BF16 ? 4 + 6 / 2 : 4 + 6;
            double small = 2 * (2 * 2 * width + 2 * width);
            ck_assert_double_eq_tol(
                more, m * 4 * (activations * b * s * width + small) * (t - 1) / t, 1e-6);
        }
}
END_TEST

/* And of what tensor ranks keep of a layer, 4 widths a token more are divided. */
START_TEST(tokens_that_tensor_ranks_share_are_kept_once) {
    qd_hardware h = simple(4);
    double tokens = 4 * 8, width = 16, t = 4;
    qd_plan_layout layout = data_layout(1, 0, 1);
    layout.tp = (int)t;
    double more[2];
    for (int sequence = 0; sequence <= 1; sequence++) {
        qd_job three = gpt(3, 4), two = gpt(2, 4);
        three.layout_sequence_parallel = two.layout_sequence_parallel = sequence;
        more[sequence] = predict(&three, &h, layout).memory[QD_PLAN_ACTIVATIONS] -
                         predict(&two, &h, layout).memory[QD_PLAN_ACTIVATIONS];
    }
    /* beside them mean and deviation of two norms */
    ck_assert_double_eq_tol(more[0] - more[1], 4 * tokens * (4 * width + 4) * (t - 1) / t, 1e-6);
}
END_TEST

/* The same pipeline on paper: models/pipeline_simulate.h, with FLOPs over peak. */
static double simulated(const qd_job *job, qd_plan_layout layout) {
    qd_graph *graph = graph_of(job);
    qd_timeline *timeline = NULL;
    qd_pipeline_stages *stages = NULL;
    qd_pipeline_table *table = NULL;
    qd_pipeline_run *run = NULL;
    double *cost = calloc((size_t)graph->node_count, sizeof *cost);
    qd_pipeline_cost part[64];
    ck_assert_int_eq(qd_timeline_create(graph, &timeline), 0);
    graph->recompute = graph->block_count; /* blocks are not cut */
    qd_pipeline_flops(graph, timeline, cost);
    ck_assert_int_eq(qd_pipeline_stages_create(graph, layout.pp * layout.chunks, cost, &stages), 0);
    for (int k = 0; k < stages->parts; k++)
        part[k] = qd_pipeline_part_flops(graph, timeline, &stages->part[k]);
    const qd_pipeline_kind *kind = qd_pipeline_by_name(qd_pipeline_names[layout.schedule]);
    ck_assert_int_eq(
        qd_pipeline_create(kind, layout.pp, layout.chunks, (int)layout.micro_batches, &table), 0);
    qd_pipeline_times times = {part, 0, QD_PIPELINE_BUFFERED};
    ck_assert_int_eq(qd_pipeline_simulate(table, &times, &run), 0);
    double seconds = run->total / peak;
    qd_pipeline_run_destroy(run);
    qd_pipeline_destroy(table);
    qd_pipeline_stages_destroy(stages);
    qd_timeline_destroy(timeline);
    qd_graph_destroy(graph);
    free(cost);
    return seconds;
}

START_TEST(a_pipeline_takes_what_its_simulation_takes) {
    const char *const kinds[] = {"gpipe", "1f1b", "interleaved", "zb-h1"};
    qd_hardware h = simple(8);
    h.inside.bytes_per_s = 1e15;
    for (int k = 0; k < 4; k++)
        for (int pp = 2; pp <= 8; pp *= 2) {
            int chunks = strcmp(kinds[k], "interleaved") == 0 ? 2 : 1;
            qd_job job = gpt(32, 16);
            job.train.micro_batches = 16;
            qd_plan_layout layout = data_layout(1, 0, 16);
            layout.pp = pp;
            layout.schedule = schedule(kinds[k]);
            layout.chunks = chunks;
            qd_plan plan = predict(&job, &h, layout);
            double planned = plan.time[QD_PLAN_COMPUTE] + plan.time[QD_PLAN_BUBBLE];
            double expected = simulated(&job, layout);
            ck_assert_msg(fabs(planned / expected - 1) < 0.05, "%s pp %d: %g, simulated %g",
                          kinds[k], pp, planned, expected);
        }
}
END_TEST

/* b s h floats each way a micro-batch and boundary, 2 (p - 1) of them in a row to fill and drain;
 * the table that first and last stage share goes over once. */
START_TEST(stages_hand_on_activations_and_gradients) {
    qd_job job = gpt(8, 8);
    qd_hardware h = simple(8);
    h.overlap = 1;
    h.inside.bytes_per_s = 1e6;
    qd_plan_layout layout = data_layout(1, 0, 4);
    layout.pp = 4;
    layout.schedule = schedule("1f1b");
    qd_plan plan = predict(&job, &h, layout);
    double boundary = 4.0 * 2 * 8 * 16;
    ck_assert_double_eq_tol(plan.pipeline.inside, 4 * 2 * boundary, 1e-6);
    ck_assert_double_ge(plan.time[QD_PLAN_TRANSFER], 2 * 3 * boundary / 1e6 * (1 - 1e-9));
    ck_assert_double_eq_tol(plan.data.inside, 4.0 * 32 * 16, 1e-6);
}
END_TEST

/* ---- memory ---- */

/* Rajbhandari et al., arXiv 1910.02054, 5: of 4 + 4 + 8 bytes a parameter (fp32, Adam) each stage
 * divides one more term by d; what is computed with stays whole. */
START_TEST(zero_divides_state_then_gradients_then_weights) {
    qd_job job = gpt(16, 16);
    qd_hardware h = simple(8);
    double p = parameters_of(&job), w = 16;
    double unit =
        12 * w * w + 13 * w; /* of a block: the most of it that is gathered at once is two */
    for (int d = 2; d <= 8; d *= 2) {
        qd_plan plan[4];
        for (int zero = 0; zero < 4; zero++)
            plan[zero] = predict(&job, &h, data_layout(d, zero, 1));
        ck_assert_double_eq_tol(plan[0].memory[QD_PLAN_OPTIMIZER_STATE], 8 * p, 1e-6);
        ck_assert_double_eq_tol(plan[0].memory[QD_PLAN_WEIGHT_GRADIENTS], 4 * p, 1e-6);
        for (int zero = 1; zero < 4; zero++)
            ck_assert_double_eq_tol(plan[zero].memory[QD_PLAN_OPTIMIZER_STATE], 8 * p / d, 1e-6);
        ck_assert_double_eq_tol(plan[1].memory[QD_PLAN_WEIGHT_GRADIENTS], 4 * p, 1e-6);
        ck_assert_double_eq_tol(plan[2].memory[QD_PLAN_WEIGHT_GRADIENTS], 4 * (p / d + 2 * unit),
                                1e-6);
        ck_assert_double_eq_tol(plan[2].memory[QD_PLAN_WEIGHTS], 4 * p, 1e-6);
        ck_assert_double_eq_tol(plan[3].memory[QD_PLAN_WEIGHTS], 4 * (p / d + 2 * unit), 1e-6);
    }
}
END_TEST

/* The arena that the engine would lay out, for every job we ship, recomputing or not, but for what
 * alignment and gaps take. */
static void meets_the_arena(const char *file, int64_t recompute) {
    static qd_job job;
    qd_timeline *timeline = NULL;
    qd_memory_plan *plan = NULL;
    ck_assert_msg(qd_job_load(file, &job) == 0, "%s", qd_error_message());
    if (recompute > qd_family_blocks(&job))
        return;
    job.train.recompute = recompute;
    qd_graph *graph = graph_of(&job);
    ck_assert_int_eq(qd_timeline_create(graph, &timeline), 0);
    ck_assert_int_eq(qd_memory_plan_create(&job, graph, timeline, (int)job.slots_data, &plan), 0);
    qd_hardware h = simple(1);
    qd_plan_layout layout = data_layout(1, 0, job.train.micro_batches);
    layout.slots = job.slots_data;
    layout.recompute = (int)recompute;
    double planned = predict(&job, &h, layout).memory_bytes, arena = (double)plan->bytes;
    ck_assert_msg(fabs(planned - arena) < 0.1 * arena, "%s, recompute %d: %g, arena %g", file,
                  (int)recompute, planned, arena);
    qd_memory_plan_destroy(plan);
    qd_timeline_destroy(timeline);
    qd_graph_destroy(graph);
}

START_TEST(memory_of_one_rank_is_that_of_the_engine) {
    glob_t files;
    ck_assert_int_eq(glob(QD_SOURCE_DIR "/conf/jobs/*.yaml", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++)
        for (int64_t recompute = 0; recompute <= 2; recompute++)
            meets_the_arena(files.gl_pathv[i], recompute);
    globfree(&files);
}
END_TEST

/* ---- choosing ---- */

START_TEST(more_bandwidth_is_never_slower) {
    qd_job job = gpt(8, 32);
    double last[2] = {INFINITY, INFINITY};
    for (double factor = 1; factor < 1e9; factor *= 10)
        for (int link = 0; link < 2; link++) {
            qd_hardware h = simple(4);
            qd_plan_choice choice;
            *(link ? &h.inside.bytes_per_s : &h.between.bytes_per_s) *= factor;
            ck_assert_int_eq(choose(&job, &h, 16, qd_plan_no_pins, &choice), 0);
            ck_assert_double_le(choice.best.step_s, last[link] * (1 + 1e-6));
            last[link] = choice.best.step_s;
        }
}
END_TEST

START_TEST(more_memory_is_never_slower_and_what_is_chosen_fits) {
    qd_job job = gpt(8, 32);
    double last = INFINITY;
    int chosen = 0;
    for (double bytes = 1e4; bytes < 1e9; bytes *= 1.3) {
        qd_hardware h = simple(4);
        qd_plan_choice choice;
        h.memory_bytes = bytes;
        h.inside.bytes_per_s = h.between.bytes_per_s = 1e9;
        int rc = choose(&job, &h, 16, qd_plan_no_pins, &choice);
        ck_assert_msg(rc == 0 || chosen == 0, "%g bytes: %s", bytes, qd_error_message());
        if (rc)
            continue;
        chosen++;
        ck_assert_double_le(choice.best.memory_bytes, bytes);
        ck_assert_double_le(choice.best.step_s, last * (1 + 1e-6));
        last = choice.best.step_s;
    }
    ck_assert_int_ge(chosen, 20);
}
END_TEST

START_TEST(pins_are_kept) {
    qd_job job = gpt(8, 32);
    qd_hardware h = simple(4);
    qd_plan_choice choice;
    qd_plan_pins pins = qd_plan_no_pins;
    pins.dp = pins.pp = pins.tp = 2;
    pins.zero = 1;
    pins.schedule = schedule("gpipe");
    pins.slots = pins.micro_batches = 4;
    pins.recompute = 3;
    ck_assert_msg(choose(&job, &h, 16, pins, &choice) == 0, "%s", qd_error_message());
    qd_plan_layout l = choice.best.layout;
    ck_assert(l.dp == 2 && l.pp == 2 && l.tp == 2 && l.zero == 1 && l.slots == 4 &&
              l.micro_batches == 4 && l.recompute == 3 && l.schedule == pins.schedule);
}
END_TEST

START_TEST(bounds_are_kept) {
    qd_job job = gpt(8, 32);
    qd_hardware h = simple(4);
    qd_plan_choice choice;
    qd_plan_pins pins = qd_plan_no_pins;
    pins.most_pp = 1;
    pins.most_tp = 2;
    pins.most_zero = 1;
    pins.least_ranks = 9;
    ck_assert_int_eq(choose(&job, &h, 16, pins, &choice), 0);
    for (int i = -1; i < choice.loser_count; i++) {
        qd_plan_layout l = i < 0 ? choice.best.layout : choice.losers[i].plan.layout;
        ck_assert(l.pp == 1 && l.tp <= 2 && l.zero <= 1 && l.dp * l.tp >= 9 && l.dp * l.tp <= 16);
    }
}
END_TEST

START_TEST(losers_say_why) {
    qd_job job = gpt(8, 32);
    qd_hardware h = simple(4);
    qd_plan_choice choice;
    ck_assert_int_eq(choose(&job, &h, 16, qd_plan_no_pins, &choice), 0);
    ck_assert_int_ge(choice.loser_count, 3);
    for (int i = 0; i < choice.loser_count; i++) {
        const qd_plan *plan = &choice.losers[i].plan;
        char slower[64];
        ck_assert_double_ge(plan->step_s, choice.best.step_s);
        snprintf(slower, sizeof slower,
                 "%.1f %% slower: ", 100 * (plan->step_s / choice.best.step_s - 1));
        ck_assert_msg(strncmp(choice.losers[i].reason, slower, strlen(slower)) == 0, "%s",
                      choice.losers[i].reason);
    }
}
END_TEST

/* ---- refusing ---- */

/* 2^30 weights and 8 biases in one layer, Adam: 4 GiB weights, 4 gradients, 8 state; and a sample
 * of half a GiB. On d data ranks ZeRO 1 needs 8 + 8 / d of the first. */
static qd_job wide(void) {
    qd_job job = MLP_JOB(8, 1, QD_OPTIMIZER_ADAM, 1 << 27, 8);
    strcpy(job.name, "wide");
    return job;
}

static qd_hardware of_14_gib(void) {
    qd_hardware h = simple(8);
    strcpy(h.name, "tiny");
    h.memory_bytes =
        14.5 * (1 << 30); /* 4 for the inputs of a sample, half a GiB, and their batch */
    h.nodes = 1;
    return h;
}

START_TEST(an_impossible_job_is_refused_with_the_ranks_it_needs) {
    qd_job job = wide();
    qd_hardware h = of_14_gib();
    qd_plan_choice choice;
    ck_assert_int_eq(choose(&job, &h, 1, qd_plan_no_pins, &choice), QD_ECONFIG);
    ck_assert_str_eq(
        qd_error_message(),
        "wide does not fit on 1 rank(s) of tiny: the leanest layout (dp 1, pp 1, tp 1, "
        "zero 0, 1 slot of 8 micro-batches) needs 16.50 GiB of the 14.50 GiB that a "
        "rank has, most of it optimizer state; it would fit with at least 2 ranks");
}
END_TEST

START_TEST(a_pinned_layout_is_refused_with_each_change_that_helps) {
    qd_job job = wide();
    qd_hardware h = of_14_gib();
    qd_plan_choice choice;
    qd_plan_pins pins = qd_plan_no_pins;
    pins.zero = 0;
    pins.tp = 1;
    ck_assert_int_eq(choose(&job, &h, 8, pins, &choice), QD_ECONFIG);
    const char *message = qd_error_message();
    ck_assert_msg(strstr(message, "; it would fit with layout.zero 1") != NULL &&
                      strstr(message, "tp") != NULL && strstr(message, "or layout.tp") == NULL,
                  "%s", message);
}
END_TEST

/* 4 heads; cut behind tokens, positions, 2 x 2 residual sums, norm and head. */
START_TEST(what_no_layout_can_have_is_refused) {
    qd_job job = gpt(2, 4);
    qd_hardware h = simple(4);
    qd_plan_choice choice;
    qd_plan_pins pins = qd_plan_no_pins;
    pins.tp = 16;
    ck_assert_int_eq(choose(&job, &h, 64, pins, &choice), QD_ECONFIG);
    ck_assert_str_eq(
        qd_error_message(),
        "gpt has no layout of that kind on 64 rank(s) of simple: layers can be cut into "
        "1 to 4 tensor ranks, the model into 1 to 9 stages, and slots and micro-batches "
        "divide the batch of 4");
}
END_TEST

/* ---- published runs ---- */

static qd_plan_choice planned(const char *job_file, const char *cluster, int64_t ranks,
                              qd_plan_pins pins) {
    static qd_job job;
    qd_hardware h;
    qd_plan_choice choice;
    ck_assert_msg(qd_job_load(job_file, &job) == 0, "%s", qd_error_message());
    ck_assert_msg(qd_hardware_load(cluster, &h) == 0, "%s", qd_error_message());
    ck_assert_msg(choose(&job, &h, ranks, pins, &choice) == 0, "%s", qd_error_message());
    return choice;
}

#define A100 QD_SOURCE_DIR "/conf/clusters/a100-80.yaml"

/* Narayanan et al., arXiv 2104.04473, table 1: models of this size on 1024 A100 of 80 GB and more
 * had tensor parallelism within the node, 8, and a pipeline of 8 or 16; no ZeRO, 1F1B. */
START_TEST(gpt3_on_1024_a100_is_laid_out_as_megatron_was) {
    qd_plan_pins pins = qd_plan_no_pins;
    pins.zero = 0;
    pins.schedule = schedule("1f1b");
    qd_plan best = planned(QD_TEST_DATA "/jobs/gpt3-175b.yaml", A100, 1024, pins).best;
    ck_assert_int_eq(best.layout.tp, 8);
    ck_assert(best.layout.pp == 8 || best.layout.pp == 16);
    ck_assert_int_eq(best.layout.dp * best.layout.pp * best.layout.tp, 1024);
    ck_assert_double_gt(best.mfu, 0.35);
    ck_assert_double_lt(best.mfu, 0.6);
}
END_TEST

/* llm.c, discussion 481: 8 A100 share the batch; some 60 % MFU. */
START_TEST(gpt2_on_8_a100_is_data_parallel) {
    qd_plan best = planned(QD_TEST_DATA "/jobs/gpt2-124m.yaml", A100, 8, qd_plan_no_pins).best;
    ck_assert(best.layout.dp == 8 && best.layout.pp == 1 && best.layout.tp == 1);
    ck_assert_double_gt(best.mfu, 0.45);
    ck_assert_double_lt(best.mfu, 0.75);
}
END_TEST

START_TEST(a_hundred_thousand_ranks_are_used) {
    qd_plan best = planned(QD_TEST_DATA "/jobs/gpt3-175b.yaml", A100, 100000, qd_plan_no_pins).best;
    int64_t used = (int64_t)best.layout.dp * best.layout.pp * best.layout.tp;
    ck_assert(used > 50000 && used <= 100000);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("planner");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, computing_takes_flops_over_peak_and_data_ranks_share_it);
    tcase_add_test(tc, what_moves_more_than_it_computes_takes_the_time_of_memory);
    tcase_add_test(tc, a_core_moves_and_computes_by_turns);
    tcase_add_test(tc, data_ranks_send_what_zero_says);
    tcase_add_test(tc, a_group_over_nodes_sums_in_two_levels);
    tcase_add_test(tc, gradients_are_hidden_behind_backward_but_for_a_bucket);
    tcase_add_test(tc, a_layer_costs_tensor_ranks_eight_activations);
    tcase_add_test(tc, tensor_ranks_share_what_muon_makes_orthogonal);
    tcase_add_test(tc, tokens_that_tensor_ranks_share_cost_ten_activations_a_layer);
    tcase_add_test(tc, tokens_that_tensor_ranks_share_are_kept_once);
    tcase_add_test(tc, a_pipeline_takes_what_its_simulation_takes);
    tcase_add_test(tc, stages_hand_on_activations_and_gradients);
    tcase_add_test(tc, zero_divides_state_then_gradients_then_weights);
    tcase_add_test(tc, memory_of_one_rank_is_that_of_the_engine);
    tcase_add_test(tc, more_bandwidth_is_never_slower);
    tcase_add_test(tc, more_memory_is_never_slower_and_what_is_chosen_fits);
    tcase_add_test(tc, pins_are_kept);
    tcase_add_test(tc, bounds_are_kept);
    tcase_add_test(tc, losers_say_why);
    tcase_add_test(tc, an_impossible_job_is_refused_with_the_ranks_it_needs);
    tcase_add_test(tc, a_pinned_layout_is_refused_with_each_change_that_helps);
    tcase_add_test(tc, what_no_layout_can_have_is_refused);
    tcase_add_test(tc, gpt3_on_1024_a100_is_laid_out_as_megatron_was);
    tcase_add_test(tc, gpt2_on_8_a100_is_data_parallel);
    tcase_add_test(tc, a_hundred_thousand_ranks_are_used);
    Suite *suite = suite_create("models/planner");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
