/*
 * trainer.h: one attempt of a job, on one member of its gang: the training loop, with evaluation,
 * checkpoints and logs. It talks to its peers through collectives/ and to its agent through hooks;
 * it knows nothing of the scheduler.
 *
 * Everything the members must decide alike (to stop, to commit a checkpoint) is decided from
 * totals that travel in the gradient sum of a step, so that all see the same value at the same
 * step boundary.
 */
#ifndef QD_WORKER_TRAINER_H
#define QD_WORKER_TRAINER_H

#include <stdbool.h>
#include <stdint.h>

#include "collectives/group.h"
#include "models/job.h"
#include "worker/data/dataset.h"

typedef struct qd_assignment {
    const qd_world *world;
    const qd_job *job;
    int attempt;
    uint32_t epoch;         /* id of the gang's group */
    const int *ranks;       /* world ranks of the gang, in its order, this rank among them */
    int rank_count;         /* dp x pp x tp; its members in the order of models/grid.h */
    const char *run_folder; /* exists */
    bool resume;            /* continue from its newest checkpoint, if there is one */
    int threads;            /* of this worker */
    qd_transport_kind transport;
    double deadline_s; /* longest wait for a peer */
} qd_assignment;

/* How the trainer reaches its agent. All run on the trainer's thread. progress, evaluated and
 * saved are called on the first member only. */
typedef struct qd_trainer_hooks {
    void *context;
    /* Listens to the scheduler; non-zero when the attempt is called off. Called at every step
     * boundary and while waiting for peers. */
    int (*poll)(void *context);
    /* Whether this member was asked to save and stop. */
    bool (*stop_asked)(void *context);
    /* The step being worked on, for heartbeats. */
    void (*at_step)(void *context, int64_t step);
    void (*progress)(void *context, int64_t step, int64_t total_steps, float loss,
                     double samples_per_s, bool line);
    void (*evaluated)(void *context, int64_t step, qd_split split, double loss, double accuracy,
                      int64_t samples);
    void (*saved)(void *context, int64_t step);
    /* How long this member was busy in a step of the last interval, for each of its data slots:
     * waiting for others left out. Where all members do the same: of data-parallel gangs. */
    void (*pace)(void *context, int64_t busy_ns);
} qd_trainer_hooks;

typedef enum {
    QD_TRAINED_ALL,    /* all steps done, or those that train.stop_after left: final checkpoint
                          written, test split evaluated */
    QD_TRAINED_STOPPED /* stopped as asked; the checkpoint of the last step is written */
} qd_trained;

/* Runs the attempt. 0 with *how, QD_ECANCELLED when called off, or what went wrong. */
int qd_trainer_run(const qd_assignment *assignment, const qd_trainer_hooks *hooks, qd_trained *how);

#endif
