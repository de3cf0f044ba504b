/*
 * How long an all-reduce of one node vector a rank takes, beside the MPI library's own:
 *   mpirun -n RANKS allreduce
 * One JSON line for each size. shm_us, mpi_us, openmpi_us: median over rounds of the slowest rank's
 * time for one call, in place; the three take turns within a round. ratio: openmpi_us / shm_us,
 * above 1 where ours is the faster one (its order of additions is fixed, the library's is not).
 */
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/allreduce.h"
#include "runtime/clock.h"
#include "runtime/error.h"

enum { MOST_RANKS = 256, MOST_ROUNDS = 41, KINDS = 3 };

typedef struct bench {
    qd_group *group[2]; /* shm, mpi */
    qd_slot_ranges ranges;
    float *vector;
} bench;

static int reduce_once(bench *b, int kind, int64_t count) {
    if (kind < 2)
        return qd_allreduce_ordered(b->group[kind], &b->ranges, &b->vector, 1, b->vector, count);
    return MPI_Allreduce(MPI_IN_PLACE, b->vector, (int)count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

/* Microseconds a call on the slowest rank; negative on failure. */
static double time_calls(bench *b, int kind, int64_t count, int calls) {
    int rc = 0;
    double mine, slowest;
    MPI_Barrier(MPI_COMM_WORLD);
    int64_t start = qd_clock_now_ns();
    for (int i = 0; !rc && i < calls; i++)
        rc = reduce_once(b, kind, count);
    mine = rc ? -1 : (double)(qd_clock_now_ns() - start) * 1e-3 / calls;
    MPI_Allreduce(&mine, &slowest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    if (rc)
        fprintf(stderr, "%s\n", qd_error_message());
    return rc ? -1 : slowest;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int run_size(bench *b, size_t bytes, int rank, int size) {
    int64_t count = (int64_t)(bytes / sizeof(float));
    int calls = bytes <= 16384 ? 200 : bytes <= 1 << 20 ? 10 : 1;
    int rounds = bytes <= 4 << 20 ? MOST_ROUNDS : 11;
    double us[KINDS][MOST_ROUNDS];
    for (int round = -1; round < rounds; round++) /* one to warm up */
        for (int kind = 0; kind < KINDS; kind++) {
            double t = time_calls(b, kind, count, calls);
            if (t < 0)
                return 1;
            us[kind][round < 0 ? 0 : round] = t;
        }
    for (int kind = 0; kind < KINDS; kind++)
        qsort(us[kind], (size_t)rounds, sizeof(double), compare);
    int middle = rounds / 2;
    if (rank == 0) {
        printf(
            "{\"bench\":\"allreduce\",\"bytes\":%zu,\"ranks\":%d,\"shm_us\":%.1f,\"mpi_us\":%.1f,"
            "\"openmpi_us\":%.1f,\"ratio\":%.2f}\n",
            bytes, size, us[0][middle], us[1][middle], us[2][middle],
            us[2][middle] / us[0][middle]);
        fflush(stdout);
    }
    return 0;
}

static int open_groups(bench *b, const qd_world *world) {
    static const qd_transport_kind transports[2] = {QD_TRANSPORT_SHM, QD_TRANSPORT_MPI};
    int members[MOST_RANKS];
    for (int i = 0; i < world->size; i++)
        members[i] = i;
    for (int kind = 0; kind < 2; kind++) {
        qd_group_config config = {.world = world,
                                  .id = (uint32_t)kind + 1,
                                  .members = members,
                                  .member_count = world->size,
                                  .transport = transports[kind],
                                  .deadline_s = 60};
        if (qd_group_create(&config, &b->group[kind]))
            return 1;
    }
    return 0;
}

int main(void) {
    const size_t largest = 64 << 20;
    int starts[MOST_RANKS + 1], status = 1;
    qd_world *world = NULL;
    bench b = {.ranges = {.starts = starts}};
    if (qd_world_open(&world) || world->size < 2 || world->size > MOST_RANKS) {
        fprintf(stderr, "usage: mpirun -n 2..%d allreduce\n%s\n", MOST_RANKS, qd_error_message());
        return 64;
    }
    for (int i = 0; i <= world->size; i++)
        starts[i] = i;
    b.ranges.leaves = world->size;
    b.vector = aligned_alloc(64, largest);
    if (!b.vector || open_groups(&b, world)) {
        fprintf(stderr, "%s\n", qd_error_message());
        goto out;
    }
    memset(b.vector, 0, largest);
    status = 0;
    for (size_t bytes = 1024; !status && bytes <= largest; bytes *= 4)
        status = run_size(&b, bytes, world->rank, world->size);
out:
    qd_group_destroy(b.group[0]);
    qd_group_destroy(b.group[1]);
    free(b.vector);
    qd_world_close(world, status == 0, 20, 70);
    return status;
}
