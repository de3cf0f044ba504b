/*
 * How long an all-reduce of one node vector a rank takes, beside the MPI library's own:
 *   mpirun -n RANKS bench_allreduce [shm|mpi|auto] [fp32|bf16]
 * One JSON line for each size; allreduce.py adds gloo's times. ours_us, openmpi_us: median over
 * rounds of the slowest rank's time for one call, in place; the two take turns within a round.
 * triad_gbps: STREAM triad of all ranks at once, measured in this run, on vectors beyond any cache.
 * memory_fraction: the time in which every rank could read and write its vector once at that rate,
 * over ours_us; above 1 where the vectors fit into a cache.
 */
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "collectives/allreduce.h"
#include "runtime/clock.h"
#include "runtime/error.h"
#include "worker/limits.h"

enum { MOST_RANKS = 256, MOST_ROUNDS = 41, KINDS = 2 };

typedef struct bench {
    qd_group *group;
    qd_slot_ranges ranges;
    float *vector;
    double triad_gbps;
} bench;

static int reduce_once(bench *b, int kind, int64_t count) {
    if (kind == 0)
        return qd_allreduce_ordered(b->group, &b->ranges, &b->vector, 1, b->vector, count);
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
    int rounds = bytes <= 4 << 20 ? MOST_ROUNDS : 7;
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
        printf("{\"bench\":\"allreduce\",\"bytes\":%zu,\"ranks\":%d,\"transport\":\"%s\","
               "\"ours_us\":%.2f,\"openmpi_us\":%.2f,\"triad_gbps\":%.1f,"
               "\"memory_fraction\":%.2f}\n",
               bytes, size, qd_group_transport(b->group), us[0][middle], us[1][middle],
               b->triad_gbps, 2e-3 * (double)bytes * size / b->triad_gbps / us[0][middle]);
        fflush(stdout);
    }
    return 0;
}

static int open_group(bench *b, const qd_world *world, int argc, char **argv) {
    int members[MOST_RANKS];
    for (int i = 0; i < world->size; i++)
        members[i] = i;
    const char *transport = argc > 1 ? argv[1] : "auto";
    qd_group_config config = {.world = world,
                              .id = 1,
                              .members = members,
                              .member_count = world->size,
                              .transport = strcmp(transport, "shm") == 0   ? QD_TRANSPORT_SHM
                                           : strcmp(transport, "mpi") == 0 ? QD_TRANSPORT_MPI
                                                                           : QD_TRANSPORT_AUTO,
                              .wire = argc > 2 && strcmp(argv[2], "bf16") == 0 ? QD_WIRE_BF16
                                                                               : QD_WIRE_FP32,
                              .deadline_s = 60};
    return qd_group_create(&config, &b->group);
}

/* Huge pages, as the engine's arena has: else TLB misses are measured, too. */
static float *huge_vector(size_t bytes) {
    void *v = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (v == MAP_FAILED)
        return NULL;
    madvise(v, bytes, MADV_HUGEPAGE);
    return v;
}

static double triad_of_all(void) {
    MPI_Barrier(MPI_COMM_WORLD);
    double mine = qd_limits_triad_gbps(1), all;
    MPI_Allreduce(&mine, &all, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    return all;
}

int main(int argc, char **argv) {
    const size_t largest = 256 << 20;
    int starts[MOST_RANKS + 1], status = 1;
    qd_world *world = NULL;
    bench b = {.ranges = {.starts = starts}};
    if (qd_world_open(&world) || world->size < 2 || world->size > MOST_RANKS) {
        fprintf(stderr, "usage: mpirun -n 2..%d bench_allreduce [shm|mpi|auto] [fp32|bf16]\n%s\n",
                MOST_RANKS, qd_error_message());
        return 64;
    }
    for (int i = 0; i <= world->size; i++)
        starts[i] = i;
    b.ranges.leaves = world->size;
    b.vector = huge_vector(largest);
    if (!b.vector || open_group(&b, world, argc, argv)) {
        fprintf(stderr, "%s\n", qd_error_message());
        goto out;
    }
    memset(b.vector, 0, largest);
    b.triad_gbps = triad_of_all();
    status = 0;
    for (size_t bytes = 1024; !status && bytes <= largest; bytes *= 4)
        status = run_size(&b, bytes, world->rank, world->size);
out:
    qd_group_destroy(b.group);
    if (b.vector)
        munmap(b.vector, largest);
    qd_world_close(world, status == 0, 20, 70);
    return status;
}
