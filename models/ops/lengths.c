#include "models/ops/lengths.h"

#include <inttypes.h>

#include "runtime/error.h"

int qd_lengths_check(const qd_graph *graph, const qd_node *node) {
    const qd_value *lengths = &graph->values[node->inputs[1]];
    char text[64];
    if (lengths->dtype == QD_I32 && lengths->shape.dims == 1 &&
        lengths->shape.dim[0] == graph->samples)
        return 0;
    return qd_error_set(
        QD_ECONFIG,
        "%s: lengths %s of %s; %s takes one length for each sample, [%" PRId64 "] of integers",
        node->name, qd_shape_text(&lengths->shape, text, sizeof text),
        lengths->dtype == QD_I32 ? "integers" : "float", node->op->name, graph->samples);
}
