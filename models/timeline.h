/*
 * timeline.h: what training on one micro-batch does, in order, as data. The memory plan places
 * buffers by this list and the engine walks it, so that the two can't drift apart. Pure; an
 * evaluation is its first part, forward of all nodes.
 *
 * Recomputation (Chen et al., arXiv 1604.06174): of the graph's first graph->recompute blocks,
 * values that only the block itself reads are dropped in forward, and made anew just before the
 * backward of the block, from what the block reads. Exactly those nodes run again
 *
 *   - whose output backward of the block needs, or another node that runs again, unless a node
 *     outside the block reads it, too: such a value is kept;
 *   - or whose backward needs what forward saved, where that is no smaller than the output (the
 *     gates of an LSTM); what is smaller (the statistics of a norm) is kept.
 *
 * An operator computes the same bits both times: it reads its operands and the run state (seed,
 * step, place of the sample), and leaves nothing behind but its output and what it saves.
 */
#ifndef QD_MODELS_TIMELINE_H
#define QD_MODELS_TIMELINE_H

#include "models/graph.h"

typedef enum {
    QD_PASS_FORWARD,
    QD_PASS_LOSS, /* losses and logits are scored, the gradient of the loss is seeded; in a part
                     that has no loss, values are handed on and their gradients come back */
    QD_PASS_RECOMPUTE,       /* forward of a node once more */
    QD_PASS_BACKWARD,        /* only nodes whose output needs a gradient have one */
    QD_PASS_BACKWARD_INPUT,  /* the two halves of it, where they are apart: of nodes whose inputs */
    QD_PASS_BACKWARD_WEIGHT, /* need gradients; and of nodes with parameters */
} qd_pass_kind;

typedef struct qd_pass {
    qd_pass_kind kind;
    int node; /* -1: LOSS */
} qd_pass;

typedef struct qd_timeline {
    qd_pass *passes;
    int count;
    int loss;    /* place of LOSS: forward is before it, backward behind */
    int weights; /* of the first BACKWARD_WEIGHT; count, where the halves are not apart */
} qd_timeline;

/* Owner of *timeline: the caller (qd_timeline_destroy). QD_ENOMEM. */
int qd_timeline_create(const qd_graph *graph, qd_timeline **timeline);
/* The same with backward in its halves, all inputs' first, so that the other one may wait
 * (models/pipeline.h, zb-h1). */
int qd_timeline_create_halved(const qd_graph *graph, qd_timeline **timeline);

/* Whether a pass writes, or adds to, gradients of the node's parameters. */
bool qd_pass_adds_weights(const qd_graph *graph, qd_pass pass);

void qd_timeline_destroy(qd_timeline *timeline);

/* FLOPs of what is recomputed for the graph's samples. */
double qd_timeline_recompute_flops(const qd_timeline *timeline, const qd_graph *graph);

#endif
