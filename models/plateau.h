/*
 * plateau.h: the falls of schedule kind plateau. When the validation loss has not improved in more
 * than schedule.patience evaluations, the learning rate falls by schedule.gamma, and counting
 * starts anew; a loss has improved that is below the best one times 1 - schedule.threshold. As
 * torch.optim.lr_scheduler.ReduceLROnPlateau in mode min with a relative threshold, without
 * cooldown and with eps 0.
 *
 * Like patience.h it is a pure function of the validation losses of the run so far, and no part of
 * a checkpoint.
 */
#ifndef QD_MODELS_PLATEAU_H
#define QD_MODELS_PLATEAU_H

#include <stdint.h>

#include "models/schedule.h"

typedef struct qd_plateau {
    float best;    /* lowest loss; infinite before the first */
    int64_t since; /* evaluations since then, or since the last fall */
    int64_t falls;
} qd_plateau;

void qd_plateau_begin(qd_plateau *plateau);

/* Takes in the loss of the evaluation behind that step; while warming up none counts. NaN is no
 * improvement. */
void qd_plateau_note(qd_plateau *plateau, const qd_schedule_spec *spec, int64_t step, double loss);

/* What the learning rate is multiplied by from the next step on: gamma ^ falls, not below final;
 * of other kinds 1. */
double qd_plateau_factor(const qd_plateau *plateau, const qd_schedule_spec *spec);

#endif
