/*
 * checkpoint_commit.h: what makes a checkpoint count: the manifest and the final name. Member 0's
 * part of saving, once all members have written theirs.
 */
#ifndef QD_WORKER_CHECKPOINT_COMMIT_H
#define QD_WORKER_CHECKPOINT_COMMIT_H

#include "worker/checkpoint.h"

/*
 * Checks that the .tmp folder of step holds the parts of `writers` writers, whole; writes the
 * manifest; removes what else lies there (of an earlier attempt); renames the folder into place,
 * instead of one of the same step if there is one; and forces it to disk. QD_EIO, QD_EDATA,
 * QD_ENOMEM.
 */
int qd_checkpoint_publish(const char *run_folder, int64_t step, int writers, const qd_job *job,
                          const qd_checkpoint_origin *origin);

#endif
