/*
 * mpi_check.h: checks in a test program that runs as several processes: a failed check is printed
 * with its rank and counted, and the program goes on, so that its peers are not left waiting.
 * Check's own process model does not go with MPI.
 */
#ifndef QD_TEST_COLLECTIVES_MPI_CHECK_H
#define QD_TEST_COLLECTIVES_MPI_CHECK_H

#include <mpi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collectives/group.h"
#include "runtime/clock.h"
#include "runtime/error.h"
#include "runtime/world.h"

typedef struct mpi_test {
    qd_world *world;
    qd_transport_kind transport; /* from the command line */
    const char *transport_name;
    qd_progress *progress; /* of all groups; NULL where they have none */
    uint32_t next_id;      /* of a group; all ranks count alike */
    const char *name;      /* of the test that runs */
    long checks, failures;
} mpi_test;

typedef void (*mpi_test_function)(mpi_test *t);

typedef struct mpi_test_row {
    const char *name;
    mpi_test_function run;
} mpi_test_row;

static inline void mpi_check(mpi_test *t, bool good, const char *file, int line, const char *text) {
    t->checks++;
    if (good)
        return;
    t->failures++;
    /* Thousands of lines help nobody. */
    if (t->failures <= 20)
        fprintf(stderr, "rank %d: %s:%d: %s: failed: %s (last error: %s)\n", t->world->rank, file,
                line, t->name, text, qd_error_message());
}

#define CHECK(t, condition) mpi_check(t, condition, __FILE__, __LINE__, #condition)

/* Waits for all ranks of the world, also those that took no part in a group. */
static inline void all_meet(void) {
    MPI_Barrier(MPI_COMM_WORLD);
}

/* Members first, first + 1, ... of the world: the config of a group over count of them. */
static inline qd_group_config members_from(mpi_test *t, int *members, int first, int count) {
    for (int i = 0; i < count; i++)
        members[i] = first + i;
    return (qd_group_config){.world = t->world,
                             .id = t->next_id++,
                             .members = members,
                             .member_count = count,
                             .transport = t->transport,
                             .deadline_s = 60};
}

static inline double seconds_since(int64_t start_ns) {
    return (double)(qd_clock_now_ns() - start_ns) * 1e-9;
}

/* Whether the last message has "rank N" in it, N not being the beginning of a longer number. */
static inline bool message_names(int rank) {
    char text[32];
    int length = snprintf(text, sizeof text, "rank %d", rank);
    for (const char *at = qd_error_message(); (at = strstr(at, text)); at += length)
        if (at[length] < '0' || at[length] > '9')
            return true;
    return false;
}

/* Whether ranks are to believe that they are on several hosts. */
static inline bool pretends_hosts(const mpi_test *t) {
    return t->transport == QD_TRANSPORT_AUTO;
}

/* Interleaved hosts of different sizes, so that no host's slots are a subtree. */
static inline int pretended_host(const mpi_test *t, int rank) {
    return rank % (t->world->size >= 8 ? 3 : 2);
}

/* What a group of these ranks is to call its transport. */
static inline const char *expected_transport(const mpi_test *t, const int *ranks, int count) {
    int hosts = 0;
    if (count == 1)
        return "self";
    if (!pretends_hosts(t))
        return t->transport_name;
    for (int i = 0; i < count; i++) {
        int like = 0;
        while (pretended_host(t, ranks[like]) != pretended_host(t, ranks[i]))
            like++;
        hosts += like == i;
    }
    return hosts == 1 ? "shm" : hosts == count ? "mpi" : "hierarchical";
}

static inline void pretend_hosts(mpi_test *t) {
    for (int i = 0; i < t->world->size; i++) {
        char name[16];
        snprintf(name, sizeof name, "host%d", pretended_host(t, i));
        free(t->world->host[i]);
        t->world->host[i] = strdup(name);
    }
}

/* "hierarchical": what AUTO makes of pretended hosts. */
static inline bool parse_transport(mpi_test *t) {
    t->transport = QD_TRANSPORT_AUTO;
    return strcmp(t->transport_name, "hierarchical") == 0 ||
           (qd_transport_by_name(t->transport_name, &t->transport) == 0 && !pretends_hosts(t));
}

static inline int mpi_test_main(int argc, char **argv, const mpi_test_row *rows, size_t count) {
    mpi_test t = {.next_id = 1, .transport_name = argc == 2 ? argv[1] : ""};
    if (!parse_transport(&t)) {
        fprintf(stderr, "usage: mpirun -n N %s shm|mpi|hierarchical\n", argv[0]);
        return 64;
    }
    if (qd_world_open(&t.world)) {
        fprintf(stderr, "%s\n", qd_error_message());
        return 1;
    }
    if (pretends_hosts(&t))
        pretend_hosts(&t);
    for (size_t i = 0; i < count; i++) {
        int64_t start = qd_clock_now_ns();
        t.name = rows[i].name;
        rows[i].run(&t);
        all_meet();
        if (t.world->rank == 0)
            printf("%6.2f s  %s\n", seconds_since(start), t.name);
    }
    long mine[2] = {t.checks, t.failures}, all[2];
    MPI_Allreduce(mine, all, 2, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
    if (t.world->rank == 0)
        printf("%d ranks over %s: %zu tests, %ld checks, %ld failed\n", t.world->size,
               t.transport_name, count, all[0], all[1]);
    fflush(stdout);
    int status = all[1] > 0;
    qd_world_close(t.world, true, 20, 70);
    return status;
}

#endif
