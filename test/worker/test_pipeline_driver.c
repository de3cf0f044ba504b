/*
 * Schedules carried out over real MPI by stages that sleep where an engine computes, so that ranks
 * without a core of their own measure the same: the share of their time in which they idle is that
 * of the schedule's formula (models/pipeline.h), within a twentieth of it.
 *
 * Nothing is faster than the formula; other processes may make a run slower, so that of several
 * runs the best counts.
 */
#include <math.h>
#include <time.h>

#include "collectives/exchange.h"
#include "models/pipeline_simulate.h"
#include "mpi_check.h"
#include "worker/pipeline_driver.h"

enum { MOST_RANKS = 64, ATTEMPTS = 5 };

static const double tolerance = 0.05;

/* ---- a stage that sleeps ---- */

typedef struct message {
    int part, micro_batch;
} message;

typedef struct sleeper {
    mpi_test *t;
    const qd_pipeline_table *table;
    int stage;
    double tick_s;
    qd_group *group[QD_PIPELINE_CHANNELS];
    qd_progress *progress;
    message *sent; /* [sends]; they stay until the end */
    qd_operation **sends;
    int send_count;
    int64_t busy_ns;
} sleeper;

static void sleep_until(int64_t ns) {
    struct timespec due = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL))
        ;
}

/* Of the part whose output, or input's gradient, it is. */
static int take(void *context, const qd_pipeline_action *action, qd_pipeline_way way) {
    sleeper *s = context;
    int stages = s->table->stages, part = qd_pipeline_part(s->table, s->stage, action->chunk);
    int step = way == QD_PIPELINE_OUTPUTS ? -1 : 1;
    message m = {0};
    int rc = qd_receive(s->group[way], (part + step + stages) % stages, &m, sizeof m);
    CHECK(s->t, rc || (m.part == part + step && m.micro_batch == action->micro_batch));
    return rc;
}

static int run(void *context, const qd_pipeline_action *action) {
    sleeper *s = context;
    int64_t start = qd_clock_now_ns(), ticks = action->kind == QD_PIPELINE_BACKWARD ? 2 : 1;
    sleep_until(start + ticks * (int64_t)(s->tick_s * 1e9));
    s->busy_ns += qd_clock_now_ns() - start;
    return 0;
}

static int send(void *context, const qd_pipeline_action *action, qd_pipeline_way way) {
    sleeper *s = context;
    message *m = &s->sent[s->send_count];
    *m = (message){qd_pipeline_part(s->table, s->stage, action->chunk), action->micro_batch};
    return qd_send_start(s->group[way], qd_pipeline_receiver(s->table, s->stage, way), m, sizeof *m,
                         &s->sends[s->send_count++]);
}

/* A group for each way, the first with the id of the config. */
static int open_sleeper(sleeper *s, qd_group_config config) {
    size_t most = (size_t)(2 * s->table->chunks * s->table->micro_batches);
    s->sent = calloc(most, sizeof *s->sent);
    s->sends = calloc(most, sizeof(qd_operation *));
    int rc = s->sent && s->sends ? qd_progress_create(&s->progress) : QD_ENOMEM;
    config.progress = s->progress;
    for (int way = 0; way < QD_PIPELINE_CHANNELS && !rc; way++) {
        rc = qd_group_create(&config, &s->group[way]);
        config.id++;
    }
    return rc;
}

static void close_sleeper(sleeper *s) {
    for (int way = 0; way < QD_PIPELINE_CHANNELS; way++)
        qd_group_destroy(s->group[way]);
    qd_progress_destroy(s->progress);
    free(s->sent);
    free(s->sends);
}

/* ---- a run of all stages ---- */

/* Of each value over all ranks. Those that have nothing to do sleep meanwhile. */
static void reduce(mpi_test *t, int64_t *values, int count, MPI_Op op) {
    MPI_Request request;
    int done = 0;
    qd_world_mpi_enter(t->world);
    MPI_Iallreduce(MPI_IN_PLACE, values, count, MPI_INT64_T, op, MPI_COMM_WORLD, &request);
    for (;;) {
        MPI_Test(&request, &done, MPI_STATUS_IGNORE);
        qd_world_mpi_leave(t->world);
        if (done)
            return;
        sleep_until(qd_clock_now_ns() + 500000);
        qd_world_mpi_enter(t->world);
    }
}

typedef struct measured {
    double total_s, bubble_share;
} measured;

/* All begin at the same moment. s: NULL on ranks that are no stage. */
static measured run_once(mpi_test *t, const qd_pipeline_table *table, sleeper *s) {
    int64_t start = qd_clock_now_ns(), end, busy = 0;
    reduce(t, &start, 1, MPI_MAX);
    end = start += 10000000;
    if (s) {
        qd_pipeline_driver driver = {s, take, run, send};
        s->send_count = 0;
        s->busy_ns = 0;
        sleep_until(start);
        CHECK(t, qd_pipeline_drive(table, s->stage, &driver) == 0);
        for (int i = 0; i < s->send_count; i++)
            CHECK(t, qd_operation_wait(s->sends[i]) == 0);
        end = qd_clock_now_ns();
        busy = s->busy_ns;
    }
    reduce(t, &end, 1, MPI_MAX);
    reduce(t, &busy, 1, MPI_SUM);
    double total = (double)(end - start);
    return (measured){total * 1e-9, 1 - (double)busy / (table->stages * total)};
}

/* ---- what it is to be ---- */

/* Bubble in ticks, of chunks that take one for each half. */
static int bubble_ticks(const qd_pipeline_kind *kind, int stages) {
    int forward = 1, input = 1, weight = 1;
    return (stages - 1) *
           (kind == &qd_pipeline_zb_h1 ? forward + input - weight : forward + input + weight);
}

/* What forward and each half of backward take: long enough that beside the bubble it counts for
 * little how soon a message is heard. */
static double tick_for(int bubble) {
    const double least_tick_s = 0.010, bubble_s = 0.080;
    return fmax(least_tick_s, bubble_s / bubble);
}

static double simulated_ticks(mpi_test *t, const qd_pipeline_table *table) {
    qd_pipeline_cost cost[MOST_RANKS];
    qd_pipeline_run *run_of_it = NULL;
    for (int i = 0; i < qd_pipeline_parts(table); i++)
        cost[i] = (qd_pipeline_cost){1, 1, 1};
    qd_pipeline_times times = {.part = cost, .receives_ahead = QD_PIPELINE_BUFFERED};
    CHECK(t, qd_pipeline_simulate(table, &times, &run_of_it) == 0);
    double ticks = run_of_it ? run_of_it->total : 0;
    qd_pipeline_run_destroy(run_of_it);
    return ticks;
}

static measured expected(mpi_test *t, const qd_pipeline_table *table, int bubble, double tick_s) {
    int all = 3 * table->chunks * table->micro_batches + bubble;
    CHECK(t, simulated_ticks(t, table) == all);
    return (measured){all * tick_s, (double)bubble / all};
}

static bool is_close(measured got, measured formula) {
    return got.total_s <= formula.total_s * (1 + tolerance) &&
           fabs(got.bubble_share - formula.bubble_share) <= tolerance * formula.bubble_share;
}

static void compare(mpi_test *t, const qd_pipeline_kind *kind, int chunks, int stages,
                    int micro_batches) {
    int members[MOST_RANKS], bubble = bubble_ticks(kind, stages);
    sleeper s = {.t = t, .stage = t->world->rank, .tick_s = tick_for(bubble)};
    measured best = {.total_s = INFINITY};
    qd_pipeline_table *table = NULL;
    qd_group_config config = members_from(t, members, 0, stages);
    t->next_id = config.id + QD_PIPELINE_CHANNELS;
    CHECK(t, qd_pipeline_create(kind, stages, chunks, micro_batches, &table) == 0);
    measured formula = expected(t, table, bubble, s.tick_s);
    s.table = table;
    bool opened = s.stage < stages && open_sleeper(&s, config) == 0;
    CHECK(t, opened == (s.stage < stages));
    for (int i = 0; i < ATTEMPTS && !is_close(best, formula); i++) {
        measured one = run_once(t, table, opened ? &s : NULL);
        CHECK(t, one.total_s >= formula.total_s);
        best = one.total_s < best.total_s ? one : best;
    }
    if (t->world->rank == 0)
        printf("        %-11s %d stages, %d micro-batches: took %.3f s, formula %.3f; bubble "
               "%.1f %%, formula %.1f\n",
               kind->name, stages, micro_batches, best.total_s, formula.total_s,
               100 * best.bubble_share, 100 * formula.bubble_share);
    CHECK(t, is_close(best, formula));
    close_sleeper(&s);
    qd_pipeline_destroy(table);
}

static void idles_as_the_formula_says(mpi_test *t, const qd_pipeline_kind *kind, int chunks) {
    for (int stages = 2; stages <= 8 && stages <= t->world->size; stages *= 2)
        compare(t, kind, chunks, stages, stages == 2 ? 4 : 8);
}

static void gpipe_idles_as_its_formula_says(mpi_test *t) {
    idles_as_the_formula_says(t, &qd_pipeline_gpipe, 1);
}

static void one_forward_one_backward_idles_as_its_formula_says(mpi_test *t) {
    idles_as_the_formula_says(t, &qd_pipeline_1f1b, 1);
}

static void interleaving_idles_as_its_formula_says(mpi_test *t) {
    idles_as_the_formula_says(t, &qd_pipeline_interleaved, 2);
}

static void zero_bubble_idles_as_its_formula_says(mpi_test *t) {
    idles_as_the_formula_says(t, &qd_pipeline_zb_h1, 1);
}

int main(int argc, char **argv) {
#define ROW(test)                                                                                  \
    { #test, test }
    static const mpi_test_row rows[] = {
        ROW(gpipe_idles_as_its_formula_says),
        ROW(one_forward_one_backward_idles_as_its_formula_says),
        ROW(interleaving_idles_as_its_formula_says),
        ROW(zero_bubble_idles_as_its_formula_says),
    };
    return mpi_test_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
