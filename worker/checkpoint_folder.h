/*
 * checkpoint_folder.h: names and folders of checkpoints, and removing them so that one half
 * removed is never taken for whole. What stands in the files is not its business.
 */
#ifndef QD_WORKER_CHECKPOINT_FOLDER_H
#define QD_WORKER_CHECKPOINT_FOLDER_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* RUN/checkpoints */
int qd_checkpoint_parent(const char *run_folder, char path[PATH_MAX]);

/* RUN/checkpoints/step-00001200, or, aside, step-00001200.tmp */
int qd_checkpoint_folder(const char *run_folder, int64_t step, bool aside, char path[PATH_MAX]);

enum { QD_CHECKPOINT_NAME_BYTES = 40 };

/* "writer-007.safetensors" (suffix "safetensors") */
void qd_checkpoint_writer_name(int index, const char *suffix, char name[QD_CHECKPOINT_NAME_BYTES]);

/*
 * The steps of the folders in RUN/checkpoints, descending: of those under their final names or,
 * aside, of the .tmp ones. *steps belongs to the caller (free). A run without that folder has
 * none. QD_EIO, QD_ENOMEM.
 */
int qd_checkpoint_list(const char *run_folder, bool aside, int64_t **steps, int *count);

/* Removes the .tmp folder of a step. QD_EIO. */
int qd_checkpoint_remove_aside(const char *run_folder, int64_t step);

/*
 * After `newest` was put into place: of the complete ones up to it keeps the newest `keep` (>= 1),
 * and no .tmp folder of an earlier step. Newer ones are left alone: a run that fell back behind
 * them has not come to them again. What cannot be removed is logged.
 */
void qd_checkpoint_prune(const char *run_folder, int64_t newest, int64_t keep);

#endif
