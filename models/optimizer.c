#include "models/optimizer.h"

#include "models/op.h"
#include "runtime/align.h"

static const char *const momentum[] = {"momentum"};
static const char *const moments[] = {"m", "v"};

/* A parameter that Muon makes orthogonal has its momentum in m, and zeros in v. */
static const qd_optimizer_facts facts[] = {
    [QD_OPTIMIZER_SGD] = {"sgd", 1, momentum, false},
    [QD_OPTIMIZER_ADAM] = {"adam", 2, moments, false},
    [QD_OPTIMIZER_ADAMW] = {"adamw", 2, moments, false},
    [QD_OPTIMIZER_LAMB] = {"lamb", 2, moments, true},
    [QD_OPTIMIZER_MUON] = {"muon", 2, moments, false},
};

const qd_optimizer_facts *qd_optimizer_facts_of(const qd_optimizer_spec *spec) {
    return &facts[spec->kind];
}

bool qd_optimizer_decays(const qd_optimizer_spec *spec, const qd_param *param) {
    return spec->decay == QD_DECAY_ALL || param->shape.dims >= 2;
}

/* The node that makes the logits, which may have been reshaped since; -1: none. */
static int last_layer(const qd_graph *graph) {
    int n = graph->values[graph->logits].producer;
    while (n >= 0 && graph->nodes[n].param_count == 0)
        n = graph->values[graph->nodes[n].inputs[0]].producer;
    return n;
}

static bool reads(const qd_node *node, int param) {
    for (int i = 0; i < node->param_count; i++)
        if (node->params[i] == param)
            return true;
    return false;
}

/* What lies behind the first layer is what has a gradient to hand back. */
static bool is_hidden_layer(const qd_graph *graph, int n) {
    const qd_node *node = &graph->nodes[n];
    return node->op->kind == QD_OP_LINEAR && graph->values[node->inputs[0]].needs_grad &&
           n != last_layer(graph);
}

static bool is_hidden(const qd_graph *graph, int param) {
    const qd_param *p = &graph->params[param];
    int readers = 0;
    if (p->kind != QD_PARAM_TRAINED || p->shape.dims != 2)
        return false;
    for (int n = 0; n < graph->node_count; n++) {
        if (!reads(&graph->nodes[n], param))
            continue;
        if (!is_hidden_layer(graph, n))
            return false;
        readers++;
    }
    return readers > 0;
}

void qd_optimizer_find_hidden(qd_graph *whole) {
    for (int p = 0; p < whole->param_count; p++)
        whole->params[p].hidden = is_hidden(whole, p);
}

bool qd_optimizer_orthogonalizes(const qd_optimizer_spec *spec, const qd_graph *graph, int param) {
    return spec->kind == QD_OPTIMIZER_MUON && graph->params[param].hidden;
}

int64_t qd_optimizer_matrix_scratch(int64_t rows, int64_t columns) {
    int64_t side = rows < columns ? rows : columns;
    return 2 * qd_align_floats(rows * columns) + 2 * qd_align_floats(side * side);
}

double qd_optimizer_matrix_flops(int64_t rows, int64_t columns) {
    double s = (double)(rows < columns ? rows : columns);
    double l = (double)(rows < columns ? columns : rows);
    return QD_OPTIMIZER_MATRIX_STEPS * (2 * 2 * s * s * l + 2 * s * s * s);
}

int64_t qd_optimizer_scratch(const qd_optimizer_spec *spec, const qd_graph *graph) {
    int64_t most = 0;
    for (int p = 0; p < graph->param_count; p++) {
        const qd_shape *shape = &graph->params[p].whole;
        if (!qd_optimizer_orthogonalizes(spec, graph, p))
            continue;
        int64_t floats = qd_optimizer_matrix_scratch(shape->dim[0], shape->dim[1]);
        most = floats > most ? floats : most;
    }
    return most;
}
