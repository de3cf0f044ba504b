/* Losses and right answers of a micro-batch, also where no member has all logits of a row. */
#include <stdlib.h>
#include <string.h>

#include "models/loss_mean.h"
#include "runtime/error.h"
#include "worker/engine_internal.h"

static const qd_node *loss_node(const qd_graph *g) {
    return &g->nodes[g->values[g->loss].producer];
}

static int64_t losses_of(const qd_graph *g) {
    return g->samples * qd_graph_losses_per_sample(g);
}

int qd_engine_score_create(qd_engine *e) {
    const qd_graph *g = e->graph;
    if (g->loss < 0 || !qd_op_is_shared(g, loss_node(g)))
        return 0;
    e->greatest = calloc(2 * (size_t)losses_of(g) * (size_t)g->tensor_members, sizeof(float));
    return e->greatest
               ? 0
               : qd_error_set(QD_ENOMEM, "no memory for %lld answers", (long long)losses_of(g));
}

/* Rows whose greatest logit, the first of equals, is the target's. */
static int64_t count_right(const qd_engine *e, const int32_t *targets, int64_t n) {
    const qd_graph *g = e->graph;
    const int32_t *ignored = qd_loss_ignored(g);
    int64_t right = 0;
    for (int64_t i = 0; i < n; i++) {
        const float *best = e->greatest + 2 * i;
        for (int m = 1; m < g->tensor_members; m++) {
            const float *other = e->greatest + 2 * (m * losses_of(g) + i);
            if (other[0] > best[0] || (other[0] == best[0] && other[1] < best[1]))
                best = other;
        }
        right += !(ignored && targets[i] == *ignored) && best[1] == (float)targets[i];
    }
    return right;
}

static int score_shared(qd_engine *e, const int32_t *targets, int64_t n, int64_t *correct) {
    const qd_graph *g = e->graph;
    const qd_shape *logits = &g->values[g->logits].shape;
    int64_t held = logits->dim[logits->dims - 1], first, end, all = losses_of(g);
    qd_cut_held(g, loss_node(g)->attributes.cross_entropy.classes, 1, &first, &end);
    int rc = e->backend->greatest(e->context, qd_engine_at(e, e->plan->value[g->logits]), all, held,
                                  first, e->greatest + 2 * g->tensor_member * all);
    if (!rc)
        rc = e->backend->wait(e->context);
    if (!rc)
        rc = e->tensor_exchange->gather(e->tensor_exchange->context, e->greatest,
                                        2 * all * (int64_t)sizeof *e->greatest);
    if (!rc)
        *correct = count_right(e, targets, n);
    return rc;
}

int qd_engine_score(qd_engine *e, const int32_t *targets, int64_t valid, double *loss_sum,
                    int64_t *correct) {
    const qd_graph *g = e->graph;
    const qd_shape *logits = &g->values[g->logits].shape;
    int64_t n = valid * qd_graph_losses_per_sample(g);
    bool tells = qd_graph_classifies(g) && !e->greatest;
    int rc = e->backend->score(
        e->context, qd_engine_at(e, e->plan->value[g->loss]),
        qd_engine_at(e, e->plan->value[g->logits]),
        tells ? (const int32_t *)qd_engine_at(e, e->plan->value[g->target]) : NULL,
        qd_loss_ignored(g), n, logits->dim[logits->dims - 1], loss_sum, correct);
    return rc || !e->greatest ? rc : score_shared(e, targets, n, correct);
}
