/*
 * steps_log.h: RUN/steps.jsonl, the history of a run: one line for each step and one for each
 * evaluation, as if the run had never been interrupted. The first member of the gang keeps it.
 *
 *   {"step":12,"loss":0.693147182,"grad_norm":1.25,"bits":"0x1.62e43p-1"}
 *   {"step":430,"split":"test","loss":0.41,"accuracy":0.85,"samples":10000}
 *
 * "grad_norm" is the length of the gradient before clipping; "bits" is the loss's exact value
 * (printf %a), to compare runs by. Calls come from one thread.
 */
#ifndef QD_WORKER_STEPS_LOG_H
#define QD_WORKER_STEPS_LOG_H

#include <stdint.h>

#include "worker/data/dataset.h"

typedef struct qd_steps_log qd_steps_log;

/*
 * Opens it for a run that goes on behind `step` steps (0: from the beginning): of the lines there
 * exactly those of steps <= step stay; what is no whole line (torn by a crash) goes. The file is
 * replaced as a whole, never cut in place. QD_EIO, QD_ENOMEM.
 */
int qd_steps_log_open(const char *run_folder, int64_t step, qd_steps_log **log);

/*
 * Add a line to the buffer, which is written out when it is full or about once a second. QD_EIO:
 * it could not be written; what is in the buffer stays for the next try, and only when there is no
 * room left is the new line lost. A number that is not finite is null. An evaluation of the step of
 * opening that an earlier attempt has logged (a finished run that is resumed) is not logged twice.
 */
int qd_steps_log_step(qd_steps_log *log, int64_t step, float loss, double gradient_norm);
int qd_steps_log_evaluation(qd_steps_log *log, int64_t step, qd_split split, double loss,
                            double accuracy, int64_t samples);

/* The validation losses on record when the log was opened, in order; NaN for one that was not
 * finite. Call it before a line is added. QD_EIO. */
int qd_steps_log_validations(const qd_steps_log *log,
                             void (*visit)(void *context, int64_t step, double loss),
                             void *context);

/* Hands the buffer to the operating system: call it before a checkpoint is committed, so that a
 * killed run's history reaches as far as the checkpoint it will go on from. QD_EIO. */
int qd_steps_log_flush(qd_steps_log *log);

/* Flushes and closes. NULL does nothing and returns 0. QD_EIO; the log is gone all the same. */
int qd_steps_log_close(qd_steps_log *log);

#endif
