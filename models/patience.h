/*
 * patience.h: when a run ends early: train.stop_after evaluations in a row, no better than the best
 * before them. A pure function of the validation losses of the run so far, all members know the
 * same ones, so all decide alike. It is not part of a checkpoint: a run that goes on takes it from
 * the evaluations on record (worker/steps_log.h).
 */
#ifndef QD_MODELS_PATIENCE_H
#define QD_MODELS_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "models/job.h"

typedef struct qd_patience {
    float best;    /* lowest loss; infinite before the first */
    int64_t since; /* evaluations since then */
} qd_patience;

void qd_patience_begin(qd_patience *patience);

/* Takes in the loss of the next evaluation. NaN is no improvement. */
void qd_patience_note(qd_patience *patience, double loss);

/* Whether an evaluation after that step counts: those while training, at every multiple of
 * train.evaluate_every; not the one at a run's end, which a longer run would not have had. */
bool qd_patience_counts(const qd_job *job, int64_t step);

bool qd_patience_is_over(const qd_patience *patience, const qd_job *job);

#endif
