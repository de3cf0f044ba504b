/*
 * worker_memory.h: the memory of a worker with a job, as `quadrille plan` tells it: the job's
 * buffers by the arithmetic of worker/trainer_memory.h, and what no arithmetic knows, measured
 * here and now: the program with MPI (program_memory.h), and what the job's operators make for
 * themselves (machine code, library handles).
 *
 * It holds for workers like this machine's: one thread each, all of a gang on one host, shared
 * memory between them, a run that begins anew.
 */
#ifndef QD_LAUNCH_WORKER_MEMORY_H
#define QD_LAUNCH_WORKER_MEMORY_H

#include <stddef.h>

#include "models/graph.h"
#include "models/job.h"
#include "runtime/error.h"
#include "worker/data/dataset.h"

typedef enum {
    QD_MEMORY_ARENA,
    QD_MEMORY_DATA,
    QD_MEMORY_LOADER,
    QD_MEMORY_EVALUATION,
    QD_MEMORY_CHECKPOINT,
    QD_MEMORY_COMMUNICATION,
    QD_MEMORY_KERNELS,
    QD_MEMORY_HEAP_RESERVE, /* what of it the others leave */
    QD_MEMORY_PROGRAM,
    QD_MEMORY_PARTS
} qd_memory_part;

/* "arena", "data_set", ... */
extern const char *const qd_memory_part_names[QD_MEMORY_PARTS];

typedef struct qd_worker_memory {
    size_t part[QD_MEMORY_PARTS]; /* bytes */
    size_t peak;                  /* their sum: the most that is resident at once */
} qd_worker_memory;

/* What was measured. Bytes. */
typedef struct qd_memory_base {
    size_t program;
    size_t kernels;                       /* outside the heap */
    size_t kernel_heap;                   /* on it */
    char program_missing[QD_ERROR_BYTES]; /* why program is this process's own, without MPI; "" */
} qd_memory_base;

/* Builds and prepares the job's graph on the way, as the member of a tensor group that holds most
 * has it. Owner of *graph: the caller (qd_graph_destroy).
 * Call it first in a process, before its heap has grown. QD_ECONFIG, QD_ENOMEM, QD_EINTERNAL. */
int qd_memory_base_measure(const qd_job *job, qd_memory_base *base, qd_graph **graph);

/* Of the fullest member of a gang of `members` along the data axis. dataset: NULL leaves it out.
 * QD_ENOMEM, QD_EINTERNAL. */
int qd_worker_memory_plan(const qd_job *job, const qd_graph *graph, const qd_dataset *dataset,
                          int members, const qd_memory_base *base, qd_worker_memory *memory);

#endif
