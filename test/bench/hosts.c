/*
 * What an all-reduce of one node vector a rank sends between hosts, by how it is done:
 *   mpirun --host ... bench_hosts [BYTES]
 * One JSON line for each mode; hosts.sh starts it on three hosts that are one machine.
 *   flat          over MPI between all ranks
 *   hierarchical  shared memory on a host, MPI between hosts
 *   bf16          hierarchical, and values travel as bf16
 *   openmpi       the library's own all-reduce
 * counted: bytes of one call between members that share no memory, by the transports' count, over
 * all ranks. network: bytes that left the hosts meanwhile, by the kernel's count of all their
 * network devices but the loopback, with all headers. us: time of a call, mean of a few.
 */
#include <glob.h>
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/allreduce.h"
#include "runtime/clock.h"
#include "runtime/error.h"

enum { MOST_RANKS = 256, CALLS = 3, DEFAULT_BYTES = 12 << 20 };

typedef struct mode {
    const char *name;
    qd_transport_kind transport;
    qd_wire_type wire;
    qd_reduction_kind reduction;
} mode;

static const mode modes[] = {
    {"flat", QD_TRANSPORT_MPI, QD_WIRE_FP32, QD_REDUCTION_ORDERED},
    {"hierarchical", QD_TRANSPORT_AUTO, QD_WIRE_FP32, QD_REDUCTION_ORDERED},
    {"bf16", QD_TRANSPORT_AUTO, QD_WIRE_BF16, QD_REDUCTION_ORDERED},
    {"openmpi", QD_TRANSPORT_MPI, QD_WIRE_FP32, QD_REDUCTION_FAST},
};
enum { MODES = sizeof modes / sizeof modes[0] };

/* ---- what the kernel counts ---- */

static uint64_t read_counter(const char *path) {
    unsigned long long bytes = 0;
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%llu", &bytes) != 1)
        fprintf(stderr, "%s: not a counter\n", path);
    if (file)
        fclose(file);
    return bytes;
}

static uint64_t bytes_left_this_host(void) {
    uint64_t bytes = 0;
    glob_t found;
    if (glob("/sys/class/net/*/statistics/tx_bytes", 0, NULL, &found) != 0)
        return 0;
    for (size_t i = 0; i < found.gl_pathc; i++)
        if (!strstr(found.gl_pathv[i], "/net/lo/"))
            bytes += read_counter(found.gl_pathv[i]);
    globfree(&found);
    return bytes;
}

static bool is_first_on_its_host(const qd_world *world) {
    for (int r = 0; r < world->rank; r++)
        if (strcmp(world->host[r], world->host[world->rank]) == 0)
            return false;
    return true;
}

/* ---- a mode ---- */

typedef struct sent {
    uint64_t counted, network; /* of this rank, of this host (on its first rank; else 0) */
} sent;

/* While no rank sends. */
static sent sent_so_far(const qd_world *world, const qd_group *group) {
    MPI_Barrier(MPI_COMM_WORLD);
    sent s = {qd_group_bytes_between_hosts(group),
              is_first_on_its_host(world) ? bytes_left_this_host() : 0};
    MPI_Barrier(MPI_COMM_WORLD);
    return s;
}

static int reduce(qd_group *group, const qd_slot_ranges *ranges, float *vector, int64_t count,
                  int calls) {
    int rc = 0;
    for (int i = 0; !rc && i < calls; i++)
        rc = qd_allreduce_ordered(group, ranges, &vector, 1, vector, count);
    return rc;
}

static int open_group(const qd_world *world, const mode *m, qd_group **group) {
    int members[MOST_RANKS];
    for (int i = 0; i < world->size; i++)
        members[i] = i;
    qd_group_config config = {.world = world,
                              .id = (uint32_t)(m - modes) + 1,
                              .members = members,
                              .member_count = world->size,
                              .transport = m->transport,
                              .wire = m->wire,
                              .reduction = m->reduction,
                              .deadline_s = 60};
    return qd_group_create(&config, group);
}

static int count_hosts(const qd_world *world) {
    int first = is_first_on_its_host(world), hosts = 0;
    MPI_Allreduce(&first, &hosts, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    return hosts;
}

static void report(const qd_world *world, const mode *m, const char *transport, int64_t count,
                   sent mine, double us) {
    uint64_t own[2] = {mine.counted, mine.network}, all[2];
    int hosts = count_hosts(world);
    MPI_Reduce(own, all, 2, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
    if (world->rank > 0)
        return;
    printf("{\"bench\":\"hosts\",\"mode\":\"%s\",\"transport\":\"%s\",\"hosts\":%d,\"ranks\":%d,"
           "\"bytes\":%lld,\"calls\":%d,\"counted\":%llu,\"network\":%llu,\"us\":%.0f}\n",
           m->name, transport, hosts, world->size, (long long)count * (long long)sizeof(float),
           CALLS + 1, (unsigned long long)all[0] / CALLS, (unsigned long long)all[1] / CALLS, us);
    fflush(stdout);
}

static int run_mode(const qd_world *world, const mode *m, const qd_slot_ranges *ranges,
                    float *vector, int64_t count) {
    qd_group *group = NULL;
    int rc = open_group(world, m, &group);
    if (!rc)
        rc = reduce(group, ranges, vector, count, 1); /* connects */
    if (!rc) {
        sent before = sent_so_far(world, group);
        int64_t start = qd_clock_now_ns();
        rc = reduce(group, ranges, vector, count, CALLS);
        double us = (double)(qd_clock_now_ns() - start) * 1e-3 / CALLS;
        sent after = sent_so_far(world, group);
        sent mine = {after.counted - before.counted, after.network - before.network};
        if (!rc)
            report(world, m, qd_group_transport(group), count, mine, us);
    }
    qd_group_destroy(group);
    return rc;
}

int main(int argc, char **argv) {
    int starts[MOST_RANKS + 1], rc = 0;
    int64_t count = (argc > 1 ? atoll(argv[1]) : DEFAULT_BYTES) / (int64_t)sizeof(float);
    qd_world *world = NULL;
    if (qd_world_open(&world) || world->size < 2 || world->size > MOST_RANKS || count < 1) {
        fprintf(stderr, "usage: mpirun -n 2..%d bench_hosts [BYTES]\n%s\n", MOST_RANKS,
                qd_error_message());
        return 64;
    }
    for (int i = 0; i <= world->size; i++)
        starts[i] = i;
    qd_slot_ranges ranges = {.leaves = world->size, .starts = starts};
    float *vector = aligned_alloc(64, ((size_t)count * sizeof *vector + 63) / 64 * 64);
    if (!vector)
        abort();
    memset(vector, 0, (size_t)count * sizeof *vector);
    for (int i = 0; !rc && i < MODES; i++)
        rc = run_mode(world, &modes[i], &ranges, vector, count);
    if (rc)
        fprintf(stderr, "%s\n", qd_error_message());
    free(vector);
    qd_world_close(world, rc == 0, 20, 70);
    return rc ? 1 : 0;
}
