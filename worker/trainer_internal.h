/* trainer_internal.h: what the files of the trainer share; for worker/trainer*.c only. */
#ifndef QD_WORKER_TRAINER_INTERNAL_H
#define QD_WORKER_TRAINER_INTERNAL_H

#include "collectives/allreduce.h"
#include "models/grid.h"
#include "models/patience.h"
#include "models/plateau.h"
#include "runtime/span.h"
#include "worker/checkpoint.h"
#include "worker/data/loader.h"
#include "worker/stage.h"
#include "worker/steps_log.h"
#include "worker/tensor_group.h"
#include "worker/trainer.h"
#include "worker/utilization.h"

/* Numbers that members agree on outside a step, each from every member. */
enum { QD_AGREE_MAX = 16 };

/* What members decide alike in a step, as totals beside the engine's own. */
enum {
    QD_TOTAL_STOP = QD_TOTAL_FREE, /* members that were asked to stop */
    QD_TOTAL_SAVED,                /* members whose part of a pending checkpoint is on disk */
    QD_TOTALS_NAMED
};

_Static_assert(QD_TOTALS_NAMED <= (int)QD_TOTALS, "the engine carries too few totals");

/* A member whose part of a checkpoint failed adds this to QD_TOTAL_SAVED: more than all members
 * that succeeded could add up to. */
#define QD_SAVED_FAILED 65536.0f

typedef struct qd_trainer {
    const qd_assignment *a;
    const qd_job *job;
    const qd_trainer_hooks *hooks;
    int index; /* of this member in the gang */
    qd_grid grid;
    qd_grid_place place;
    int first_slot, end_slot;
    int64_t slot_samples;
    int64_t chunk_samples; /* of a micro-batch, and so of an evaluation's chunk */
    int *slot_starts;      /* [dp + 1] the gang's data slots */
    int *one_each;         /* [members + 1] 0, 1, 2 ...: one leaf a member */

    qd_span_clock spans;
    qd_dataset *dataset;
    qd_progress *progress; /* carries exchanges on while the engines compute; NULL for dp 1, pp 1 */
    qd_group *group;       /* the gang */
    qd_group *data_group;  /* along the data axis; the gang where it lies on that */
    qd_group *tensor_group;           /* along the tensor axis; NULL where tp is 1 */
    qd_group *outputs, *gradients;    /* along the pipeline axis; NULL where pp is 1 */
    qd_tensor_group *tensor_exchange; /* over it */
    qd_stage *stage;
    qd_loader **loaders; /* [chunks of the stage]; NULL: it reads no data */
    qd_checkpoint_writer *writer;
    qd_checkpoint_origin origin;
    qd_utilization *utilization;
    qd_steps_log *steps_log; /* first member only */
    bool log_failed;         /* said already */
    qd_state_tensor *state;  /* [state_count] */
    int state_count;
    float *agree; /* [QD_AGREE_MAX], 64-byte aligned */
    struct qd_evaluation *evaluation;

    int64_t step; /* steps done */
    int64_t total_steps;
    int64_t loaded_step;           /* of the checkpoint this attempt began from; -1: none */
    int64_t saved_step;            /* newest committed checkpoint; -1: none */
    float loss;                    /* of the last step */
    float stop_votes, saved_votes; /* of all members, in the last step */
    qd_patience patience;
    qd_plateau plateau;
    int64_t counted_step;   /* of the last evaluation that counted for the two; -1: none */
    int64_t validated_step; /* of the last evaluation on the validation split; -1: none */
    int64_t started_ns, listened_ns;
    int64_t interval_from_ns, interval_from_step;
    int64_t line_from_ns, progress_from_ns, progress_from_step;
} qd_trainer;

static inline bool qd_trainer_leads(const qd_trainer *t) {
    return t->index == 0;
}

/* Of a member whose index is known: its place in the grid, and what follows from it. QD_EPROTO,
 * QD_ENOMEM. */
int qd_trainer_find_place(qd_trainer *t);

/* Meets the members of each of its groups, and connects the stage to them; errors as
 * qd_group_create's. Closing ends what is under way. */
int qd_trainer_open_groups(qd_trainer *t);
void qd_trainer_close_groups(qd_trainer *t);

/* After the totals of a step have been summed: the votes of all members. A collective call. */
int qd_trainer_count_votes(qd_trainer *t);

/* The trainer's listener (listener.h): QD_ECANCELLED once the attempt is called off. */
int qd_trainer_listen(void *trainer);

/*
 * Sums count (<= QD_AGREE_MAX) small whole numbers over all members, into values. A collective
 * call: every member makes it. Exact while the sums stay below 2^24.
 */
int qd_trainer_sum(qd_trainer *t, float *values, int count);

/* A log that cannot be written is no reason to end a run; it is said once. */
void qd_trainer_heed_log_failure(qd_trainer *t, int rc);

/* Loads the newest checkpoint if the assignment says resume and there is one that holds; all
 * members agree on the step. Sets step and loaded_step. */
int qd_trainer_resume(qd_trainer *t);

/* At a step boundary, after the update: commits or gives up the pending checkpoint as the totals
 * say, and begins a new one when it is due. */
int qd_trainer_checkpoint_step(qd_trainer *t);

/* Before the first slot of a step: puts the state of the pending checkpoint into the totals. */
void qd_trainer_checkpoint_vote(qd_trainer *t);

/* Saves the state of the current step and waits until it is complete, unless it is saved already.
 * Called by all members at the same step. */
int qd_trainer_checkpoint_now(qd_trainer *t);

/* Takes the evaluations on record into patience and plateau: the first member reads them, and all
 * learn what they come to. One that is missing at the step where the run goes on is made. A
 * collective call, once the first member's log is open. */
int qd_trainer_remember_evaluations(qd_trainer *t);

/* Evaluates a split on all members together; a validation counts for patience and plateau. The loss
 * is the mean, the same bits on every grid and every member. */
int qd_evaluation_create(qd_trainer *t, struct qd_evaluation **evaluation);
void qd_evaluation_destroy(struct qd_evaluation *evaluation);
/* Bytes of its buffers. dataset: NULL where it is not known. */
size_t qd_evaluation_bytes(const qd_job *job, const qd_sample_spec *spec,
                           const qd_dataset *dataset);
int qd_trainer_evaluate(qd_trainer *t, qd_split split);

#endif
