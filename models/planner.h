/*
 * planner.h: which layout a job should have on so many ranks of given hardware: the grid dp x pp x
 * tp, data slots, ZeRO stage, micro-batches, pipeline schedule and recomputation that promise the
 * shortest step among those that fit into memory; what was predicted of it, and why the next best
 * lost. Pure: a function of the job's graph and the cluster's description, no device, no MPI, no
 * file. What it predicts is arithmetic on this page and in the files planner_*.c:
 *
 *   compute   each operator by the roofline of its FLOPs and bytes (planner_parts.h)
 *   exchange  by the formulas of rings, over the link that the group spans (planner_links.h)
 *   pipeline  the dearest stage m times, and what fills and drains it: sum over the other stages
 *             (GPipe, 1F1B), 1 / v of it (interleaved), less a weight gradient each (ZB-H1); the
 *             closed formulas of models/pipeline.h where stages are alike
 *   overlap   gradients leave in n equal buckets during the last backward b: exposed are
 *             max(bucket, all - b (1 - 1 / n)), and of the rest what the hardware's overlap lacks
 *   ZeRO      elements sent a step, times (d - 1) / d: stages 0 and 1: 2 P; 2: (m + 1) P, as
 *             gradients are scattered each micro-batch; 3: 3 m P (Rajbhandari et al., arXiv
 *             1910.02054, 7). Floats in all of them
 *   optimizer weight, gradient and states read, all but the gradient written, from memory; and
 *             Muon's products, by their FLOPs
 *
 * Memory is that of models/memory_plan.h, part by part, without what it loses to gaps.
 */
#ifndef QD_MODELS_PLANNER_H
#define QD_MODELS_PLANNER_H

#include <stdbool.h>
#include <stdint.h>

#include "models/hardware.h"
#include "models/job.h"

/* The keys of a job file that it comes to: layout: {dp, pp, tp, zero, schedule}, slots.data,
 * train.micro_batches, train.recompute. */
typedef struct qd_plan_layout {
    int dp, pp, tp;
    int zero;              /* stage, 0 .. 3 */
    int schedule;          /* index in qd_pipeline_names; QD_PLAN_NO_SCHEDULE where pp = 1 */
    int chunks;            /* parts of the model that a stage holds */
    int64_t slots;         /* data slots */
    int64_t micro_batches; /* of a slot */
    int recompute;         /* blocks */
} qd_plan_layout;

enum { QD_PLAN_NO_SCHEDULE = -1 };

typedef enum {
    QD_PLAN_COMPUTE,
    QD_PLAN_RECOMPUTE,
    QD_PLAN_TENSOR,     /* sums between tensor ranks */
    QD_PLAN_BUBBLE,     /* pipeline: waiting for other stages */
    QD_PLAN_TRANSFER,   /* pipeline: handing on */
    QD_PLAN_GRADIENTS,  /* exposed part of summing them */
    QD_PLAN_PARAMETERS, /* exposed part of gathering them (ZeRO) */
    QD_PLAN_OPTIMIZER,
    QD_PLAN_TIMES
} qd_plan_time;

typedef enum {
    QD_PLAN_WEIGHTS,
    QD_PLAN_WEIGHT_GRADIENTS,
    QD_PLAN_OPTIMIZER_STATE,
    QD_PLAN_ACTIVATIONS,
    QD_PLAN_SCRATCH,
    QD_PLAN_BUCKETS,  /* of exchanges under way */
    QD_PLAN_RESERVED, /* what the hardware's description and the caller set apart */
    QD_PLAN_MEMORIES
} qd_plan_memory;

/* "compute", ...; as keys, and with blanks for people. */
extern const char *const qd_plan_time_names[QD_PLAN_TIMES];
extern const char *const qd_plan_memory_names[QD_PLAN_MEMORIES];

/* What a rank sends in a step, for whom: bytes, by link. */
typedef struct qd_plan_traffic {
    double inside, between;
} qd_plan_traffic;

typedef struct qd_plan {
    qd_plan_layout layout;
    double time[QD_PLAN_TIMES]; /* seconds of a step; their sum is step_s */
    double step_s;
    double memory[QD_PLAN_MEMORIES]; /* bytes of the fullest rank; their sum is memory_bytes */
    double memory_bytes;
    bool fits;
    qd_plan_traffic tensor, pipeline, data; /* of the rank that sends most */
    double samples_per_s;
    double mfu; /* FLOPs of the model, nothing recomputed, over peak of the ranks used */
} qd_plan;

enum { QD_PLAN_FREE = -1, QD_PLAN_MOST = 6, QD_PLAN_REASON_BYTES = 256 };

/* What the planner may not choose: QD_PLAN_FREE, or the value it is to have. */
typedef struct qd_plan_pins {
    int64_t dp, pp, tp, zero, schedule, slots, micro_batches, recompute;
    /* Bounds of what it may choose; QD_PLAN_FREE: none but the job's own. */
    int64_t least_ranks, most_pp, most_parts, most_tp, most_zero;
} qd_plan_pins;

extern const qd_plan_pins qd_plan_no_pins;

typedef struct qd_plan_loser {
    qd_plan plan;
    char reason[QD_PLAN_REASON_BYTES]; /* "12.3 % slower: 40 ms more of pipeline bubble" */
} qd_plan_loser;

typedef struct qd_plan_choice {
    qd_plan best;
    qd_plan_loser losers[QD_PLAN_MOST]; /* of other grids: first those that fit, fastest first,
                                           then faster ones that do not fit */
    int loser_count;
    int64_t tried; /* layouts */
} qd_plan_choice;

/* What a rank on a CPU keeps in the same memory beside its engine; bytes. */
typedef struct qd_plan_host {
    double mapped;  /* data set, mapped */
    double heap;    /* data set, loader, evaluation; the copy of a checkpoint comes on top */
    double reserve; /* of the heap, that is counted in the hardware's reserved_bytes */
} qd_plan_host;

typedef struct qd_planner qd_planner;

/*
 * Profiles the job. Both are to live as long as the planner. host: NULL where devices have memory
 * of their own. QD_ECONFIG, QD_ENOMEM. Owner of *planner: the caller (qd_planner_destroy).
 */
int qd_planner_create(const qd_job *job, const qd_hardware *hardware, const qd_plan_host *host,
                      qd_planner **planner);
void qd_planner_destroy(qd_planner *planner);

/*
 * The fastest layout that fits on at most so many ranks. QD_ECONFIG when none does: the message
 * says what is lacking, and each change that would make the job fit. QD_ENOMEM.
 */
int qd_planner_choose(qd_planner *planner, int64_t ranks, const qd_plan_pins *pins,
                      qd_plan_choice *choice);

/* What is to be expected of a given layout, whether it fits or not. QD_ECONFIG when the job cannot
 * have it: the message says why. QD_ENOMEM. */
int qd_planner_predict(qd_planner *planner, const qd_plan_layout *layout, qd_plan *plan);

/* "dp 8, pp 4, tp 2, zero 1, 16 micro-batches, 1f1b" into text (QD_PLAN_REASON_BYTES are enough).
 * Returns text. */
const char *qd_plan_layout_text(const qd_plan_layout *layout, char *text, size_t size);

#endif
