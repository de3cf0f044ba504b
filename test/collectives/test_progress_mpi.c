/* The communication thread: operations move while their owner computes, whoever waits is woken,
 * and what is slow hides behind the computing. */
#include <time.h>

#include "collectives/exchange.h"
#include "mpi_check.h"
#include "slot_values.h"

enum { MOST_RANKS = 64 };

static qd_group *group_over(mpi_test *t, qd_progress *progress, double delay_s, double per_byte_s) {
    int members[MOST_RANKS];
    qd_group_config config = members_from(t, members, 0, t->world->size);
    config.progress = progress;
    config.delay_per_operation_s = delay_s;
    config.delay_per_byte_s = per_byte_s;
    return new_group(t, &config);
}

static void sleep_s(double seconds) {
    struct timespec s = {.tv_sec = (time_t)seconds,
                         .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&s, NULL);
}

static void operations_end_while_their_owner_is_elsewhere(mpi_test *t) {
    enum { COUNT = 200003 };
    int starts[MOST_RANKS + 1];
    qd_progress *progress = NULL;
    CHECK(t, qd_progress_create(&progress) == 0);
    qd_group *g = group_over(t, progress, 0, 0);
    if (g) {
        qd_slot_ranges ranges = uneven(starts, t->world->size);
        parts p = fill_parts(&ranges, t->world->rank, 8, COUNT);
        qd_operation *op = NULL;
        CHECK(t, qd_allreduce_start(g, &ranges, p.vector, p.count, p.vector[0], COUNT, &op) == 0);
        bool done = false;
        /* Only the thread moves it: test looks no further once it is done. */
        for (int i = 0; !done && i < 400; i++) {
            sleep_s(0.05);
            qd_operation_test(op, &done);
        }
        CHECK(t, done && qd_operation_wait(op) == 0);
        CHECK(t, is_tree_sum(p.vector[0], 8, ranges.leaves, COUNT));
        free_parts(&p);
    }
    qd_group_destroy(g);
    qd_progress_destroy(progress);
}

static void many_groups_and_kinds_move_side_by_side(mpi_test *t) {
    enum { ROUNDS = 8, COUNT = 30011, BYTES = 300000 };
    int starts[MOST_RANKS + 1], m = t->world->size, me = t->world->rank;
    qd_progress *progress = NULL;
    CHECK(t, qd_progress_create(&progress) == 0);
    qd_group *sums = group_over(t, progress, 0, 0), *stages = group_over(t, progress, 0, 0);
    qd_slot_ranges ranges = one_each(starts, m);
    unsigned char *out = calloc(1, BYTES), *in = calloc(1, BYTES);
    for (int round = 0; sums && stages && round < ROUNDS; round++) {
        parts p = fill_parts(&ranges, me, (uint32_t)round, COUNT);
        qd_operation *ops[3] = {0};
        memset(out, me + round, BYTES);
        CHECK(t, qd_allreduce_start(sums, &ranges, p.vector, 1, p.vector[0], COUNT, &ops[0]) == 0);
        /* The receive is begun long before the send it belongs to. */
        CHECK(t, qd_receive_start(stages, (me + m - 1) % m, in, BYTES, &ops[1]) == 0);
        CHECK(t, qd_group_barrier(stages) == 0);
        CHECK(t, qd_send_start(stages, (me + 1) % m, out, BYTES, &ops[2]) == 0);
        for (int i = 2; i >= 0; i--)
            CHECK(t, qd_operation_wait(ops[i]) == 0);
        CHECK(t, in[0] == (me + m - 1) % m + round && in[BYTES - 1] == in[0]);
        CHECK(t, is_tree_sum(p.vector[0], (uint32_t)round, m, COUNT));
        free_parts(&p);
    }
    free(out);
    free(in);
    qd_group_destroy(sums);
    qd_group_destroy(stages);
    qd_progress_destroy(progress);
}

static void a_failure_in_the_thread_is_told_to_who_waits(mpi_test *t) {
    int members[MOST_RANKS], starts[MOST_RANKS + 1], m = t->world->size;
    qd_progress *progress = NULL;
    CHECK(t, qd_progress_create(&progress) == 0);
    qd_group_config config = members_from(t, members, 0, m);
    config.progress = progress;
    config.deadline_s = 0.3;
    all_meet();
    qd_group *g = new_group(t, &config);
    qd_slot_ranges ranges = one_each(starts, m);
    float *v = new_vector(100);
    memset(v, 0, 100 * sizeof *v);
    qd_operation *ops[2] = {0};
    if (g && t->world->rank < m - 1) {
        for (int i = 0; i < 2; i++)
            CHECK(t, qd_allreduce_start(g, &ranges, &v, 1, v, 100, &ops[i]) == 0);
        sleep_s(0.8);
        for (int i = 0; i < 2; i++) {
            CHECK(t, qd_operation_wait(ops[i]) == QD_ETIMEDOUT);
            CHECK(t, message_names(m - 1));
        }
        CHECK(t, qd_allreduce_start(g, &ranges, &v, 1, v, 100, &ops[0]) == QD_ELOST);
    }
    all_meet();
    qd_group_destroy(g);
    qd_progress_destroy(progress);
    free(v);
}

/* 1 - what of the communication shows behind the computing / all of it. */
static double hidden_share(mpi_test *t, qd_group *g, float *v, const qd_slot_ranges *ranges,
                           int buckets, int64_t count, double compute_s, double link_s) {
    qd_operation *ops[64];
    CHECK(t, qd_group_barrier(g) == 0);
    int64_t start = qd_clock_now_ns();
    for (int b = 0; b < buckets; b++) {
        float *part = v + b * count;
        sleep_s(compute_s);
        CHECK(t, qd_allreduce_start(g, ranges, &part, 1, part, count, &ops[b]) == 0);
    }
    double computing = seconds_since(start);
    for (int b = 0; b < buckets; b++)
        CHECK(t, qd_operation_wait(ops[b]) == 0);
    return 1 - (seconds_since(start) - computing) / (buckets * link_s);
}

/* Buckets of 10 ms each behind 13 ms of "computing" each: only the last one can show. Sleeps stand
 * for both, so that ranks without a core of their own measure the same. */
static void a_slow_link_hides_behind_computing(mpi_test *t) {
    enum { BUCKETS = 24, BYTES = 1 << 16 };
    const double link_s = 0.010, compute_s = 0.013;
    int starts[MOST_RANKS + 1], m = t->world->size;
    qd_progress *progress = NULL;
    CHECK(t, qd_progress_create(&progress) == 0);
    double sent = 2.0 * (m - 1) / m * BYTES;
    qd_group *g = group_over(t, progress, link_s / 2, link_s / 2 / sent);
    float *v = new_vector(BUCKETS * BYTES / 4);
    memset(v, 0, (size_t)BUCKETS * BYTES);
    qd_slot_ranges ranges = one_each(starts, m);
    if (!g)
        return;
    double best = 0;
    for (int attempt = 0; attempt < 3; attempt++) { /* other processes disturb the one or other */
        double hidden = hidden_share(t, g, v, &ranges, BUCKETS, BYTES / 4, compute_s, link_s);
        best = hidden > best && hidden < 1 ? hidden : best;
    }
    if (t->world->rank == 0)
        printf("        %.1f %% of the communication hidden\n", 100 * best);
    CHECK(t, best >= 0.9);
    /* And without computing nothing is faster than the link. */
    int64_t start = qd_clock_now_ns();
    CHECK(t, qd_allreduce_ordered(g, &ranges, &v, 1, v, BYTES / 4) == 0);
    CHECK(t, pretends_hosts(t) || seconds_since(start) >= link_s * 0.99);
    free(v);
    qd_group_destroy(g);
    qd_progress_destroy(progress);
}

int main(int argc, char **argv) {
#define ROW(test)                                                                                  \
    { #test, test }
    static const mpi_test_row rows[] = {
        ROW(operations_end_while_their_owner_is_elsewhere),
        ROW(many_groups_and_kinds_move_side_by_side),
        ROW(a_failure_in_the_thread_is_told_to_who_waits),
        ROW(a_slow_link_hides_behind_computing),
    };
    return mpi_test_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
