#include <check.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "collectives/tree.h"
#include "models/memory_plan.h"
#include "runtime/error.h"
#include "runtime/random.h"
#include "test/models/mlp_job.h"
#include "test/worker/count_allocations.h"
#include "worker/engine.h"
#include "worker/optimizer.h"

/* ---- samples ---- */

/* The samples of a job's whole batch in one step, cut into slots. */
typedef struct samples {
    uint32_t step;
    float *samples;
    int32_t *targets;
    int64_t slot_samples, features, padded_features;
} samples;

static samples samples_of(const qd_job *job, uint32_t step) {
    samples s = {.step = step,
                 .slot_samples = job->train.batch / job->slots_data,
                 .features = job->model.inputs};
    /* Each slot's batch starts on 64 bytes. */
    s.padded_features = (s.slot_samples * s.features + 15) / 16 * 16;
    s.samples = aligned_alloc(64, (size_t)(job->slots_data * s.padded_features) * sizeof(float));
    s.targets = calloc((size_t)job->train.batch, sizeof *s.targets);
    for (int64_t i = 0; i < job->slots_data * s.padded_features; i++)
        s.samples[i] = qd_random_normal((qd_random_key){3, 20}, step, (uint64_t)i);
    for (int64_t i = 0; i < job->train.batch; i++) {
        uint32_t block[4];
        qd_random_block((qd_random_key){3, 21}, step, (uint64_t)i, block);
        s.targets[i] = (int32_t)(block[0] % (uint32_t)job->model.classes);
    }
    return s;
}

static void drop_samples(samples *s) {
    free(s->samples);
    free(s->targets);
}

static qd_batch batch_of(const samples *s, int slot) {
    return (qd_batch){s->samples + slot * s->padded_features, s->targets + slot * s->slot_samples};
}

/* ---- one engine ---- */

static qd_engine *engine_of(const qd_job *job, int first, int end, int threads) {
    qd_engine *engine = NULL;
    int rc = qd_engine_create(job, first, end, &qd_backend_cpu, threads, &engine);
    ck_assert_msg(rc == 0, "%s", qd_error_message());
    return engine;
}

static void run_slots(qd_engine *engine, const samples *s, int first, int end) {
    qd_engine_begin_step(engine, s->step);
    for (int slot = first; slot < end; slot++) {
        qd_batch batch = batch_of(s, slot);
        int rc = qd_engine_run_slot(engine, &batch);
        ck_assert_msg(rc == 0, "%s", qd_error_message());
    }
}

/* ---- a gang in one process, its sums added by the test ---- */

enum { MAX_MEMBERS = 16 };

typedef struct gang {
    const qd_job *job;
    int members;
    int starts[MAX_MEMBERS + 1];
    qd_engine *engines[MAX_MEMBERS];
    int taken[MAX_MEMBERS]; /* parts of each member that the tree has used up */
} gang;

static gang gang_of(const qd_job *job, int members, const int *starts, int threads) {
    gang g = {.job = job, .members = members};
    memcpy(g.starts, starts, (size_t)(members + 1) * sizeof *starts);
    for (int m = 0; m < members; m++)
        g.engines[m] = engine_of(job, starts[m], starts[m + 1], threads);
    return g;
}

static void drop_gang(gang *g) {
    for (int m = 0; m < g->members; m++)
        qd_engine_destroy(g->engines[m]);
}

/*
 * The sum over slots [first, end) into a fresh vector, by the definition of the tree: a node that
 * one member holds whole is that member's next part; others are left child plus right child, the
 * left one with the greatest power of two of slots that is smaller than the whole.
 */
static float *tree_sum(gang *g, int first, int end) {
    size_t elements = (size_t)qd_engine_vector_elements(g->engines[0]);
    float *sum = calloc(elements, sizeof *sum);
    for (int m = 0; m < g->members; m++) {
        if (first < g->starts[m] || end > g->starts[m + 1])
            continue;
        float *const *parts;
        int count;
        qd_engine_parts(g->engines[m], &parts, &count);
        ck_assert_int_lt(g->taken[m], count);
        return memcpy(sum, parts[g->taken[m]++], elements * sizeof *sum);
    }
    int left = 1;
    while (2 * left < end - first)
        left *= 2;
    float *a = tree_sum(g, first, first + left), *b = tree_sum(g, first + left, end);
    for (size_t i = 0; i < elements; i++)
        sum[i] = a[i] + b[i];
    free(a);
    free(b);
    return sum;
}

/* One step of the whole gang; returns the summed vector. */
static float *gang_step(gang *g, uint32_t step) {
    samples s = samples_of(g->job, step);
    for (int m = 0; m < g->members; m++)
        run_slots(g->engines[m], &s, g->starts[m], g->starts[m + 1]);
    memset(g->taken, 0, sizeof g->taken);
    float *sum = tree_sum(g, 0, (int)g->job->slots_data);
    for (int m = 0; m < g->members; m++) {
        float *const *parts;
        int count;
        qd_engine_parts(g->engines[m], &parts, &count);
        ck_assert_int_eq(g->taken[m], count);
        memcpy(parts[0], sum, (size_t)qd_engine_vector_elements(g->engines[m]) * sizeof *sum);
        ck_assert_int_eq(qd_engine_update(g->engines[m], 1000), 0);
    }
    drop_samples(&s);
    return sum;
}

static void assert_same_state(qd_engine *a, qd_engine *b) {
    ck_assert_int_eq(qd_engine_state_count(a), qd_engine_state_count(b));
    for (int i = 0; i < qd_engine_state_count(a); i++) {
        qd_state_tensor ta, tb;
        qd_engine_state(a, i, &ta);
        qd_engine_state(b, i, &tb);
        ck_assert_str_eq(ta.name, tb.name);
        ck_assert_mem_eq(ta.data, tb.data, (size_t)qd_slice_elements(&ta.slice) * sizeof(float));
    }
}

enum { STEPS = 3 };

/* Both gangs see the same gradients, losses and weights, bit for bit, in each step. */
static void assert_same_run(const qd_job *job, int members, const int *starts, int threads) {
    gang one = gang_of(job, 1, (int[]){0, (int)job->slots_data}, threads);
    gang other = gang_of(job, members, starts, threads);
    size_t bytes = (size_t)qd_engine_vector_elements(one.engines[0]) * sizeof(float);
    for (uint32_t step = 1; step <= STEPS; step++) {
        float *a = gang_step(&one, step), *b = gang_step(&other, step);
        ck_assert_mem_eq(a, b, bytes);
        free(a);
        free(b);
        for (int m = 0; m < members; m++)
            assert_same_state(one.engines[0], other.engines[m]);
    }
    drop_gang(&one);
    drop_gang(&other);
}

START_TEST(eight_slots_give_the_same_bits_on_any_number_of_members) {
    qd_job jobs[] = {MLP_JOB(128, 8, QD_OPTIMIZER_ADAM, 784, 128, 10),
                     MLP_JOB(24, 8, QD_OPTIMIZER_SGD, 49, 33, 17, 10)};
    for (int i = 0; i < 2; i++) {
        assert_same_run(&jobs[i], 1, (int[]){0, 8}, 1);
        assert_same_run(&jobs[i], 8, (int[]){0, 1, 2, 3, 4, 5, 6, 7, 8}, 1);
        assert_same_run(&jobs[i], 2, (int[]){0, 4, 8}, 1);
        assert_same_run(&jobs[i], 3, (int[]){0, 2, 5, 8}, 1);
        assert_same_run(&jobs[i], 2, (int[]){0, 7, 8}, 1);
    }
}
END_TEST

START_TEST(slots_that_are_no_power_of_two_give_the_same_bits) {
    qd_job job = MLP_JOB(28, 7, QD_OPTIMIZER_SGD, 49, 32, 10);
    assert_same_run(&job, 7, (int[]){0, 1, 2, 3, 4, 5, 6, 7}, 1);
    assert_same_run(&job, 2, (int[]){0, 3, 7}, 1);
    assert_same_run(&job, 3, (int[]){0, 1, 6, 7}, 1);
}
END_TEST

START_TEST(members_of_two_threads_give_the_same_bits_among_themselves) {
    qd_job job = MLP_JOB(128, 8, QD_OPTIMIZER_ADAM, 784, 128, 10);
    assert_same_run(&job, 3, (int[]){0, 3, 4, 8}, 2);
}
END_TEST

/* Over all places a member can have among up to 64 slots: what the plan reserves without knowing
 * the place is enough, and at most one vector more than is used there. */
START_TEST(the_plan_has_room_for_the_partial_sums_of_any_member) {
    for (int slots = 1; slots <= 64; slots++) {
        qd_job job = MLP_JOB(slots, slots, QD_OPTIMIZER_SGD, 2, 2);
        qd_graph *graph = NULL;
        qd_timeline *timeline = NULL;
        ck_assert_int_eq(qd_graph_create(1, &graph), 0);
        ck_assert_int_eq(qd_timeline_create(graph, &timeline), 0);
        for (int held = 1; held <= slots; held++) {
            qd_memory_plan *plan = NULL;
            ck_assert_int_eq(qd_memory_plan_create(&job, graph, timeline, held, &plan), 0);
            int most = 0;
            for (int first = 0; first + held <= slots; first++) {
                int depth = qd_tree_stack_depth(slots, first, first + held);
                most = depth > most ? depth : most;
            }
            ck_assert_int_ge(plan->gradient_slots, most);
            ck_assert_int_le(plan->gradient_slots, most + 1);
            qd_memory_plan_destroy(plan);
        }
        qd_timeline_destroy(timeline);
        qd_graph_destroy(graph);
    }
}
END_TEST

/* ---- what a step does ---- */

START_TEST(the_loss_of_a_step_is_the_mean_over_the_global_batch) {
    qd_job job = MLP_JOB(12, 4, QD_OPTIMIZER_SGD, 5, 3);
    qd_engine *engine = engine_of(&job, 0, 4, 1);
    samples s = samples_of(&job, 1);
    qd_state_tensor weight, bias;
    qd_engine_state(engine, 0, &weight);
    qd_engine_state(engine, 1, &bias);
    double mean = 0;
    int correct = 0;
    for (int slot = 0; slot < 4; slot++) {
        qd_batch batch = batch_of(&s, slot);
        const float *inputs = batch.samples;
        for (int i = 0; i < 3; i++) {
            double x[3], sum = 0;
            int best = 0;
            for (int c = 0; c < 3; c++) {
                x[c] = (double)bias.data[c];
                for (int k = 0; k < 5; k++)
                    x[c] += (double)weight.data[5 * c + k] * (double)inputs[5 * i + k];
                sum += exp(x[c]);
                best = x[c] > x[best] ? c : best;
            }
            mean += (log(sum) - x[batch.targets[i]]) / 12;
            correct += best == batch.targets[i];
        }
    }
    run_slots(engine, &s, 0, 4);
    ck_assert_double_eq_tol((double)qd_engine_total(engine, QD_TOTAL_LOSS), mean, 1e-6);
    ck_assert_float_eq(qd_engine_total(engine, QD_TOTAL_CORRECT), (float)correct);
    drop_samples(&s);
    qd_engine_destroy(engine);
}
END_TEST

START_TEST(a_total_is_added_once_and_forgotten_with_the_step) {
    qd_job job = MLP_JOB(8, 4, QD_OPTIMIZER_SGD, 5, 3);
    qd_engine *engine = engine_of(&job, 0, 4, 1);
    samples s = samples_of(&job, 1);
    qd_engine_begin_step(engine, 1);
    qd_engine_add_total(engine, QD_TOTAL_FREE, 1);
    qd_engine_add_total(engine, QD_TOTALS - 1, 65536);
    qd_engine_add_total(engine, QD_TOTALS - 1, 1);
    for (int slot = 0; slot < 4; slot++) {
        qd_batch batch = batch_of(&s, slot);
        ck_assert_int_eq(qd_engine_run_slot(engine, &batch), 0);
    }
    ck_assert_float_eq(qd_engine_total(engine, QD_TOTAL_FREE), 1);
    ck_assert_float_eq(qd_engine_total(engine, QD_TOTALS - 1), 65537);
    run_slots(engine, &s, 0, 4);
    ck_assert_float_eq(qd_engine_total(engine, QD_TOTAL_FREE), 0);
    ck_assert_float_eq(qd_engine_total(engine, QD_TOTALS - 1), 0);
    drop_samples(&s);
    qd_engine_destroy(engine);
}
END_TEST

START_TEST(what_others_leave_between_the_gradients_is_cleared) {
    qd_job job = MLP_JOB(8, 2, QD_OPTIMIZER_SGD, 5, 3);
    qd_engine *engine = engine_of(&job, 0, 2, 1);
    samples s = samples_of(&job, 1);
    int64_t elements = qd_engine_vector_elements(engine);
    float *const *parts;
    int count;
    run_slots(engine, &s, 0, 2);
    qd_engine_parts(engine, &parts, &count);
    float *clean = malloc((size_t)elements * sizeof *clean);
    memcpy(clean, parts[0], (size_t)elements * sizeof *clean);
    for (int64_t i = 0; i < elements; i++)
        parts[0][i] = parts[1][i] = NAN;
    run_slots(engine, &s, 0, 2);
    ck_assert_mem_eq(parts[0], clean, (size_t)elements * sizeof *clean);
    /* weight [3, 5] ends at 15, bias [3] at 16 + 3 */
    ck_assert(clean[15] == 0 && clean[19] == 0 && clean[31] == 0);
    free(clean);
    drop_samples(&s);
    qd_engine_destroy(engine);
}
END_TEST

/* ---- the gradient's length ---- */

/* The sum over slots of one engine that holds them all. */
static const float *summed(qd_engine *engine) {
    float *const *parts;
    int count;
    qd_engine_parts(engine, &parts, &count);
    ck_assert_int_eq(count, 1);
    return parts[0];
}

static double length_of_gradient(qd_engine *engine) {
    const qd_graph *g = qd_engine_graph(engine);
    double squares = 0;
    for (int p = 0; p < g->param_count; p++)
        for (int64_t i = 0; i < qd_shape_elements(&g->params[p].shape); i++)
            squares += pow((double)summed(engine)[g->params[p].offset + i], 2);
    return sqrt(squares);
}

/* The first step of sgd moves by lr times the gradient: clipped, by lr times clip. */
START_TEST(a_gradient_is_measured_and_clipped_over_all_parameters) {
    qd_job job = MLP_JOB(8, 4, QD_OPTIMIZER_SGD, 5, 6, 3);
    static const double clips[] = {0, 0.125, 1e3};
    for (int c = 0; c < 3; c++) {
        job.optimizer.clip = clips[c];
        qd_engine *engine = engine_of(&job, 0, 4, 1), *still = engine_of(&job, 0, 4, 1);
        samples s = samples_of(&job, 1);
        run_slots(engine, &s, 0, 4);
        double norm = length_of_gradient(engine), moved = 0;
        ck_assert_double_gt(norm, 0.125);
        ck_assert_int_eq(qd_engine_update(engine, 1000), 0);
        ck_assert_double_eq_tol(qd_engine_gradient_norm(engine), norm, 1e-12);
        for (int p = 0; p < qd_engine_graph(engine)->param_count; p++) {
            qd_state_tensor a, b;
            qd_engine_state(engine, p, &a);
            qd_engine_state(still, p, &b);
            for (int64_t i = 0; i < qd_slice_elements(&a.slice); i++)
                moved += pow((double)a.data[i] - (double)b.data[i], 2);
        }
        double expected = c == 1 ? 0.125 : norm;
        ck_assert_double_eq_tol(sqrt(moved), 0.05 * expected, 1e-6);
        drop_samples(&s);
        qd_engine_destroy(engine);
        qd_engine_destroy(still);
    }
}
END_TEST

START_TEST(a_gradient_that_is_not_finite_changes_nothing) {
    static const struct {
        float value;
        const char *message;
    } cases[] = {
        {NAN, "the gradient is not a number; try a lower optimizer.learning_rate than 0.05"},
        {-INFINITY, "the gradient is infinite; try a lower optimizer.learning_rate than 0.05"},
    };
    qd_job job = MLP_JOB(8, 4, QD_OPTIMIZER_SGD, 5, 3);
    for (int c = 0; c < 2; c++) {
        qd_engine *engine = engine_of(&job, 0, 4, 1), *still = engine_of(&job, 0, 4, 1);
        samples s = samples_of(&job, 1);
        float *const *parts;
        int count;
        run_slots(engine, &s, 0, 4);
        qd_engine_parts(engine, &parts, &count);
        parts[0][16] = cases[c].value; /* of the bias */
        ck_assert_int_eq(qd_engine_update(engine, 1000), QD_EDATA);
        ck_assert_str_eq(qd_error_message(), cases[c].message);
        assert_same_state(engine, still);
        drop_samples(&s);
        qd_engine_destroy(engine);
        qd_engine_destroy(still);
    }
}
END_TEST

/* Every rule, with all that may be asked of it. */
START_TEST(every_rule_gives_the_same_bits_on_any_number_of_members) {
    static const qd_optimizer_kind kinds[] = {QD_OPTIMIZER_SGD, QD_OPTIMIZER_ADAM,
                                              QD_OPTIMIZER_ADAMW, QD_OPTIMIZER_LAMB,
                                              QD_OPTIMIZER_MUON};
    for (int k = 0; k < 5; k++) {
        qd_job job = MLP_JOB(24, 8, kinds[k], 20, 33, 17, 10);
        job.optimizer.clip = 0.5;
        job.optimizer.l1 = 0.001;
        job.optimizer.weight_decay = 0.1;
        job.optimizer.decay = QD_DECAY_MATRICES;
        job.optimizer.adamw_learning_rate = 0.01;
        assert_same_run(&job, 3, (int[]){0, 2, 5, 8}, 1);
    }
}
END_TEST

/* ---- micro-batches ---- */

START_TEST(micro_batches_give_the_same_bits_on_any_number_of_members) {
    qd_job job = MLP_JOB(48, 8, QD_OPTIMIZER_ADAM, 49, 33, 17, 10);
    job.train.micro_batches = 3;
    assert_same_run(&job, 3, (int[]){0, 2, 5, 8}, 1);
}
END_TEST

/* The gradients of a slot are a sum over its samples, in whatever parts it is taken. */
START_TEST(micro_batches_add_up_to_the_gradient_of_the_slot) {
    qd_job job = MLP_JOB(48, 4, QD_OPTIMIZER_SGD, 49, 33, 10);
    samples s = samples_of(&job, 1);
    qd_engine *whole = engine_of(&job, 0, 4, 1);
    run_slots(whole, &s, 0, 4);
    static const int64_t parts[] = {2, 3, 12};
    for (int k = 0; k < 3; k++) {
        job.train.micro_batches = parts[k];
        qd_engine *engine = engine_of(&job, 0, 4, 1);
        ck_assert_int_eq(qd_engine_graph(engine)->samples, 12 / parts[k]);
        ck_assert_uint_lt(qd_engine_arena_bytes(engine), qd_engine_arena_bytes(whole));
        run_slots(engine, &s, 0, 4);
        for (int64_t i = 0; i < qd_engine_graph(engine)->param_elements; i++)
            ck_assert_float_eq_tol(summed(engine)[i], summed(whole)[i], 1e-6f);
        ck_assert_float_eq_tol(qd_engine_total(engine, QD_TOTAL_LOSS),
                               qd_engine_total(whole, QD_TOTAL_LOSS), 1e-6f);
        ck_assert_float_eq(qd_engine_total(engine, QD_TOTAL_CORRECT),
                           qd_engine_total(whole, QD_TOTAL_CORRECT));
        qd_engine_destroy(engine);
    }
    drop_samples(&s);
    qd_engine_destroy(whole);
}
END_TEST

START_TEST(a_slot_that_cannot_be_cut_is_refused) {
    static const int64_t parts[] = {5, 13};
    for (int k = 0; k < 2; k++) {
        qd_job job = MLP_JOB(48, 4, QD_OPTIMIZER_SGD, 5, 3);
        qd_engine *engine = NULL;
        job.train.micro_batches = parts[k];
        ck_assert_int_eq(qd_engine_create(&job, 0, 4, &qd_backend_cpu, 1, &engine), QD_ECONFIG);
        ck_assert_ptr_nonnull(strstr(qd_error_message(), "does not divide the 12 sample(s)"));
    }
}
END_TEST

/* A step and an evaluation without a check in between, since Check allocates. */
static int work(qd_engine *engine, const samples *s, int64_t step) {
    double loss = 0;
    int64_t correct = 0;
    int rc = 0;
    qd_engine_begin_step(engine, step);
    for (int slot = 0; slot < 8 && !rc; slot++) {
        qd_batch batch = batch_of(s, slot);
        rc = qd_engine_run_slot(engine, &batch);
    }
    if (!rc)
        rc = qd_engine_update(engine, 1000);
    qd_batch batch = batch_of(s, 0);
    return rc ? rc : qd_engine_evaluate(engine, &batch, s->slot_samples, &loss, &correct);
}

START_TEST(after_create_nothing_is_allocated) {
    static const qd_optimizer_kind kinds[] = {QD_OPTIMIZER_ADAM, QD_OPTIMIZER_LAMB,
                                              QD_OPTIMIZER_MUON};
    qd_job job = MLP_JOB(128, 8, kinds[_i], 784, 128, 33, 10);
    qd_engine *engine = engine_of(&job, 0, 8, 1);
    samples s = samples_of(&job, 1);
    ck_assert_int_gt(allocations, 0);
    int before = allocations, rc = 0;
    for (int step = 1; step <= STEPS && !rc; step++)
        rc = work(engine, &s, step);
    int after = allocations;
    ck_assert_int_eq(rc, 0);
    ck_assert_int_eq(after, before);
    drop_samples(&s);
    qd_engine_destroy(engine);
}
END_TEST

/* A sanitizer's allocator never gives the same memory out twice in a row. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool pages_can_be_counted = false;
#else
static const bool pages_can_be_counted = true;
#endif

/* The system may move pages about at any time, so one quiet interval of several is enough. */
START_TEST(after_the_first_steps_no_page_is_faulted_in) {
    qd_job job = MLP_JOB(128, 8, QD_OPTIMIZER_ADAM, 784, 128, 10);
    qd_engine *engine = engine_of(&job, 0, 8, 1);
    samples s = samples_of(&job, 1);
    struct rusage before, after;
    long fewest = LONG_MAX;
    for (int interval = 0; interval < 6; interval++) {
        getrusage(RUSAGE_SELF, &before);
        for (int step = 1; step <= 5; step++)
            ck_assert_int_eq(work(engine, &s, step), 0);
        getrusage(RUSAGE_SELF, &after);
        long faults = after.ru_minflt - before.ru_minflt;
        fewest = faults < fewest ? faults : fewest;
    }
    if (pages_can_be_counted)
        ck_assert_int_eq(fewest, 0);
    drop_samples(&s);
    qd_engine_destroy(engine);
}
END_TEST

START_TEST(the_arena_has_the_size_of_the_plan) {
    qd_job job = MLP_JOB(16, 8, QD_OPTIMIZER_ADAM, 49, 32, 10);
    qd_engine *engine = engine_of(&job, 2, 5, 1);
    qd_timeline *timeline = NULL;
    qd_memory_plan *plan = NULL;
    ck_assert_int_eq(qd_timeline_create(qd_engine_graph(engine), &timeline), 0);
    ck_assert_int_eq(qd_memory_plan_create(&job, qd_engine_graph(engine), timeline, 3, &plan), 0);
    ck_assert_uint_eq(qd_engine_arena_bytes(engine), plan->bytes);
    ck_assert_int_eq(plan->optimizer_vectors, qd_optimizer_facts_of(&job.optimizer)->state_vectors);
    qd_memory_plan_destroy(plan);
    qd_timeline_destroy(timeline);
    qd_engine_destroy(engine);
}
END_TEST

/* ---- evaluation ---- */

START_TEST(evaluation_counts_the_valid_samples_only_and_changes_nothing) {
    qd_job job = MLP_JOB(16, 2, QD_OPTIMIZER_SGD, 49, 32, 10);
    qd_engine *engine = engine_of(&job, 0, 2, 1), *untouched = engine_of(&job, 0, 2, 1);
    samples s = samples_of(&job, 1);
    qd_batch batch = batch_of(&s, 0);
    double all = 0, part = 0;
    int64_t all_correct = 0, part_correct = 0;
    for (int64_t valid = 0; valid <= 8; valid++) {
        double loss = 0;
        int64_t correct = 0;
        ck_assert_int_eq(qd_engine_evaluate(engine, &batch, valid, &loss, &correct), 0);
        ck_assert_double_ge(loss, all);
        ck_assert_int_ge(correct, all_correct);
        all = loss;
        all_correct = correct;
        if (valid == 5) {
            part = loss;
            part_correct = correct;
        }
    }
    /* Rows behind the valid ones are never looked at. */
    s.samples[5 * 49] = NAN;
    s.targets[6] = 99;
    double sum = 1;
    int64_t correct = 2;
    ck_assert_int_eq(qd_engine_evaluate(engine, &batch, 5, &sum, &correct), 0);
    ck_assert_double_eq(sum, 1 + part);
    ck_assert_int_eq(correct, 2 + part_correct);
    ck_assert_int_eq(qd_engine_evaluate(engine, &batch, 9, &sum, &correct), QD_EINTERNAL);
    assert_same_state(engine, untouched);
    drop_samples(&s);
    qd_engine_destroy(engine);
    qd_engine_destroy(untouched);
}
END_TEST

START_TEST(evaluation_and_training_see_the_same_loss) {
    qd_job job = MLP_JOB(8, 1, QD_OPTIMIZER_SGD, 49, 32, 10);
    qd_engine *engine = engine_of(&job, 0, 1, 1);
    samples s = samples_of(&job, 1);
    qd_batch batch = batch_of(&s, 0);
    double loss = 0;
    int64_t correct = 0;
    run_slots(engine, &s, 0, 1);
    ck_assert_int_eq(qd_engine_evaluate(engine, &batch, 8, &loss, &correct), 0);
    ck_assert_float_eq((float)(loss / 8), qd_engine_total(engine, QD_TOTAL_LOSS));
    ck_assert_float_eq((float)correct, qd_engine_total(engine, QD_TOTAL_CORRECT));
    drop_samples(&s);
    qd_engine_destroy(engine);
}
END_TEST

/* ---- state ---- */

START_TEST(initial_weights_are_uniform_and_depend_on_the_seed_alone) {
    qd_job job = MLP_JOB(8, 4, QD_OPTIMIZER_SGD, 784, 128, 10);
    qd_engine *a = engine_of(&job, 0, 4, 1), *b = engine_of(&job, 3, 4, 1);
    assert_same_state(a, b);
    qd_state_tensor weight, other;
    qd_engine_state(a, 0, &weight);
    double n = 784 * 128, scale = 1 / sqrt(784), mean = 0, square = 0;
    for (int i = 0; i < 784 * 128; i++) {
        double w = (double)weight.data[i];
        ck_assert_double_le(fabs(w), scale * (1 + 1e-6));
        mean += w / n;
        square += w * w / n;
    }
    /* Five standard errors; a uniform on [-s, s) has variance s^2/3, its square 4 s^4/45. */
    ck_assert_double_eq_tol(mean, 0, 5 * scale / sqrt(3 * n));
    ck_assert_double_eq_tol(square, scale * scale / 3, 5 * scale * scale * sqrt(4 / 45.0 / n));
    qd_engine_destroy(b);
    job.seed++;
    b = engine_of(&job, 0, 4, 1);
    qd_engine_state(b, 0, &other);
    ck_assert_mem_ne(weight.data, other.data, 784 * 128 * sizeof(float));
    qd_engine_destroy(a);
    qd_engine_destroy(b);
}
END_TEST

START_TEST(state_names_parameters_and_what_the_optimizer_keeps) {
    static const char *const names[] = {"model/layer0.weight",       "model/layer0.bias",
                                        "optimizer/m/layer0.weight", "optimizer/m/layer0.bias",
                                        "optimizer/v/layer0.weight", "optimizer/v/layer0.bias"};
    qd_job job = MLP_JOB(4, 1, QD_OPTIMIZER_ADAM, 5, 3);
    qd_engine *engine = engine_of(&job, 0, 1, 1);
    ck_assert_int_eq(qd_engine_state_count(engine), 6);
    for (int i = 0; i < 6; i++) {
        qd_state_tensor tensor;
        qd_engine_state(engine, i, &tensor);
        ck_assert_str_eq(tensor.name, names[i]);
        ck_assert_int_eq(tensor.slice.whole.dims, i % 2 ? 1 : 2);
        ck_assert_int_eq(qd_slice_elements(&tensor.slice), i % 2 ? 3 : 15);
        for (int e = 0; e < 3 && i >= 2; e++)
            ck_assert_float_eq(tensor.data[e], 0);
    }
    qd_engine_destroy(engine);
    job.optimizer.kind = QD_OPTIMIZER_SGD;
    engine = engine_of(&job, 0, 1, 1);
    qd_state_tensor tensor;
    ck_assert_int_eq(qd_engine_state_count(engine), 4);
    qd_engine_state(engine, 3, &tensor);
    ck_assert_str_eq(tensor.name, "optimizer/momentum/layer0.bias");
    qd_engine_destroy(engine);
}
END_TEST

/* Saving and loading is copying the tensors: a run that goes on in another engine goes on as if
 * nothing had happened. */
START_TEST(a_run_continues_bitwise_from_copied_state) {
    qd_job job = MLP_JOB(16, 4, QD_OPTIMIZER_ADAM, 49, 32, 10);
    gang straight = gang_of(&job, 1, (int[]){0, 4}, 1);
    gang resumed = gang_of(&job, 2, (int[]){0, 1, 4}, 1);
    for (uint32_t step = 1; step <= 2; step++)
        free(gang_step(&straight, step));
    for (int m = 0; m < 2; m++)
        for (int i = 0; i < qd_engine_state_count(straight.engines[0]); i++) {
            qd_state_tensor from, to;
            qd_engine_state(straight.engines[0], i, &from);
            qd_engine_state(resumed.engines[m], i, &to);
            memcpy(to.data, from.data, (size_t)qd_slice_elements(&to.slice) * sizeof(float));
        }
    free(gang_step(&straight, 3));
    free(gang_step(&resumed, 3));
    assert_same_state(straight.engines[0], resumed.engines[1]);
    drop_gang(&straight);
    drop_gang(&resumed);
}
END_TEST

/* ---- refusals ---- */

START_TEST(a_target_outside_the_classes_names_slot_and_operator) {
    qd_job job = MLP_JOB(8, 4, QD_OPTIMIZER_SGD, 5, 3);
    qd_engine *engine = engine_of(&job, 2, 4, 1);
    samples s = samples_of(&job, 1);
    s.targets[5] = 3;
    qd_batch batch = batch_of(&s, 2);
    qd_engine_begin_step(engine, 1);
    ck_assert_int_eq(qd_engine_run_slot(engine, &batch), QD_EDATA);
    ck_assert_str_eq(qd_error_message(), "slot 2: forward of loss: target 3 at position 1 of the "
                                         "batch; targets lie in 0 .. 2");
    drop_samples(&s);
    qd_engine_destroy(engine);
}
END_TEST

START_TEST(a_slot_too_many_is_refused) {
    qd_job job = MLP_JOB(8, 4, QD_OPTIMIZER_SGD, 5, 3);
    qd_engine *engine = engine_of(&job, 1, 3, 1);
    samples s = samples_of(&job, 1);
    qd_batch batch = batch_of(&s, 3);
    run_slots(engine, &s, 1, 3);
    ck_assert_int_eq(qd_engine_run_slot(engine, &batch), QD_EINTERNAL);
    ck_assert_str_eq(qd_error_message(), "all slots of the step, 1 .. 2, have run already");
    drop_samples(&s);
    qd_engine_destroy(engine);
}
END_TEST

START_TEST(an_engine_that_cannot_be_is_refused) {
    qd_job job = MLP_JOB(8, 4, QD_OPTIMIZER_SGD, 5, 3);
    qd_engine *engine = NULL;
    const qd_backend *cpu = &qd_backend_cpu;
    ck_assert_int_eq(qd_engine_create(&job, 2, 5, cpu, 1, &engine), QD_ECONFIG);
    ck_assert_str_eq(qd_error_message(),
                     "slots 2 .. 4 of a job with 4; an engine holds at least one of them");
    ck_assert_int_eq(qd_engine_create(&job, 2, 2, cpu, 1, &engine), QD_ECONFIG);
    ck_assert_int_eq(qd_engine_create(&job, 0, 4, cpu, 0, &engine), QD_ECONFIG);
    job.model.classes = 0;
    ck_assert_int_eq(qd_engine_create(&job, 0, 4, cpu, 1, &engine), QD_ECONFIG);
    ck_assert_ptr_nonnull(strstr(qd_error_message(), "layer0.weight"));
    job.model.classes = INT64_C(1) << 41;
    ck_assert_int_eq(qd_engine_create(&job, 0, 4, cpu, 1, &engine), QD_ENOMEM);
    ck_assert_ptr_null(engine);
    qd_engine_destroy(NULL);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("engine");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, eight_slots_give_the_same_bits_on_any_number_of_members);
    tcase_add_test(tc, slots_that_are_no_power_of_two_give_the_same_bits);
    tcase_add_test(tc, members_of_two_threads_give_the_same_bits_among_themselves);
    tcase_add_test(tc, the_plan_has_room_for_the_partial_sums_of_any_member);
    tcase_add_test(tc, the_loss_of_a_step_is_the_mean_over_the_global_batch);
    tcase_add_test(tc, a_total_is_added_once_and_forgotten_with_the_step);
    tcase_add_test(tc, what_others_leave_between_the_gradients_is_cleared);
    tcase_add_test(tc, a_gradient_is_measured_and_clipped_over_all_parameters);
    tcase_add_test(tc, a_gradient_that_is_not_finite_changes_nothing);
    tcase_add_test(tc, every_rule_gives_the_same_bits_on_any_number_of_members);
    tcase_add_test(tc, micro_batches_give_the_same_bits_on_any_number_of_members);
    tcase_add_test(tc, micro_batches_add_up_to_the_gradient_of_the_slot);
    tcase_add_test(tc, a_slot_that_cannot_be_cut_is_refused);
    tcase_add_loop_test(tc, after_create_nothing_is_allocated, 0, 3);
    tcase_add_test(tc, after_the_first_steps_no_page_is_faulted_in);
    tcase_add_test(tc, the_arena_has_the_size_of_the_plan);
    tcase_add_test(tc, evaluation_counts_the_valid_samples_only_and_changes_nothing);
    tcase_add_test(tc, evaluation_and_training_see_the_same_loss);
    tcase_add_test(tc, initial_weights_are_uniform_and_depend_on_the_seed_alone);
    tcase_add_test(tc, state_names_parameters_and_what_the_optimizer_keeps);
    tcase_add_test(tc, a_run_continues_bitwise_from_copied_state);
    tcase_add_test(tc, a_target_outside_the_classes_names_slot_and_operator);
    tcase_add_test(tc, a_slot_too_many_is_refused);
    tcase_add_test(tc, an_engine_that_cannot_be_is_refused);
    Suite *suite = suite_create("worker/engine");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
