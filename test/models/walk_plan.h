/*
 * walk_plan.h: walks a micro-batch through a memory plan and finds whatever is overwritten while it
 * is still needed. Of a whole model, or of a part of a pipeline.
 */
#ifndef QD_TEST_MODELS_WALK_PLAN_H
#define QD_TEST_MODELS_WALK_PLAN_H

#include <check.h>
#include <stdint.h>
#include <stdlib.h>

#include "models/memory_plan.h"
#include "models/op.h"

typedef struct planned {
    qd_graph *graph;
    qd_timeline *timeline;
    qd_memory_plan *plan;
} planned;

static inline void drop(planned p) {
    qd_memory_plan_destroy(p.plan);
    qd_timeline_destroy(p.timeline);
    qd_graph_destroy(p.graph);
}

static inline size_t value_bytes(const planned *p, int v) {
    return (size_t)qd_shape_elements(&p->graph->values[v].shape) * 4;
}

/* An arena in which each line of 64 bytes, which no two buffers share, knows who wrote it last:
 * value v as 1 + 3v, its gradient as 2 + 3v, and what node n saved as 3 + 3n. Walking a step
 * through it shows whether anything is overwritten while still needed, without any notion of
 * lifetimes. */
typedef struct owners {
    const planned *p;
    uint16_t *line;
} owners;

enum { LINE = 64 };

static inline void write_lines(owners *o, size_t offset, size_t bytes, int owner) {
    ck_assert_uint_ne(offset, SIZE_MAX);
    for (size_t i = offset / LINE; i * LINE < offset + bytes; i++)
        o->line[i] = (uint16_t)owner;
}

static inline void read_lines(const owners *o, size_t offset, size_t bytes, int owner) {
    for (size_t i = offset / LINE; i * LINE < offset + bytes; i++)
        if (o->line[i] != owner)
            ck_abort_msg("byte %zu belongs to %d, read as %d", i * LINE, o->line[i], owner);
}

static inline void write_value(owners *o, int v) {
    write_lines(o, o->p->plan->value[v], value_bytes(o->p, v), 1 + 3 * v);
}

static inline void write_grad(owners *o, int v) {
    write_lines(o, o->p->plan->value_grad[v], value_bytes(o->p, v), 2 + 3 * v);
}

static inline void read_value(const owners *o, int v) {
    read_lines(o, o->p->plan->value[v], value_bytes(o->p, v), 1 + 3 * v);
}

static inline void read_grad(const owners *o, int v) {
    read_lines(o, o->p->plan->value_grad[v], value_bytes(o->p, v), 2 + 3 * v);
}

static inline size_t saved_bytes(const planned *p, int n) {
    const qd_node *node = &p->graph->nodes[n];
    return node->op->saved ? (size_t)node->op->saved(p->graph, node) * 4 : 0;
}

static inline void write_saved(owners *o, int n) {
    if (saved_bytes(o->p, n))
        write_lines(o, o->p->plan->saved[n], saved_bytes(o->p, n), 3 + 3 * n);
}

static inline void read_saved(const owners *o, int n) {
    if (saved_bytes(o->p, n))
        read_lines(o, o->p->plan->saved[n], saved_bytes(o->p, n), 3 + 3 * n);
}

/* Reads come after the writes, so that a result that lies on an operand is found, too. */
static inline void walk_forward(owners *o, int n) {
    const qd_node *node = &o->p->graph->nodes[n];
    write_value(o, node->output);
    write_saved(o, n);
    for (int i = 0; i < node->input_count; i++)
        read_value(o, node->inputs[i]);
    read_value(o, node->output);
}

static inline void walk_loss(owners *o) {
    const qd_graph *g = o->p->graph;
    for (int i = 0; i < g->handed_count; i++)
        if (g->values[g->handed[i]].needs_grad)
            write_grad(o, g->handed[i]);
    for (int i = 0; i < g->handed_count; i++)
        read_value(o, g->handed[i]);
    if (g->loss < 0)
        return;
    write_grad(o, g->loss);
    read_value(o, g->loss);
    read_value(o, g->logits);
    read_value(o, g->target);
}

static inline void walk_weights(owners *o, int n) {
    const qd_node *node = &o->p->graph->nodes[n];
    read_grad(o, node->output);
    read_saved(o, n);
    for (int i = 0; i < node->input_count && (node->op->keep & QD_KEEP_INPUTS); i++)
        read_value(o, node->inputs[i]);
    if (node->op->keep & QD_KEEP_OUTPUT)
        read_value(o, node->output);
}

/* Gradients of this node's inputs: the first reader in time writes, and others find what it wrote.
 */
static inline void walk_backward(owners *o, int n) {
    const qd_graph *g = o->p->graph;
    const qd_node *node = &g->nodes[n];
    for (int i = 0; i < node->input_count; i++) {
        if (!g->values[node->inputs[i]].needs_grad)
            continue;
        if (qd_graph_adds_to_input(g, n, i))
            read_grad(o, node->inputs[i]);
        else
            write_grad(o, node->inputs[i]);
    }
    walk_weights(o, n);
}

/* What nobody makes is there from the start, and what was handed in goes back at the end. */
static inline void walk_step(const planned *p) {
    owners o = {p, calloc(p->plan->bytes / LINE + 1, sizeof(uint16_t))};
    const qd_graph *g = p->graph;
    for (int v = 0; v < g->value_count; v++)
        if (g->values[v].producer < 0)
            write_value(&o, v);
    for (int i = 0; i < p->timeline->count; i++) {
        qd_pass pass = p->timeline->passes[i];
        if (pass.kind == QD_PASS_LOSS)
            walk_loss(&o);
        else if (pass.kind == QD_PASS_BACKWARD_WEIGHT)
            walk_weights(&o, pass.node);
        else if (pass.kind == QD_PASS_BACKWARD || pass.kind == QD_PASS_BACKWARD_INPUT)
            walk_backward(&o, pass.node);
        else
            walk_forward(&o, pass.node);
    }
    for (int i = 0; i < g->taken_count; i++)
        if (g->values[g->taken[i]].needs_grad)
            read_grad(&o, g->taken[i]);
    free(o.line);
}

#endif
