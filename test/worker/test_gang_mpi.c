/*
 * A gang over real MPI against one engine that holds all slots: the same loss, gradient norm and
 * weights, bit for bit, in each step and whatever is kept by shards; as many bytes as the formulas
 * of data parallelism and ZeRO say (Rajbhandari et al., arXiv 1910.02054, section 7); and nothing
 * allocated once steps repeat.
 */
#include "mpi_check.h"
#include "test/worker/count_allocations.h"
#include "test/worker/small_job.h"
#include "worker/engine.h"

enum { SLOTS = SMALL_BATCH, STEPS = 5, WARM_UP = 2, MOST_RANKS = 8 };

/* One member, and beside it one engine that is alone. */
typedef struct pair {
    qd_job job;
    qd_batch batch;
    int starts[MOST_RANKS + 1];
    qd_group *group;
    qd_progress *progress;
    qd_exchange *exchange;
    qd_engine *member, *alone;
} pair;

static bool open_pair(mpi_test *t, pair *p) {
    int members[MOST_RANKS], size = t->world->size, me = t->world->rank;
    for (int i = 0; i <= size; i++)
        p->starts[i] = i * SLOTS / size;
    qd_engine_place place = {.first_slot = p->starts[me],
                             .end_slot = p->starts[me + 1],
                             .index = me,
                             .members = size,
                             .tensor_members = 1};
    qd_slot_ranges ranges = {.leaves = SLOTS, .starts = p->starts};
    qd_group_config config = members_from(t, members, 0, size);
    p->batch = small_batch(&p->job);
    int rc = qd_progress_create(&p->progress);
    config.progress = p->progress;
    if (!rc)
        rc = qd_group_create(&config, &p->group);
    if (!rc)
        rc = qd_engine_create_member(&p->job, &place, &qd_backend_cpu, 1, &p->member);
    if (!rc)
        rc = qd_engine_create(&p->job, 0, SLOTS, &qd_backend_cpu, 1, &p->alone);
    if (!rc)
        rc = qd_exchange_create(p->group, &ranges, qd_engine_buckets(p->member),
                                qd_engine_shards(p->member), NULL, &p->exchange);
    CHECK(t, rc == 0);
    if (!rc)
        qd_engine_connect(p->member, p->exchange);
    return rc == 0;
}

static void close_pair(pair *p) {
    qd_group_destroy(p->group);
    qd_progress_destroy(p->progress);
    qd_exchange_destroy(p->exchange);
    qd_engine_destroy(p->member);
    qd_engine_destroy(p->alone);
    free_small_batch(&p->batch);
}

/* The batch is slots of one sample. */
static int run_step(const pair *p, qd_engine *engine, int first, int end, int64_t step) {
    qd_sample_spec spec = qd_family_sample_spec(&p->job);
    int rc = 0;
    qd_engine_begin_step(engine, step);
    for (int slot = first; slot < end && !rc; slot++) {
        qd_batch batch = {(const char *)p->batch.samples +
                              (size_t)(slot * spec.inputs) * qd_dtype_bytes(spec.input_dtype),
                          p->batch.targets + slot * spec.targets};
        rc = qd_engine_run_slot(engine, &batch);
    }
    return rc ? rc : qd_engine_update(engine, 1000);
}

/* Whatever the member holds of a tensor stands in the whole one, too. */
static bool same_state(const pair *p) {
    for (int i = 0; i < qd_engine_state_count(p->member); i++) {
        qd_state_tensor part, whole = {0};
        qd_engine_state(p->member, i, &part);
        for (int k = 0; k < qd_engine_state_count(p->alone); k++) {
            qd_engine_state(p->alone, k, &whole);
            if (strcmp(whole.name, part.name) == 0)
                break;
        }
        int64_t row = part.slice.whole.dims
                          ? qd_shape_elements(&part.slice.whole) / part.slice.whole.dim[0]
                          : 1;
        int64_t from = part.slice.whole.dims ? part.slice.offset[0] * row : 0;
        if (strcmp(whole.name, part.name) != 0 ||
            memcmp(part.data, whole.data + from,
                   (size_t)qd_slice_elements(&part.slice) * sizeof(float)) != 0)
            return false;
    }
    return true;
}

typedef struct sent {
    uint64_t all_reduce, reduce_scatter, all_gather;
} sent;

static sent sent_so_far(const qd_group *g) {
    return (sent){qd_group_bytes_of(g, QD_CALL_ALLREDUCE),
                  qd_group_bytes_of(g, QD_CALL_REDUCE_SCATTER),
                  qd_group_bytes_of(g, QD_CALL_ALL_GATHER)};
}

static uint64_t own_blocks(const pair *p, int me) {
    uint64_t blocks = 0;
    for (int b = 0; b < qd_engine_buckets(p->member)->count; b++) {
        int first, end;
        qd_shards_blocks(qd_engine_shards(p->member), b, me, &first, &end);
        blocks += (uint64_t)(end - first);
    }
    return blocks;
}

/* Of a step of a member of m, each of one node vector of the sum: beside gradients and parameters
 * 16 totals travel, and where there are shards a double for each block of rows (with a rule that
 * adapts three). */
static void check_bytes(mpi_test *t, const pair *p, sent s) {
    uint64_t m = (uint64_t)t->world->size, totals = 2 * (m - 1) * 16 * 4 / m;
    uint64_t all = (uint64_t)qd_engine_graph(p->member)->param_elements * 4;
    if (p->job.layout_zero == 0) {
        CHECK(t, s.all_reduce == 2 * (m - 1) * all / m + totals);
        CHECK(t, s.reduce_scatter == 0 && s.all_gather == 0);
        return;
    }
    uint64_t own = (uint64_t)qd_engine_shards(p->member)->elements[t->world->rank] * 4;
    uint64_t doubles = p->job.optimizer.kind == QD_OPTIMIZER_LAMB ? 3 : 1;
    CHECK(t, s.all_reduce == totals);
    CHECK(t, s.reduce_scatter == all - own);
    CHECK(t, s.all_gather == (m - 1) * (own + 8 * doubles * own_blocks(p, t->world->rank)));
}

static void compare_step(mpi_test *t, pair *p, int64_t step) {
    int me = t->world->rank, before = allocations;
    sent s = sent_so_far(p->group);
    int rc = run_step(p, p->member, p->starts[me], p->starts[me + 1], step);
    if (!rc)
        rc = qd_engine_settle(p->member);
    CHECK(t, rc == 0);
    CHECK(t, step <= WARM_UP || allocations == before);
    sent now = sent_so_far(p->group);
    if (SLOTS % t->world->size == 0 && !pretends_hosts(t))
        check_bytes(t, p,
                    (sent){now.all_reduce - s.all_reduce, now.reduce_scatter - s.reduce_scatter,
                           now.all_gather - s.all_gather});
    CHECK(t, run_step(p, p->alone, 0, SLOTS, step) == 0);
    float ours = qd_engine_total(p->member, QD_TOTAL_LOSS);
    float theirs = qd_engine_total(p->alone, QD_TOTAL_LOSS);
    double norm = qd_engine_gradient_norm(p->member), whole = qd_engine_gradient_norm(p->alone);
    CHECK(t, memcmp(&ours, &theirs, sizeof ours) == 0);
    CHECK(t, memcmp(&norm, &whole, sizeof norm) == 0);
    CHECK(t, same_state(p));
}

static void make_small(qd_model_spec *gpt) {
    gpt->layers = gpt->heads = gpt->kv_heads = 2;
    gpt->width = 64;
    gpt->context = gpt->length = 32;
}

static void compare(mpi_test *t, const char *name, qd_optimizer_kind optimizer,
                    qd_precision precision, int64_t recompute) {
    char file[512];
    snprintf(file, sizeof file, "%s/conf/jobs/%s.yaml", QD_SOURCE_DIR, name);
    for (int zero = 0; zero <= 2; zero++) {
        pair p = {0};
        CHECK(t, qd_job_load(file, &p.job) == 0);
        if (p.job.model.family == QD_FAMILY_GPT)
            make_small(&p.job.model);
        p.job.train.batch = SLOTS;
        p.job.slots_data = SLOTS;
        p.job.train.precision = precision;
        p.job.train.recompute = recompute;
        p.job.optimizer.kind = optimizer;
        p.job.optimizer.adamw_learning_rate = p.job.optimizer.learning_rate;
        p.job.optimizer.clip = 0.5;
        p.job.layout_zero = zero;
        p.job.layout_bucket_mib = 0.125;
        bool good = open_pair(t, &p);
        for (int64_t step = 1; good && step <= STEPS; step++)
            compare_step(t, &p, step);
        if (good && zero > 0 && t->world->size > 1)
            CHECK(t, qd_engine_arena_bytes(p.member) < qd_engine_arena_bytes(p.alone));
        close_pair(&p);
    }
}

static void a_perceptron_trains_as_on_one(mpi_test *t) {
    compare(t, "fashion-mlp", QD_OPTIMIZER_SGD, QD_PRECISION_FP32, 0);
    compare(t, "fashion-mlp", QD_OPTIMIZER_LAMB, QD_PRECISION_FP32, 0);
    compare(t, "fashion-mlp", QD_OPTIMIZER_MUON, QD_PRECISION_BF16, 0);
}

static void convolutions_and_batch_norms_train_as_on_one(mpi_test *t) {
    compare(t, "fashion-separable", QD_OPTIMIZER_ADAM, QD_PRECISION_FP32, 0);
}

static void recurrent_layers_train_as_on_one(mpi_test *t) {
    compare(t, "languages-lstm", QD_OPTIMIZER_ADAMW, QD_PRECISION_FP32, 1);
    compare(t, "languages-lstm", QD_OPTIMIZER_LAMB, QD_PRECISION_BF16, 0);
}

static void a_transformer_trains_as_on_one(mpi_test *t) {
    compare(t, "shakespeare-gpt", QD_OPTIMIZER_MUON, QD_PRECISION_FP32, 2);
    compare(t, "shakespeare-gpt", QD_OPTIMIZER_ADAMW, QD_PRECISION_BF16, 0);
}

/* A label that is a number but no class would be an error; a weight that is not a number makes
 * everybody's loss and gradient one that is not, at the same step. */
static void what_is_not_a_number_on_one_stops_all_alike(mpi_test *t) {
    char file[512], said[QD_ERROR_BYTES] = "";
    snprintf(file, sizeof file, "%s/conf/jobs/fashion-mlp.yaml", QD_SOURCE_DIR);
    for (int zero = 0; zero <= 2; zero++) {
        pair p = {0};
        CHECK(t, qd_job_load(file, &p.job) == 0);
        p.job.train.batch = p.job.slots_data = SLOTS;
        p.job.layout_zero = zero;
        if (open_pair(t, &p)) {
            int me = t->world->rank;
            if (me == t->world->size - 1)
                ((float *)(uintptr_t)p.batch.samples)[(SLOTS - 1) * 784] = (float)NAN;
            int rc = run_step(&p, p.member, p.starts[me], p.starts[me + 1], 1);
            CHECK(t, rc == QD_EDATA);
            snprintf(said, sizeof said, "%s", qd_error_message());
            CHECK(t, strncmp(said, "the gradient is not a number", 28) == 0);
        }
        close_pair(&p);
    }
}

static const mpi_test_row rows[] = {
    {"a_perceptron_trains_as_on_one", a_perceptron_trains_as_on_one},
    {"convolutions_and_batch_norms_train_as_on_one", convolutions_and_batch_norms_train_as_on_one},
    {"recurrent_layers_train_as_on_one", recurrent_layers_train_as_on_one},
    {"a_transformer_trains_as_on_one", a_transformer_trains_as_on_one},
    {"what_is_not_a_number_on_one_stops_all_alike", what_is_not_a_number_on_one_stops_all_alike},
};

int main(int argc, char **argv) {
    return mpi_test_main(argc, argv, rows, sizeof rows / sizeof *rows);
}
