/*
 * run_folder.h: the folder of a job's run, RUNS/JOB: who may write it, and what becomes of an
 * earlier run. Holds job.yaml (the resolved job), steps.jsonl, rank-R.jsonl, checkpoints/.
 */
#ifndef QD_SCHEDULER_RUN_FOLDER_H
#define QD_SCHEDULER_RUN_FOLDER_H

#include <stdbool.h>

#include "models/job.h"

#define QD_RUN_FOLDER_BYTES 1024

typedef struct qd_run_folder {
    char path[QD_RUN_FOLDER_BYTES]; /* absolute */
    int lock;                       /* descriptor that holds the lock; -1: none */
} qd_run_folder;

/*
 * Takes RUNS/JOB for this process until qd_run_folder_close or death. Without resume an earlier
 * run there is kept, renamed to RUNS/JOB.1, .2, ... With resume it is continued. The resolved job
 * is written to job.yaml, plan (or NULL), why it has its layout, to layout.txt. QD_EIO, also when
 * another process holds the folder.
 */
int qd_run_folder_open(const char *runs, const qd_job *job, const char *plan, bool resume,
                       qd_run_folder *folder);

/* Lets go of the lock. A folder that was never opened ({.lock = -1}) is fine. */
void qd_run_folder_close(qd_run_folder *folder);

#endif
