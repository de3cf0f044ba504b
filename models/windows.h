/*
 * windows.h: when a member has which parameters at hand, where they are kept by shards (ZeRO 3,
 * layout.zero 3). A segment (models/segments.h) is gathered once for each stretch of a
 * micro-batch's timeline in which something reads it: forward, backward, and backward's other half
 * where the halves are apart, since other micro-batches may come in between. In each stretch the
 * next segment travels while the one before it is computed with. Pure.
 */
#ifndef QD_MODELS_WINDOWS_H
#define QD_MODELS_WINDOWS_H

#include "models/segments.h"

typedef struct qd_window {
    int segment;
    int from;       /* pass before which the gather begins */
    int use, until; /* first and last pass of the stretch that reads one of its parameters */
} qd_window;

typedef struct qd_windows {
    qd_segments *segments;
    qd_window *window; /* [count], by `from`: all members gather in this order */
    int count;
} qd_windows;

/* Whether a pass reads the parameters of its node. */
bool qd_pass_reads_params(const qd_graph *graph, qd_pass pass);

/* Owner of *windows: the caller (qd_windows_destroy). QD_ENOMEM. */
int qd_windows_create(const qd_graph *graph, const qd_timeline *timeline, const qd_buckets *buckets,
                      qd_windows **windows);
void qd_windows_destroy(qd_windows *windows);

#endif
