/*
 * checkpoint.h: checkpoints that belong to no grid (DESIGN 3.5). A checkpoint is a folder
 *
 *   RUN/checkpoints/step-00001200/
 *       writer-000.safetensors ...   tensors, or slices of them, one file for each writer
 *       writer-000.json ...          what that file holds: name, dtype, global shape, offset,
 *                                    extent and XXH3-64 of the bytes of each tensor or slice
 *       manifest.json                step, resolved job, processor, threads, and all of the above
 *
 * written as step-00001200.tmp, every file fsynced, the manifest last, and renamed into place; so
 * a folder under its final name is complete. Loading takes the newest one whose checksums hold,
 * and says so when it passed one over.
 */
#ifndef QD_WORKER_CHECKPOINT_H
#define QD_WORKER_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "models/job.h"
#include "worker/listener.h"
#include "worker/state.h"

/* ---- saving: each member one writer, in the background ---- */

typedef struct qd_checkpoint_writer qd_checkpoint_writer;

/* A writer for member `index` of `count`; run_folder exists. Copies what it is given. */
int qd_checkpoint_writer_create(const char *run_folder, int index, int count,
                                qd_checkpoint_writer **writer);

/* Waits for the thread (an unfinished checkpoint stays a .tmp folder, never a half one). */
void qd_checkpoint_writer_destroy(qd_checkpoint_writer *writer);

/*
 * Takes a copy of this member's share of the tensors as they are after `step` steps (tensors, or
 * the slices that members hold of them, are dealt to writers in order, balanced by bytes:
 * checkpoint_deal.h) and starts writing it in the background. Must not be called while an earlier
 * one is pending. QD_ENOMEM, QD_EIO.
 */
int qd_checkpoint_begin(qd_checkpoint_writer *writer, const qd_state_tensor *tensors, int count,
                        int64_t step);

/* Step of the pending checkpoint; -1 when none is. */
int64_t qd_checkpoint_pending(const qd_checkpoint_writer *writer);

/* Whether this member's part is on disk: 1 yes, 0 not yet, or the error that ended it. */
int qd_checkpoint_written(qd_checkpoint_writer *writer);

/* As written, waiting for it at most deadline_s. 0, QD_ETIMEDOUT, or the error. */
int qd_checkpoint_wait(qd_checkpoint_writer *writer, double deadline_s);

/* What of the machine a bitwise continuation depends on. */
typedef struct qd_checkpoint_origin {
    char processor[128];
    int threads;
} qd_checkpoint_origin;

/*
 * When all members have written: member 0 calls this to put the manifest, rename the folder into
 * place and remove all but the newest job->checkpoint_keep checkpoints. QD_EIO, QD_EDATA.
 */
int qd_checkpoint_commit(qd_checkpoint_writer *writer, const qd_job *job,
                         const qd_checkpoint_origin *origin);

/* The other members: forget the pending one. Also how a failed one is given up, by all members:
 * each removes what it could not finish, member 0 the folder. Does not wait; keeps the thread's
 * recorded error. */
void qd_checkpoint_forget(qd_checkpoint_writer *writer);

/* ---- loading ---- */

/* A complete checkpoint that was found. job_text is freed by qd_checkpoint_info_fini. */
typedef struct qd_checkpoint_info {
    char folder[1024];
    int64_t step;
    char *job_text; /* the resolved job it was saved by */
    qd_checkpoint_origin origin;
} qd_checkpoint_info;

/*
 * The newest checkpoint of a run whose manifest can be read and whose files have the sizes it says
 * (checksums are checked by load). *found is false, and 0 returned, when there is none. Ones that
 * were passed over are logged as warnings with the reason. at_most >= 0: none newer than that
 * step. QD_EIO.
 */
int qd_checkpoint_find(const char *run_folder, int64_t at_most, qd_checkpoint_info *info,
                       bool *found);
void qd_checkpoint_info_fini(qd_checkpoint_info *info);

/* Fills the data of the given tensors from it, whatever grid saved it, checking every checksum it
 * reads. What is held of a tensor must be covered completely, and its shape be the same; of what no
 * held slice shares nothing is read. QD_EDATA names file and tensor. Nothing is written before
 * everything was found whole: damage leaves the tensors as they were.
 */
int qd_checkpoint_load(const qd_checkpoint_info *info, const qd_state_tensor *tensors, int count,
                       qd_listener listener);

#endif
