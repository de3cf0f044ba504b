/*
 * A tensor group over real MPI against one engine that holds all tensor slots: the same loss and
 * gradient norm, bit for bit, in each step and in an evaluation, whether tokens are shared out or
 * not; as many bytes as the formulas of tensor parallelism (Shoeybi et al., arXiv 1909.08053, 3)
 * and of sequence parallelism (Korthikanti et al., arXiv 2205.05198, 4.2.2) say; nothing allocated
 * once steps repeat; and less memory.
 */
#include "mpi_check.h"
#include "test/worker/count_allocations.h"
#include "test/worker/small_job.h"
#include "worker/engine.h"
#include "worker/tensor_group.h"

enum { SLOTS = 4, STEPS = 4, WARM_UP = 2, MICRO_BATCHES = 2, LAYERS = 2, WIDTH = 64, LENGTH = 32 };

/* One member, and beside it one engine that has all slots. */
typedef struct pair {
    qd_job job;
    qd_batch batch;
    qd_group *group;
    qd_tensor_group *tensor;
    qd_engine *member, *alone;
} pair;

static void load_job(mpi_test *t, const char *name, qd_precision precision, bool sequence,
                     qd_job *job) {
    char file[512];
    snprintf(file, sizeof file, "%s/conf/jobs/%s.yaml", QD_SOURCE_DIR, name);
    CHECK(t, qd_job_load(file, job) == 0);
    job->model.layers = LAYERS;
    job->model.heads = job->model.kv_heads = SLOTS;
    job->model.width = WIDTH;
    job->model.dropout = 0.1;
    if (job->model.family == QD_FAMILY_GPT)
        job->model.context = job->model.length = LENGTH;
    job->train.batch = SMALL_BATCH;
    job->train.micro_batches = MICRO_BATCHES;
    job->train.precision = precision;
    job->slots_data = 1;
    job->slots_tensor = SLOTS;
    job->layout_tp = t->world->size;
    job->layout_sequence_parallel = sequence;
}

static bool open_pair(mpi_test *t, pair *p) {
    int members[SLOTS], size = t->world->size;
    qd_engine_place place = {
        .end_slot = 1, .members = 1, .tensor_member = t->world->rank, .tensor_members = size};
    qd_group_config config = members_from(t, members, 0, size);
    p->batch = small_batch(&p->job);
    int rc = qd_group_create(&config, &p->group);
    if (!rc)
        rc = qd_tensor_group_create(p->group, SLOTS, NULL, &p->tensor);
    if (!rc)
        rc = qd_engine_create_member(&p->job, &place, &qd_backend_cpu, 1, &p->member);
    if (!rc)
        rc = qd_engine_create(&p->job, 0, 1, &qd_backend_cpu, 1, &p->alone);
    CHECK(t, rc == 0);
    if (!rc)
        qd_engine_connect_tensor(p->member, qd_tensor_group_exchange(p->tensor));
    return rc == 0;
}

static void close_pair(pair *p) {
    qd_tensor_group_destroy(p->tensor);
    qd_group_destroy(p->group);
    qd_engine_destroy(p->member);
    qd_engine_destroy(p->alone);
    free_small_batch(&p->batch);
}

static int run_step(const pair *p, qd_engine *engine, int64_t step) {
    qd_engine_begin_step(engine, step);
    int rc = qd_engine_run_slot(engine, &p->batch);
    return rc ? rc : qd_engine_update(engine, 1000);
}

/* ---- bytes ---- */

typedef struct sent {
    uint64_t all_reduce, reduce_scatter, all_gather;
} sent;

static sent sent_so_far(const qd_group *g) {
    return (sent){qd_group_bytes_of(g, QD_CALL_ALLREDUCE),
                  qd_group_bytes_of(g, QD_CALL_REDUCE_SCATTER),
                  qd_group_bytes_of(g, QD_CALL_ALL_GATHER)};
}

/*
 * What a member sends in a step of a gpt, all sizes being multiples of the members. Of activations
 * [rows, width] the embedding and, in each block, the two layers that come back to the residual
 * stream are added up in forward, and the two that spread out from it and the head in backward:
 * that is all-reduces or, where tokens are shared, reduce-scatters. These also gather: in forward
 * what spreads out its inputs; in backward what comes back its outputs' gradients, the embedding
 * likewise, and what spreads out its inputs once more, so that they need not be kept. In bf16
 * products' inputs travel in two bytes. Small, and only then: the gradients of the norms, of the
 * biases behind what comes back, and of the positions. Always: of the losses a maximum, three sums
 * and the score; and of the gradient's length eight bytes for each parameter that is cut.
 */
static sent formula(const pair *p, uint64_t m) {
    uint64_t rows = SMALL_BATCH / MICRO_BATCHES * LENGTH, all = rows * WIDTH * 4;
    uint64_t sums = 4 * LAYERS + 2, gathers = 6 * LAYERS + 2;
    uint64_t half = p->job.train.precision == QD_PRECISION_BF16 ? 2 : 1;
    uint64_t small = (2 * LAYERS + 1) * 2 * WIDTH + 2 * LAYERS * WIDTH + LENGTH * WIDTH;
    sent s = {.all_reduce = 2 * (m - 1) * 3 * rows * 4 / m, .all_gather = (m - 1) * 3 * rows * 4};
    if (p->job.layout_sequence_parallel) {
        s.all_reduce += 2 * (m - 1) * small * 4 / m;
        s.reduce_scatter = sums * (m - 1) * all / m;
        s.all_gather += (gathers * all / half + all) / m * (m - 1);
    } else {
        s.all_reduce += sums * 2 * (m - 1) * all / m;
    }
    s.all_reduce *= MICRO_BATCHES;
    s.reduce_scatter *= MICRO_BATCHES;
    s.all_gather = s.all_gather * MICRO_BATCHES + (m - 1) * 8 * (1 + 6 * LAYERS) * (SLOTS / m);
    return s;
}

/* One slot a member, as above. */
static void check_bytes(mpi_test *t, const pair *p, sent before) {
    uint64_t m = (uint64_t)t->world->size;
    sent now = sent_so_far(p->group), expected = formula(p, m);
    if (SLOTS % m != 0 || p->job.model.family != QD_FAMILY_GPT || pretends_hosts(t))
        return;
    CHECK(t, now.all_reduce - before.all_reduce == expected.all_reduce);
    CHECK(t, now.reduce_scatter - before.reduce_scatter == expected.reduce_scatter);
    CHECK(t, now.all_gather - before.all_gather == expected.all_gather);
}

/* ---- results ---- */

static void compare_step(mpi_test *t, const pair *p, int64_t step) {
    int before = allocations;
    sent s = sent_so_far(p->group);
    CHECK(t, run_step(p, p->member, step) == 0);
    CHECK(t, step <= WARM_UP || allocations == before);
    check_bytes(t, p, s);
    CHECK(t, run_step(p, p->alone, step) == 0);
    float ours = qd_engine_total(p->member, QD_TOTAL_LOSS);
    float theirs = qd_engine_total(p->alone, QD_TOTAL_LOSS);
    double norm = qd_engine_gradient_norm(p->member), whole = qd_engine_gradient_norm(p->alone);
    CHECK(t, memcmp(&ours, &theirs, sizeof ours) == 0);
    CHECK(t, memcmp(&norm, &whole, sizeof norm) == 0);
}

static void compare_evaluation(mpi_test *t, const pair *p) {
    double ours = 0, theirs = 0;
    int64_t right = 0, theirs_right = 0, valid = SMALL_BATCH / MICRO_BATCHES - 1;
    CHECK(t, qd_engine_evaluate(p->member, &p->batch, valid, &ours, &right) == 0);
    CHECK(t, qd_engine_evaluate(p->alone, &p->batch, valid, &theirs, &theirs_right) == 0);
    CHECK(t, memcmp(&ours, &theirs, sizeof ours) == 0 && right == theirs_right);
}

static void compare(mpi_test *t, const char *name, qd_precision precision) {
    size_t arena[2] = {0};
    for (int sequence = 0; sequence <= 1; sequence++) {
        pair p = {0};
        load_job(t, name, precision, sequence, &p.job);
        bool good = open_pair(t, &p);
        for (int64_t step = 1; good && step <= STEPS; step++)
            compare_step(t, &p, step);
        if (good)
            compare_evaluation(t, &p);
        arena[sequence] = good ? qd_engine_arena_bytes(p.member) : 0;
        close_pair(&p);
    }
    CHECK(t, arena[1] < arena[0]);
}

static void a_gpt_trains_as_on_one(mpi_test *t) {
    compare(t, "shakespeare-gpt", QD_PRECISION_FP32);
    compare(t, "shakespeare-gpt", QD_PRECISION_BF16);
}

static void a_bert_trains_as_on_one(mpi_test *t) {
    compare(t, "languages-bert", QD_PRECISION_FP32);
}

static const mpi_test_row rows[] = {
    {"a_gpt_trains_as_on_one", a_gpt_trains_as_on_one},
    {"a_bert_trains_as_on_one", a_bert_trains_as_on_one},
};

int main(int argc, char **argv) {
    return mpi_test_main(argc, argv, rows, sizeof rows / sizeof *rows);
}
