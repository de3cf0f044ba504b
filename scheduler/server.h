/*
 * server.h: the scheduler's process: feeds the core (core.h) with what workers, signals and the
 * clock tell, writes each event to the journal before it acts, and carries out the actions as
 * messages. No decision is made here.
 */
#ifndef QD_SCHEDULER_SERVER_H
#define QD_SCHEDULER_SERVER_H

#include <signal.h>
#include <stdbool.h>

#include "runtime/wire.h"
#include "runtime/world.h"
#include "scheduler/cluster.h"
#include "scheduler/core.h"

/* What happens, for whoever shows it. Any entry may be NULL. Pointers live during the call only. */
typedef struct qd_observer {
    void *context;
    void (*worker_ready)(void *context, int rank, const Quadrille__Hello *hello);
    void (*job_started)(void *context, const qd_job *job, const qd_action *start,
                        const char *run_folder);
    void (*job_state)(void *context, const qd_job *job, qd_job_state state, const char *reason);
    void (*progress)(void *context, const qd_job *job, const Quadrille__Progress *progress);
    void (*evaluation)(void *context, const qd_job *job, const Quadrille__Evaluation *evaluation);
    void (*saved)(void *context, const qd_job *job, const Quadrille__Saved *saved);
    /* About ten times a second, so that a display can move on. */
    void (*tick)(void *context);
} qd_observer;

typedef struct qd_server_config {
    const qd_world *world;
    qd_wire *wire;
    const qd_cluster *cluster;
    const qd_job *jobs;       /* names differ */
    const char *const *plans; /* why a job has its layout, for its run folder; or NULL each */
    int job_count;
    bool resume;
    /* Set by a signal handler: the number of the signal that asks to save and stop; 0: none. */
    const volatile sig_atomic_t *stop_signal;
    const qd_observer *observer;
} qd_server_config;

/*
 * Runs the jobs, lets the workers go, and returns. *exit_status: 0 all succeeded; 75 all that did
 * not succeed are saved or were never begun because of a stop; else that of the first failure.
 * *in_peace: every worker has said goodbye, so MPI can be finalized. Errors: the journal or the
 * run folders cannot be written (QD_EIO), a job's run folder is in use (QD_EIO), MPI broke down.
 */
int qd_server_run(const qd_server_config *config, int *exit_status, bool *in_peace);

#endif
