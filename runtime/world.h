/*
 * world.h: the MPI world this process is part of: who is where, and two communicators that keep
 * control messages and training data apart. Opening it is the only collective call over the
 * world; after that a rank may be lost without others hanging in MPI.
 *
 * MPI is initialised for one call at a time (MPI_THREAD_SERIALIZED): the thread that drives
 * compute and the one that drives communication share it by qd_world_mpi_enter. All calls of ours
 * return at once, so a turn is short and a lock that nobody holds costs little; with
 * MPI_THREAD_MULTIPLE the library would take locks of its own in every call of every thread.
 */
#ifndef QD_RUNTIME_WORLD_H
#define QD_RUNTIME_WORLD_H

#include <mpi.h>
#include <pthread.h>
#include <stdbool.h>

typedef struct qd_world {
    int rank, size;
    MPI_Comm control;     /* scheduler <-> workers (wire.h) */
    MPI_Comm data;        /* groups (collectives/) */
    int max_tag;          /* largest tag of `data` */
    char **host;          /* [size] host name of each rank; ranks with equal names share memory */
    char **processor;     /* [size] processor model of each rank's host */
    pthread_mutex_t *mpi; /* held during every call of MPI */
} qd_world;

/* Around every call of MPI, by whichever thread; never around one that waits for a peer. */
static inline void qd_world_mpi_enter(const qd_world *world) {
    pthread_mutex_lock(world->mpi);
}

static inline void qd_world_mpi_leave(const qd_world *world) {
    pthread_mutex_unlock(world->mpi);
}

/* Whether this process was started by mpirun or srun as a rank of a world (by the environment,
 * without touching MPI). */
bool qd_world_launched(void);

/* Initialises MPI. Call once in a process. QD_EINTERNAL with MPI's own text. */
int qd_world_open(qd_world **world);

/*
 * Leaves the world. in_peace: all ranks are known to be leaving too, so that MPI_Finalize can
 * return; it is given deadline_s, then the process ends by _exit with exit_status. Otherwise MPI
 * is left as it is: the caller ends the process by _exit.
 */
void qd_world_close(qd_world *world, bool in_peace, double deadline_s, int exit_status);

#endif
