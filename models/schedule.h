/*
 * schedule.h: what optimizer.learning_rate is multiplied by, step for step. A pure function of the
 * step's number, so that a run that was stopped goes on as if it had not been.
 *
 * A schedule is laid over a length: spec->steps, or the run's own where that is 0. Some kinds
 * depend on that length (linear, cosine, wsd, one-cycle). Since a run may be resumed with more
 * steps than it had, and a resume does not compare train.steps and train.epochs, a job that is
 * going to be extended should give schedule.steps; with 0 the steps after a resume follow the
 * longer run's schedule. schedule.steps itself, as all keys of the schedule, is compared.
 *
 * With a length of T, the first W = warmup steps rise in a straight line: step t has t / W. The
 * schedule proper takes the n = T - W steps after them. With i = t - W, 1 <= i <= n, and
 * x = (i - 1) / (n - 1), 0 in its first step and 1 in its last (0 where n = 1):
 *
 *   constant   1
 *   linear     1 + (final - 1) x
 *   step       gamma ^ floor((i - 1) / every); needs no length
 *   cosine     final + (1 - final) (1 + cos(pi x)) / 2  (Loshchilov and Hutter, arXiv 1608.03983,
 *              without restarts)
 *   wsd        1 until i = n - decay_steps; from there in a straight line to final at i = n
 *              (Hu et al., arXiv 2404.06395, with a linear decay)
 *   one-cycle  up from 1/div to 1 along half a cosine while x <= peak, then down to final along
 *              another (Smith and Topin, arXiv 1708.07120, as torch.optim.lr_scheduler.OneCycleLR)
 *   plateau    1; what evaluations make of it is in models/plateau.h. Needs no length
 *
 * The last step is the one that has `final`; a `final` of 0 makes it move nothing but momentum.
 * Steps after T keep the factor of step T. One-cycle has a rise of its own, so that a warmup before
 * it ends in a fall from 1 to 1/div.
 */
#ifndef QD_MODELS_SCHEDULE_H
#define QD_MODELS_SCHEDULE_H

#include <stdint.h>

typedef enum {
    QD_SCHEDULE_CONSTANT,
    QD_SCHEDULE_LINEAR,
    QD_SCHEDULE_STEP,
    QD_SCHEDULE_COSINE,
    QD_SCHEDULE_WSD,
    QD_SCHEDULE_ONE_CYCLE,
    QD_SCHEDULE_PLATEAU,
} qd_schedule_kind;

typedef struct qd_schedule_spec {
    qd_schedule_kind kind;
    int64_t warmup;      /* steps; 0: none */
    int64_t steps;       /* the length, warmup included; 0: the run's own. Not constant, step */
    double final;        /* factor of the last step, 0 .. 1; linear, cosine, wsd, one-cycle;
                            plateau: the lowest */
    int64_t every;       /* steps between two falls; step */
    double gamma;        /* factor of each fall, 0 .. 1; step, plateau */
    int64_t patience;    /* evaluations without improvement that are let pass; plateau */
    double threshold;    /* part of the best loss that is no improvement yet; plateau */
    int64_t decay_steps; /* steps at the end; wsd */
    double div;          /* >= 1; one-cycle */
    double peak;         /* fraction of the way, above 0 and below 1; one-cycle */
} qd_schedule_spec;

/* The factor of step `step` (1 for the first) of a run of total_steps (>= 1): 0 .. 1. A zeroed
 * spec is constant, without warm-up: exactly 1. */
double qd_schedule_factor(const qd_schedule_spec *spec, int64_t step, int64_t total_steps);

#endif
