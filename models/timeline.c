#include "models/timeline.h"

#include <stdlib.h>

#include "models/op.h"
#include "runtime/error.h"

/* What is found out about the recomputed blocks before the list is written. */
typedef struct recomputing {
    const qd_graph *graph;
    bool *leaves; /* [value_count] a node outside its producer's block reads it */
    bool *needed; /* [value_count] read in backward, or by a node that runs again */
    bool *again;  /* [node_count] runs again */
} recomputing;

static bool is_recomputed(const qd_graph *graph, int node) {
    int block = graph->nodes[node].block;
    return block >= 0 && block < graph->recompute;
}

static bool has_backward(const qd_graph *graph, int node) {
    return graph->values[graph->nodes[node].output].needs_grad;
}

static void find_leaving(recomputing *r) {
    const qd_graph *g = r->graph;
    for (int n = 0; n < g->node_count; n++)
        for (int i = 0; i < g->nodes[n].input_count; i++) {
            int value = g->nodes[n].inputs[i], producer = g->values[value].producer;
            if (producer >= 0 && g->nodes[producer].block != g->nodes[n].block)
                r->leaves[value] = true;
        }
    for (int i = 0; i < g->handed_count; i++)
        r->leaves[g->handed[i]] = true;
    if (g->logits >= 0)
        r->leaves[g->logits] = true;
    if (g->loss >= 0)
        r->leaves[g->loss] = true;
}

static void need_inputs(recomputing *r, const qd_node *node) {
    for (int i = 0; i < node->input_count; i++)
        r->needed[node->inputs[i]] = true;
}

/* Whether what forward of a node saves is worth making anew. */
static bool saves_much(const qd_graph *graph, const qd_node *node) {
    return node->op->saved &&
           node->op->saved(graph, node) >= qd_shape_elements(&graph->values[node->output].shape);
}

/* All readers of the output have been seen: they come later, and the last node goes first. */
static void decide(recomputing *r, int n) {
    const qd_node *node = &r->graph->nodes[n];
    bool backward = has_backward(r->graph, n);
    if (backward && (node->op->keep & QD_KEEP_INPUTS))
        need_inputs(r, node);
    if (backward && (node->op->keep & QD_KEEP_OUTPUT))
        r->needed[node->output] = true;
    r->again[n] = (r->needed[node->output] && !r->leaves[node->output]) ||
                  (backward && saves_much(r->graph, node));
    if (r->again[n])
        need_inputs(r, node);
}

static void append(qd_timeline *t, qd_pass_kind kind, int node) {
    t->passes[t->count++] = (qd_pass){kind, node};
}

/* A block's nodes lie together: up to `last` from the first of them. */
static void append_recomputation(qd_timeline *t, const recomputing *r, int last) {
    const qd_node *nodes = r->graph->nodes;
    int first = last;
    while (first > 0 && nodes[first - 1].block == nodes[last].block)
        first--;
    for (int n = first; n <= last; n++)
        if (r->again[n])
            append(t, QD_PASS_RECOMPUTE, n);
}

static bool inputs_need_grad(const qd_graph *graph, const qd_node *node) {
    for (int i = 0; i < node->input_count; i++)
        if (graph->values[node->inputs[i]].needs_grad)
            return true;
    return false;
}

static void append_weights(qd_timeline *t, const qd_graph *g) {
    t->weights = t->count;
    for (int n = g->node_count - 1; n >= 0; n--)
        if (has_backward(g, n) && g->nodes[n].param_count > 0)
            append(t, QD_PASS_BACKWARD_WEIGHT, n);
}

static void append_backward(qd_timeline *t, const qd_graph *g, int n, bool halved) {
    if (!halved)
        append(t, QD_PASS_BACKWARD, n);
    else if (inputs_need_grad(g, &g->nodes[n]))
        append(t, QD_PASS_BACKWARD_INPUT, n);
}

static void write_list(qd_timeline *t, const recomputing *r, bool halved) {
    const qd_graph *g = r->graph;
    int recomputed = -1; /* the block that was, last */
    for (int n = 0; n < g->node_count; n++)
        append(t, QD_PASS_FORWARD, n);
    t->loss = t->count;
    append(t, QD_PASS_LOSS, -1);
    for (int n = g->node_count - 1; n >= 0; n--) {
        if (!has_backward(g, n))
            continue;
        if (is_recomputed(g, n) && g->nodes[n].block != recomputed) {
            recomputed = g->nodes[n].block;
            append_recomputation(t, r, n);
        }
        append_backward(t, g, n, halved);
    }
    if (halved)
        append_weights(t, g);
    else
        t->weights = t->count;
}

static int create(const qd_graph *graph, bool halved, qd_timeline **timeline) {
    size_t nodes = (size_t)graph->node_count, values = (size_t)graph->value_count;
    qd_timeline *t = calloc(1, sizeof *t);
    qd_pass *passes = calloc(4 * nodes + 1, sizeof *passes);
    bool *flags = calloc(2 * values + nodes + 1, sizeof *flags);
    if (!t || !passes || !flags) {
        free(t);
        free(passes);
        free(flags);
        return qd_error_set(QD_ENOMEM, "no memory for a timeline of %d nodes", graph->node_count);
    }
    recomputing r = {graph, flags, flags + values, flags + 2 * values};
    t->passes = passes;
    find_leaving(&r);
    for (int n = graph->node_count - 1; n >= 0; n--)
        if (is_recomputed(graph, n))
            decide(&r, n);
    write_list(t, &r, halved);
    free(flags);
    *timeline = t;
    return 0;
}

int qd_timeline_create(const qd_graph *graph, qd_timeline **timeline) {
    return create(graph, false, timeline);
}

int qd_timeline_create_halved(const qd_graph *graph, qd_timeline **timeline) {
    return create(graph, true, timeline);
}

bool qd_pass_adds_weights(const qd_graph *graph, qd_pass pass) {
    bool backward = pass.kind == QD_PASS_BACKWARD || pass.kind == QD_PASS_BACKWARD_WEIGHT;
    return backward && graph->nodes[pass.node].param_count > 0;
}

void qd_timeline_destroy(qd_timeline *timeline) {
    if (!timeline)
        return;
    free(timeline->passes);
    free(timeline);
}

double qd_timeline_recompute_flops(const qd_timeline *timeline, const qd_graph *graph) {
    double flops = 0;
    for (int i = 0; i < timeline->count; i++) {
        qd_pass pass = timeline->passes[i];
        if (pass.kind != QD_PASS_RECOMPUTE)
            continue;
        const qd_node *node = &graph->nodes[pass.node];
        flops += node->op->forward_flops(graph, node);
    }
    return flops;
}
