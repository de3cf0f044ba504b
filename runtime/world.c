#include "runtime/world.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/error.h"
#include "runtime/thread.h"
#include "runtime/topology.h"

/* What every rank tells all others at start-up. */
typedef struct rank_card {
    char host[HOST_NAME_MAX + 1];
    char processor[128];
} rank_card;

static const char *const launcher_variables[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"};

bool qd_world_launched(void) {
    for (size_t i = 0; i < sizeof launcher_variables / sizeof launcher_variables[0]; i++)
        if (getenv(launcher_variables[i]))
            return true;
    return false;
}

static int mpi_error(int code, const char *what) {
    char text[MPI_MAX_ERROR_STRING];
    int length = 0;
    MPI_Error_string(code, text, &length);
    return qd_error_set(QD_EINTERNAL, "%s: %.*s", what, length, text);
}

static void free_world(qd_world *world) {
    for (int r = 0; r < world->size; r++) {
        if (world->host)
            free(world->host[r]);
        if (world->processor)
            free(world->processor[r]);
    }
    free(world->host);
    free(world->processor);
    if (world->mpi)
        pthread_mutex_destroy(world->mpi);
    free(world->mpi);
    free(world);
}

static int keep_cards(qd_world *world, const rank_card *cards) {
    world->host = calloc((size_t)world->size, sizeof *world->host);
    world->processor = calloc((size_t)world->size, sizeof *world->processor);
    if (!world->host || !world->processor)
        return qd_error_set(QD_ENOMEM, "no memory for a world of %d ranks", world->size);
    for (int r = 0; r < world->size; r++) {
        world->host[r] = strdup(cards[r].host);
        world->processor[r] = strdup(cards[r].processor);
        if (!world->host[r] || !world->processor[r])
            return qd_error_set(QD_ENOMEM, "no memory for a world of %d ranks", world->size);
    }
    return 0;
}

static int exchange_cards(qd_world *world) {
    rank_card mine = {0};
    qd_topology topology;
    int rc = qd_topology_read(&topology);
    if (rc)
        return rc;
    gethostname(mine.host, sizeof mine.host - 1);
    snprintf(mine.processor, sizeof mine.processor, "%s", topology.processor);
    rank_card *cards = calloc((size_t)world->size, sizeof *cards);
    if (!cards)
        return qd_error_set(QD_ENOMEM, "no memory for a world of %d ranks", world->size);
    int code =
        MPI_Allgather(&mine, sizeof mine, MPI_BYTE, cards, sizeof mine, MPI_BYTE, world->control);
    rc = code != MPI_SUCCESS ? mpi_error(code, "MPI_Allgather") : keep_cards(world, cards);
    free(cards);
    return rc;
}

static int open_communicators(qd_world *world) {
    int code = MPI_Comm_dup(MPI_COMM_WORLD, &world->control);
    if (code == MPI_SUCCESS)
        code = MPI_Comm_dup(MPI_COMM_WORLD, &world->data);
    if (code != MPI_SUCCESS)
        return mpi_error(code, "MPI_Comm_dup");
    MPI_Comm_set_errhandler(world->control, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(world->data, MPI_ERRORS_RETURN);
    MPI_Comm_rank(world->control, &world->rank);
    MPI_Comm_size(world->control, &world->size);
    int *max_tag = NULL, found = 0;
    MPI_Comm_get_attr(world->data, MPI_TAG_UB, &max_tag, &found);
    world->max_tag = found ? *max_tag : 32767; /* the least that MPI promises */
    return 0;
}

int qd_world_open(qd_world **out) {
    int provided = 0;
    int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided);
    if (code != MPI_SUCCESS)
        return mpi_error(code, "MPI_Init_thread");
    if (provided < MPI_THREAD_SERIALIZED)
        return qd_error_set(QD_EINTERNAL, "this MPI does not let threads take turns in it");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    qd_world *world = calloc(1, sizeof *world);
    if (!world)
        return qd_error_set(QD_ENOMEM, "no memory for the world");
    world->mpi = malloc(sizeof *world->mpi);
    int rc = world->mpi ? 0 : qd_error_set(QD_ENOMEM, "no memory for the world");
    if (!rc)
        pthread_mutex_init(world->mpi, NULL);
    if (!rc)
        rc = open_communicators(world);
    if (!rc)
        rc = exchange_cards(world);
    if (rc) {
        free_world(world);
        return rc;
    }
    *out = world;
    return 0;
}

/* MPI_Finalize can wait for ranks that will never come; this thread does not. */
typedef struct finalize_guard {
    double deadline_s;
    int exit_status;
} finalize_guard;

static void *leave_when_late(void *argument) {
    finalize_guard guard = *(finalize_guard *)argument;
    struct timespec wait = {
        .tv_sec = (time_t)guard.deadline_s,
        .tv_nsec = (long)((guard.deadline_s - (double)(time_t)guard.deadline_s) * 1e9)};
    nanosleep(&wait, NULL);
    _exit(guard.exit_status);
}

void qd_world_close(qd_world *world, bool in_peace, double deadline_s, int exit_status) {
    /* Read by a thread that may outlive this call. */
    static finalize_guard guard;
    if (!world)
        return;
    if (in_peace) {
        guard = (finalize_guard){.deadline_s = deadline_s, .exit_status = exit_status};
        pthread_t thread;
        if (qd_thread_start(&thread, leave_when_late, &guard) == 0)
            pthread_detach(thread);
        MPI_Comm_free(&world->control);
        MPI_Comm_free(&world->data);
        MPI_Finalize();
    }
    free_world(world);
}
