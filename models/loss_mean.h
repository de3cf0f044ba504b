/*
 * loss_mean.h: what each target counts in the mean of the losses: the weight of its class, 1 where
 * classes have none, and nothing where it is of the ignored index. The mean is the sum of the
 * losses (which are multiplied by those weights already) divided by the sum of what the targets
 * count, over the whole batch: as PyTorch's CrossEntropyLoss, reduction mean. A batch of which
 * nothing counts has a mean of 0.
 */
#ifndef QD_MODELS_LOSS_MEAN_H
#define QD_MODELS_LOSS_MEAN_H

#include <stdbool.h>
#include <stdint.h>

#include "models/graph.h"

typedef struct qd_loss_count {
    double weight; /* what the targets count together */
    int64_t kept;  /* targets that are not ignored */
} qd_loss_count;

/* Whether some targets count more than others; if not, what a batch counts is known before. */
bool qd_loss_is_weighted(const qd_graph *graph);

/* The index of targets that do not count; NULL: all do. */
const int32_t *qd_loss_ignored(const qd_graph *graph);

/* What the targets of so many samples count; each must be a class of the graph's, or ignored. */
qd_loss_count qd_loss_count_targets(const qd_graph *graph, const int32_t *targets, int64_t samples);

#endif
