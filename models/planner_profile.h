/*
 * planner_profile.h: a job as the planner sees it: what each operator computes, moves and keeps, as
 * straight lines over the samples of a micro-batch, and how tensor parallelism divides it. Made
 * once for a job; everything that the planner tries is arithmetic on it. Inside of
 * models/planner*.c.
 *
 * Lines come from two graphs, of the fewest samples that the model takes and of twice as many: all
 * that an operator says of itself is a constant and a multiple of the samples.
 */
#ifndef QD_MODELS_PLANNER_PROFILE_H
#define QD_MODELS_PLANNER_PROFILE_H

#include "models/graph.h"
#include "models/hardware.h"
#include "models/job.h"
#include "models/memory_plan.h"
#include "models/pipeline_stages.h"
#include "models/timeline.h"

typedef struct qd_line {
    double fixed, per_sample;
} qd_line;

/* fmax and fmin are calls, since they look for NaN. */
static inline double qd_greater(double a, double b) {
    return a > b ? a : b;
}

static inline double qd_lesser(double a, double b) {
    return a < b ? a : b;
}

static inline double qd_line_at(qd_line line, double samples) {
    return line.fixed + line.per_sample * samples;
}

/* What tensor parallelism deals out of an extent: whole units; units = 0: nothing, all have all. */
typedef struct qd_profile_cut {
    int64_t extent, unit;
} qd_profile_cut;

/* The part of it that the fullest of tp ranks has: 1 where nothing is dealt out. */
double qd_profile_cut_share(qd_profile_cut cut, int tp);

typedef struct qd_profile_param {
    double elements;
    qd_profile_cut cut;
    int64_t rows, columns; /* of a matrix that Muon makes orthogonal; 0: not one */
} qd_profile_param;

typedef struct qd_profile_value {
    qd_line bytes;
    qd_profile_cut cut;
} qd_profile_value;

typedef struct qd_profile_node {
    qd_line forward_flops, backward_flops;
    double weight_share; /* of backward that is for parameters */
    bool has_backward;   /* it has, and of inputs */
    bool gives_input_gradient;
    bool is_product, is_attention;
    double rows_per_sample, columns, depth; /* of a product [rows, depth] x [depth, columns] */
    qd_cut cut_of_product;                  /* which of columns and depth tp divides */
    qd_profile_cut cut;                     /* of its work */
    qd_line scratch_bytes;
    qd_line forward_sum, backward_sum;   /* bytes that tensor ranks add up behind it; 0: none */
    int forward_sums, backward_sums;     /* in so many all-reduces */
    qd_line forward_move, backward_move; /* likewise that they gather, or get their own rows' sum
                                            of: half an all-reduce */
    int forward_moves, backward_moves;
} qd_profile_node;

/* What recomputing the first `blocks` blocks changes. */
typedef struct qd_profile_level {
    int blocks;
    qd_timeline *timeline;
    bool *again;   /* [node_count] */
    int *backward; /* [node_count + 1]: where in the timeline the nodes from this one on have all
                      had their backward: passes of nodes [a, b) are [backward[b], backward[a]) */
    qd_memory_buffer *buffers; /* of least_samples */
    int buffer_count;
    int *first_of_node; /* [node_count + 1] into buffers, those that a node's forward writes */
    int *by_node;       /* indices of buffers, node after node; then those nobody produces */
} qd_profile_level;

typedef struct qd_profile {
    const qd_job *job;
    int64_t least_samples; /* of a micro-batch: 1, or 2 where norms want more than one */
    qd_graph *one, *two;   /* graphs of least_samples and of twice as many; not recomputing */
    qd_graph *whole;       /* as one, all blocks recomputed */
    qd_profile_node *nodes;
    qd_profile_param *params;
    qd_profile_value *values;
    double model_flops; /* of forward and backward of a sample, nothing recomputed */
    int most_tp;        /* units of the layer that has fewest; 1: no layer can be cut */
    int state_vectors;
    bool bf16;
} qd_profile;

/* QD_ECONFIG, QD_ENOMEM. Owner of *profile: the caller (qd_profile_destroy); job is to live as
 * long. */
int qd_profile_create(const qd_job *job, qd_profile **profile);
void qd_profile_destroy(qd_profile *profile);

/* 0 <= blocks <= those of the graph. Owner of *level: the caller (qd_profile_level_destroy). */
int qd_profile_level_create(const qd_profile *profile, int blocks, qd_profile_level **level);
void qd_profile_level_destroy(qd_profile_level *level);

#endif
