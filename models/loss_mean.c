#include "models/loss_mean.h"

#include "models/op.h"

const int32_t *qd_loss_ignored(const qd_graph *graph) {
    const qd_node *node = &graph->nodes[graph->values[graph->loss].producer];
    bool ignores =
        node->op->kind == QD_OP_CROSS_ENTROPY && node->attributes.cross_entropy.has_ignored_index;
    return ignores ? &node->attributes.cross_entropy.ignored_index : NULL;
}

bool qd_loss_is_weighted(const qd_graph *graph) {
    return graph->class_weights || qd_loss_ignored(graph);
}

qd_loss_count qd_loss_count_targets(const qd_graph *graph, const int32_t *targets,
                                    int64_t samples) {
    int64_t count = samples * qd_graph_losses_per_sample(graph);
    const int32_t *ignored = qd_loss_ignored(graph);
    qd_loss_count sum = {0};
    if (!qd_loss_is_weighted(graph))
        return (qd_loss_count){(double)count, count};
    for (int64_t i = 0; i < count; i++) {
        if (ignored && targets[i] == *ignored)
            continue;
        sum.weight += graph->class_weights ? (double)graph->class_weights[targets[i]] : 1;
        sum.kept++;
    }
    return sum;
}
