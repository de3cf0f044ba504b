/*
 * trainer_memory.h: what an attempt of a job takes of a member's memory, told before it runs: the
 * sizes that the files which allocate work with, side by side. Not in it: the program itself, MPI,
 * and what libraries take for themselves.
 */
#ifndef QD_WORKER_TRAINER_MEMORY_H
#define QD_WORKER_TRAINER_MEMORY_H

#include <stddef.h>

#include "models/graph.h"
#include "models/job.h"
#include "worker/data/dataset.h"

/* Bytes. */
typedef struct qd_trainer_memory {
    size_t arena;         /* parameters, gradients, optimizer, activations, scratch */
    size_t loader;        /* batches that wait */
    size_t evaluation;    /* its batch and results */
    size_t checkpoint;    /* the copy that is being written */
    size_t communication; /* shared memory, with all members on one host */
    qd_source_memory data;
} qd_trainer_memory;

/*
 * Of the fullest member of a gang of `members` along the data axis, which begins anew (a resumed
 * one reads a checkpoint before it writes its own, tensor by tensor). graph: the job's, as one
 * member of a tensor group has it, prepared by the backend. dataset:
 * the job's, or NULL to leave it out. QD_ENOMEM, QD_EINTERNAL.
 */
int qd_trainer_memory_plan(const qd_job *job, const qd_graph *graph, const qd_dataset *dataset,
                           int members, qd_trainer_memory *memory);

/* Of all that, what lies on the heap at once, at most. */
size_t qd_trainer_memory_heap(const qd_trainer_memory *memory);

#endif
