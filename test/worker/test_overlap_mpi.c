/*
 * What of the communication of data parallelism shows in a step, over a link that is made slow
 * (qd_group_config): the engine's own buckets, in the order and at the times at which backward
 * completes them, behind computing that is slept: each node takes its share of the pass by its
 * FLOPs, so that ranks without a core of their own measure the same.
 *
 *   shows = step with communication - step without      hidden = 1 - shows / communication
 *
 * the latter being a step's bytes, which test_gang_mpi.c holds to their formula, and its calls,
 * times what each takes. Behind backward nothing is left to hide the last bucket's sum, and before
 * forward nothing the first gather, so that it cannot be all. Others that are at work on this
 * machine may make a step longer, and never shorter: of several, the shortest of each count.
 */
#include <math.h>
#include <time.h>

#include "models/op.h"
#include "mpi_check.h"
#include "test/worker/small_job.h"
#include "worker/engine.h"

enum { MEMBERS = 2, ATTEMPTS = 10 };
static const double forward_s = 0.1, backward_s = 0.2;
static const double link_s = 0.12; /* a step's bytes on the link; its calls come on top */
static const double call_s = 0.0001;
static const double enough = 0.9;

/* ---- computing that is slept ---- */

/* By how much the last sleep was too long; the next one is the shorter, or a step of hundreds of
 * them would take as long as the machine is busy. */
static int64_t overslept_ns;

static void compute_until(int64_t ns) {
    int64_t due_ns = ns - overslept_ns;
    struct timespec due = {.tv_sec = due_ns / 1000000000, .tv_nsec = due_ns % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL))
        ;
    overslept_ns = qd_clock_now_ns() - due_ns;
}

static int64_t share_ns(double pass_s, double flops, double of) {
    return (int64_t)(pass_s * 1e9 * flops / of);
}

static int slow_forward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                        const qd_operands *operands) {
    int64_t start = qd_clock_now_ns();
    int rc = qd_backend_cpu.forward(context, graph, node, operands);
    compute_until(start + share_ns(forward_s, node->op->forward_flops(graph, node),
                                   qd_graph_forward_flops(graph)));
    return rc;
}

static int slow_backward(qd_backend_context *context, const qd_graph *graph, const qd_node *node,
                         const qd_operands *operands) {
    int64_t start = qd_clock_now_ns();
    int rc = qd_backend_cpu.backward(context, graph, node, operands);
    compute_until(start + share_ns(backward_s, node->op->backward_flops(graph, node),
                                   qd_graph_backward_flops(graph)));
    return rc;
}

/* ---- a member, and the same alone ---- */

typedef struct member {
    qd_job job;
    qd_batch batch;
    qd_group *group;
    qd_progress *progress; /* NULL: nobody moves what is under way while the member computes */
    qd_exchange *exchange;
    qd_engine *engine, *alone;
    double byte_s;
} member;

static const char job_text[] = "name: overlap\n"
                               "model: {family: gpt, vocabulary: 64, layers: 12, heads: 2, width: "
                               "64, context: 16, dropout: 0}\n"
                               "data: {format: text, folder: ., file: a.txt}\n"
                               "train: {batch: 2, steps: 100}\n"
                               "optimizer: {kind: sgd, learning_rate: 0.001, clip: 1}\n"
                               "slots: {data: 2}\n"
                               "layout: {dp: 2, bucket_mib: 0.03}\n";

/* Bytes that a member of two sends in a step, in sums and gathers alike: P floats of parameters. */
static double bytes_of_step(const qd_engine *engine) {
    return (double)qd_engine_graph(engine)->param_elements * sizeof(float);
}

static int open_group(mpi_test *t, member *m, bool has_thread) {
    int ranks[MEMBERS], rc = has_thread ? qd_progress_create(&m->progress) : 0;
    qd_group_config config = members_from(t, ranks, 0, MEMBERS);
    m->byte_s = link_s / bytes_of_step(m->engine);
    config.progress = m->progress;
    config.delay_per_operation_s = call_s;
    config.delay_per_byte_s = m->byte_s;
    return rc ? rc : qd_group_create(&config, &m->group);
}

static bool open_member(mpi_test *t, member *m, int zero, bool has_thread) {
    static qd_backend slow;
    static const int starts[] = {0, 1, 2};
    int me = t->world->rank;
    qd_engine_place place = {.first_slot = starts[me],
                             .end_slot = starts[me + 1],
                             .index = me,
                             .members = MEMBERS,
                             .tensor_members = 1};
    qd_engine_place alone = {
        .first_slot = starts[me], .end_slot = starts[me + 1], .members = 1, .tensor_members = 1};
    slow = qd_backend_cpu;
    slow.forward = slow_forward;
    slow.backward = slow_backward;
    *m = (member){0};
    int rc = qd_job_parse("job.yaml", job_text, strlen(job_text), &m->job);
    m->job.layout_zero = zero;
    if (!rc)
        rc = qd_engine_create_member(&m->job, &place, &slow, 1, &m->engine);
    if (!rc)
        rc = qd_engine_create_member(&m->job, &alone, &slow, 1, &m->alone);
    if (!rc)
        rc = open_group(t, m, has_thread);
    if (!rc)
        rc = qd_exchange_create(m->group, &(qd_slot_ranges){.leaves = MEMBERS, .starts = starts},
                                qd_engine_buckets(m->engine), qd_engine_shards(m->engine), NULL,
                                &m->exchange);
    CHECK(t, rc == 0);
    if (rc)
        return false;
    m->batch = small_batch(&m->job);
    qd_engine_connect(m->engine, m->exchange);
    return true;
}

static void close_member(member *m) {
    qd_group_destroy(m->group);
    qd_progress_destroy(m->progress);
    qd_exchange_destroy(m->exchange);
    qd_engine_destroy(m->engine);
    qd_engine_destroy(m->alone);
    free_small_batch(&m->batch);
}

/* ---- steps ---- */

static int run_step(const member *m, qd_engine *engine, int64_t step) {
    overslept_ns = 0;
    qd_engine_begin_step(engine, step);
    int rc = qd_engine_run_slot(engine, &m->batch);
    return rc ? rc : qd_engine_update(engine, 100);
}

static uint64_t calls_so_far(const qd_group *group) {
    return qd_group_calls_of(group, QD_CALL_ALLREDUCE) +
           qd_group_calls_of(group, QD_CALL_REDUCE_SCATTER) +
           qd_group_calls_of(group, QD_CALL_ALL_GATHER);
}

typedef struct measured {
    double alone_s, together_s, communication_s;
} measured;

/* A step as it repeats: behind its forward run the gathers of the one before. */
static measured measure(mpi_test *t, const member *m) {
    measured got;
    int64_t start = qd_clock_now_ns();
    CHECK(t, run_step(m, m->alone, 1) == 0);
    got.alone_s = seconds_since(start);
    CHECK(t, qd_group_barrier(m->group) == 0);
    CHECK(t, run_step(m, m->engine, 1) == 0);
    start = qd_clock_now_ns();
    uint64_t calls = calls_so_far(m->group);
    CHECK(t, run_step(m, m->engine, 2) == 0);
    got.together_s = seconds_since(start);
    calls = calls_so_far(m->group) - calls;
    CHECK(t, qd_engine_settle(m->engine) == 0);
    got.communication_s = link_s + (double)calls * call_s;
    return got;
}

static double hidden_share(measured shortest) {
    return 1 - (shortest.together_s - shortest.alone_s) / shortest.communication_s;
}

static bool is_between(double value, double least, double most) {
    return value >= least && value <= most;
}

/* Attempts until it lies between the two, as all members find. */
static double hidden_by(mpi_test *t, int zero, bool has_thread, double least, double most) {
    member m;
    measured shortest = {INFINITY, INFINITY, 0};
    double hidden = NAN;
    if (!open_member(t, &m, zero, has_thread))
        return hidden;
    for (int i = 0; i < ATTEMPTS && !is_between(hidden, least, most); i++) {
        measured got = measure(t, &m);
        shortest.alone_s = fmin(shortest.alone_s, got.alone_s);
        shortest.together_s = fmin(shortest.together_s, got.together_s);
        shortest.communication_s = got.communication_s;
        hidden = hidden_share(shortest);
        MPI_Bcast(&hidden, 1, MPI_DOUBLE, 0, MPI_COMM_WORLD);
    }
    if (t->world->rank == 0)
        printf("        ZeRO %d, %d buckets%s: %.3f s, alone %.3f; of %.3f s of communication "
               "%.1f %% are hidden\n",
               zero, qd_engine_buckets(m.engine)->count, has_thread ? "" : ", no thread",
               shortest.together_s, shortest.alone_s, shortest.communication_s, 100 * hidden);
    close_member(&m);
    return hidden;
}

static void sums_hide_behind_backward(mpi_test *t) {
    CHECK(t, is_between(hidden_by(t, 0, true, enough, 1), enough, 1));
}

/* ZeRO 1 exchanges the same. */
static void half_of_them_and_gathers_hide_behind_both_passes(mpi_test *t) {
    CHECK(t, is_between(hidden_by(t, 2, true, enough, 1), enough, 1));
}

/* It is the communication thread that hides it: without one nothing moves meanwhile. */
static void without_the_thread_it_shows(mpi_test *t) {
    CHECK(t, is_between(hidden_by(t, 0, false, -1, 0.5), -1, 0.5));
}

int main(int argc, char **argv) {
#define ROW(test)                                                                                  \
    { #test, test }
    static const mpi_test_row rows[] = {
        ROW(sums_hide_behind_backward),
        ROW(half_of_them_and_gathers_hide_behind_both_passes),
        ROW(without_the_thread_it_shows),
    };
    return mpi_test_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
