#include "launch/calibrate.h"

#include <math.h>
#include <mpi.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "collectives/allreduce.h"
#include "runtime/clock.h"
#include "runtime/error.h"
#include "runtime/heap.h"
#include "runtime/resident.h"
#include "runtime/topology.h"
#include "worker/limits.h"
#include "worker/product_rate.h"

enum { MOST_RANKS = 4096, ROUNDS = 9 };

/* Extents within the classes of models/hardware.h. */
static const int64_t sizes[QD_PRODUCT_CLASSES] = {
    [QD_PRODUCT_SMALL] = 64, [QD_PRODUCT_MEDIUM] = 256, [QD_PRODUCT_LARGE] = 1024};
static const int64_t rows = 1024;
static const int64_t no_size = 8; /* rows, too, of a product that is all start */
static const size_t small_bytes = 1024, large_bytes = 64 << 20;
static const double deadline_s = 60;

const char *qd_calibrate_processor(void) {
    static qd_topology topology;
    return qd_topology_read(&topology) == 0 && topology.processor[0] ? topology.processor
                                                                     : "a processor of no name";
}

/* The machine's only job now is this one, and no rank is given up: MPI's own collectives may be
 * called. */
static double mean(const qd_world *world, double mine) {
    double sum = 0;
    MPI_Allreduce(&mine, &sum, 1, MPI_DOUBLE, MPI_SUM, world->data);
    return sum / world->size;
}

static double greatest(const qd_world *world, double mine) {
    double most = 0;
    MPI_Allreduce(&mine, &most, 1, MPI_DOUBLE, MPI_MAX, world->data);
    return most;
}

/* ---- computing ---- */

/* A failure of one rank is one of all, so that none waits for it. */
static int product_seconds(const qd_world *world, int64_t of_rows, int64_t size,
                           qd_precision precision, double *seconds) {
    double mine = 0;
    int rc = qd_product_seconds(of_rows, size, precision, &mine);
    if (greatest(world, rc ? 1 : 0) > 0)
        return rc ? rc : qd_error_set(QD_EINTERNAL, "another rank could not measure products");
    *seconds = mean(world, mine);
    return 0;
}

/* The peak is what products reach where they reach more than a loop of multiply-adds does. */
static int measure_products(const qd_world *world, qd_hardware *h) {
    double seconds, start = 0, rates[QD_PRODUCT_CLASSES];
    int rc = product_seconds(world, no_size, no_size, QD_PRECISION_FP32, &start);
    h->operator_s = start;
    h->fp32_flops = mean(world, qd_limits_fp32_gflops(1)) * 1e9;
    for (int k = 0; k < QD_PRODUCT_CLASSES && !rc; k++) {
        rc = product_seconds(world, rows, sizes[k], QD_PRECISION_FP32, &seconds);
        rates[k] = 2 * (double)(rows * sizes[k] * sizes[k]) / fmax(seconds - start, 1e-9);
        h->fp32_flops = fmax(h->fp32_flops, rc ? 0 : rates[k]);
    }
    if (!rc)
        rc = product_seconds(world, rows, sizes[QD_PRODUCT_LARGE], QD_PRECISION_BF16, &seconds);
    if (rc)
        return rc;
    for (int k = 0; k < QD_PRODUCT_CLASSES; k++)
        h->product_share[k] = rates[k] / h->fp32_flops;
    h->bf16_flops = 2 * (double)(rows * sizes[QD_PRODUCT_LARGE] * sizes[QD_PRODUCT_LARGE]) /
                    (seconds - start) / h->product_share[QD_PRODUCT_LARGE];
    return 0;
}

/* ---- exchanging ---- */

typedef struct exchange {
    qd_group *group;
    qd_slot_ranges ranges;
    float *vector;
} exchange;

/* The slowest rank's time for a sum of so many bytes, in the round least disturbed. */
static int time_sums(const qd_world *world, exchange *e, size_t bytes, int calls, double *seconds) {
    *seconds = INFINITY;
    for (int r = 0; r < ROUNDS; r++) {
        int rc = 0;
        MPI_Barrier(world->data);
        int64_t from = qd_clock_now_ns();
        for (int i = 0; i < calls && !rc; i++)
            rc = qd_allreduce_ordered(e->group, &e->ranges, &e->vector, 1, e->vector,
                                      (int64_t)(bytes / sizeof(float)));
        if (rc)
            return rc;
        *seconds =
            fmin(*seconds, greatest(world, (double)(qd_clock_now_ns() - from) * 1e-9 / calls));
    }
    return 0;
}

/* What models/planner_links.h makes times of: S 2 (n - 1) / n / B, and two latencies a doubling of
 * the members. */
static int measure_sums(const qd_world *world, exchange *e, qd_link *link) {
    double small = 0, large = 0, n = world->size;
    int rc = time_sums(world, e, small_bytes, 200, &small);
    if (!rc)
        rc = time_sums(world, e, large_bytes, 1, &large);
    if (rc)
        return rc;
    link->latency_s = small / (2 * ceil(log2(n)));
    link->bytes_per_s = 2 * (n - 1) / n * (double)large_bytes / fmax(large - small, 1e-9);
    link->share = 1;
    return 0;
}

static int measure_links(const qd_world *world, qd_hardware *h) {
    int members[MOST_RANKS], starts[MOST_RANKS + 1];
    exchange e = {.ranges = {.leaves = world->size, .starts = starts}};
    for (int i = 0; i <= world->size; i++) {
        starts[i] = i;
        members[i < world->size ? i : 0] = i < world->size ? i : 0;
    }
    qd_group_config config = {.world = world,
                              .id = 1,
                              .members = members,
                              .member_count = world->size,
                              .transport = QD_TRANSPORT_AUTO,
                              .deadline_s = deadline_s};
    void *memory =
        mmap(NULL, large_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return qd_error_set(QD_ENOMEM, "no memory for a vector to add up");
    madvise(memory, large_bytes, MADV_HUGEPAGE); /* as the engine's arena is */
    memset(memory, 0, large_bytes);
    e.vector = memory;
    int rc = qd_group_create(&config, &e.group);
    if (!rc)
        rc = measure_sums(world, &e, &h->inside);
    qd_group_destroy(e.group);
    munmap(memory, large_bytes);
    h->between = h->inside;
    return rc;
}

int qd_calibrate(const qd_world *world, qd_hardware *hardware) {
    qd_hardware h = {.name = "this-machine", .nodes = 1, .kind = QD_DEVICE_CPU, .memory_share = 1};
    if (world->size < 2 || world->size > MOST_RANKS)
        return qd_error_set(QD_EUSAGE, "2 to %d ranks measure a machine, not %d", MOST_RANKS,
                            world->size);
    h.devices = world->size;
    h.memory_bytes = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / world->size;
    h.memory_bytes_per_s = mean(world, qd_limits_triad_gbps(1)) * 1e9;
    int rc = measure_products(world, &h);
    if (!rc)
        rc = measure_links(world, &h);
    if (rc)
        return rc;
    /* The program with what it has come to by now: MPI, a group, kernels of products. */
    h.reserved_bytes = mean(world, (double)qd_resident_bytes()) + QD_HEAP_RESERVE;
    *hardware = h;
    return 0;
}
