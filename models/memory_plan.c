#include "models/memory_plan.h"

#include <stdlib.h>

#include "models/op.h"
#include "models/optimizer.h"
#include "runtime/align.h"
#include "runtime/error.h"

/*
 * A buffer that shares the pool, and the time it is needed, both ends included. Time counts
 * nodes: with N of them forward of node i is time i, the loss is read and its gradient seeded at
 * time N, and backward of node i is time 2N - i.
 */
typedef struct buffer {
    size_t bytes;
    int first, last;
    size_t *offset; /* where the plan wants to know it */
} buffer;

static int backward_time(const qd_graph *graph, int node) {
    return 2 * graph->node_count - node;
}

static void extend(buffer *b, int time) {
    if (time < b->first)
        b->first = time;
    if (time > b->last)
        b->last = time;
}

static bool reads(const qd_node *node, int value) {
    for (int i = 0; i < node->input_count; i++)
        if (node->inputs[i] == value)
            return true;
    return false;
}

/* A value lives from its producer to its last reader, and on to the backward pass of those that
 * read it again there. */
static buffer value_buffer(const qd_graph *graph, int v, size_t *offset) {
    const qd_value *value = &graph->values[v];
    int born = value->producer < 0 ? 0 : value->producer;
    buffer b = {
        .bytes = (size_t)qd_shape_elements(&value->shape) * qd_dtype_bytes(value->dtype),
        .first = born,
        .last = born,
        .offset = offset,
    };
    for (int n = 0; n < graph->node_count; n++) {
        const qd_node *node = &graph->nodes[n];
        if (reads(node, v)) {
            extend(&b, n);
            if (node->op->keep & QD_KEEP_INPUTS)
                extend(&b, backward_time(graph, n));
        }
        if (node->output == v && (node->op->keep & QD_KEEP_OUTPUT))
            extend(&b, backward_time(graph, n));
    }
    if (v == graph->logits || v == graph->loss || v == graph->target)
        extend(&b, graph->node_count);
    return b;
}

/* A gradient lives from its first writer, the backward pass of the value's reader, to the
 * backward pass of the value's producer. */
static buffer grad_buffer(const qd_graph *graph, int v, size_t *offset) {
    const qd_value *value = &graph->values[v];
    int end = backward_time(graph, value->producer);
    buffer b = {
        .bytes = (size_t)qd_shape_elements(&value->shape) * sizeof(float),
        .first = end,
        .last = end,
        .offset = offset,
    };
    for (int n = 0; n < graph->node_count; n++)
        if (reads(&graph->nodes[n], v))
            extend(&b, backward_time(graph, n));
    if (v == graph->loss)
        extend(&b, graph->node_count);
    return b;
}

/* What forward of a node leaves for its backward. */
static buffer saved_buffer(const qd_graph *graph, int n, size_t *offset) {
    const qd_node *node = &graph->nodes[n];
    return (buffer){
        .bytes = (size_t)node->op->saved(graph, node) * sizeof(float),
        .first = n,
        .last = backward_time(graph, n),
        .offset = offset,
    };
}

/* The most that any operator, or the update of a parameter, uses while it runs. */
static size_t scratch_bytes(const qd_job *job, const qd_graph *graph) {
    int64_t most = qd_optimizer_scratch(&job->optimizer, graph);
    for (int n = 0; n < graph->node_count; n++) {
        int64_t floats = graph->nodes[n].scratch;
        most = floats > most ? floats : most;
    }
    return qd_align_bytes((size_t)most * sizeof(float));
}

static bool alive_together(const buffer *a, const buffer *b) {
    return a->first <= b->last && b->first <= a->last;
}

/* The lowest offset at which b collides with none of the placed ones. Raising it past a collision
 * can only meet further ones, so the search ends. */
static size_t lowest_place(const buffer *b, const buffer *placed, int placed_count) {
    size_t offset = 0;
    for (int i = 0; i < placed_count;) {
        size_t from = *placed[i].offset, to = from + placed[i].bytes;
        if (alive_together(b, &placed[i]) && offset < to && from < offset + b->bytes) {
            offset = qd_align_bytes(to);
            i = 0;
        } else {
            i++;
        }
    }
    return offset;
}

/* Largest first; a tie goes to the one needed earlier, then to the one named first. */
static int by_size(const void *left, const void *right) {
    const buffer *a = left, *b = right;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? 1 : -1;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    return (a->offset > b->offset) - (a->offset < b->offset);
}

/* Greedy by size (Pisarchyk and Lee, "Efficient memory management for deep neural net inference",
 * arXiv 2001.03288). Sets offsets from 0; returns the bytes of the pool. */
static size_t place(buffer *buffers, int count) {
    size_t pool = 0;
    qsort(buffers, (size_t)count, sizeof *buffers, by_size);
    for (int i = 0; i < count; i++) {
        *buffers[i].offset = lowest_place(&buffers[i], buffers, i);
        size_t end = qd_align_bytes(*buffers[i].offset + buffers[i].bytes);
        if (end > pool)
            pool = end;
    }
    return pool;
}

static int log2_floor(int64_t n) {
    int log = 0;
    while (n >>= 1)
        log++;
    return log;
}

/*
 * Partial sums that a member of slot_count slots may hold at once: those of all leaves but the
 * newest, as nodes of the left-balanced tree, and the newest leaf. From leaf 0 on, m leaves are at
 * most log2(m + 1) nodes. Elsewhere their sizes may first rise and then fall, 1 2 .. 2 1, so that
 * k nodes take at least 2 (2^(k/2) - 1) leaves (k even) or 3 2^((k-1)/2) - 2 (k odd).
 */
static int partial_sums(int64_t slots, int slot_count) {
    int64_t others = slot_count - 1;
    if (slot_count >= slots)
        return 1 + log2_floor(others + 1);
    int nodes = 2 * log2_floor(others / 2 + 1);
    if (others >= 3 * (INT64_C(1) << (nodes / 2)) - 2)
        nodes++;
    return 1 + nodes;
}

/* Offsets a plan holds: of values, their gradients, and what nodes save. */
static size_t offset_count(const qd_graph *graph) {
    return 2 * (size_t)graph->value_count + (size_t)graph->node_count;
}

/* Lays out values, their gradients and saved buffers behind `offset`. QD_ENOMEM. */
static int place_values(const qd_graph *graph, qd_memory_plan *plan, size_t offset) {
    buffer *buffers = calloc(offset_count(graph), sizeof *buffers);
    if (!buffers)
        return qd_error_set(QD_ENOMEM, "no memory for a plan of %d values", graph->value_count);
    int count = 0;
    for (int v = 0; v < graph->value_count; v++) {
        buffers[count++] = value_buffer(graph, v, &plan->value[v]);
        plan->value_grad[v] = SIZE_MAX;
        if (graph->values[v].needs_grad)
            buffers[count++] = grad_buffer(graph, v, &plan->value_grad[v]);
    }
    for (int n = 0; n < graph->node_count; n++) {
        plan->saved[n] = SIZE_MAX;
        if (graph->nodes[n].op->saved)
            buffers[count++] = saved_buffer(graph, n, &plan->saved[n]);
    }
    plan->bytes = offset + place(buffers, count);
    for (int i = 0; i < count; i++)
        *buffers[i].offset += offset;
    free(buffers);
    return 0;
}

int qd_memory_plan_create(const qd_job *job, const qd_graph *graph, int slot_count,
                          qd_memory_plan **plan) {
    qd_memory_plan *p = calloc(1, sizeof *p);
    size_t *offsets = calloc(offset_count(graph), sizeof *offsets);
    int rc = QD_ENOMEM;
    if (!p || !offsets) {
        qd_error_set(QD_ENOMEM, "no memory for a plan of %d values", graph->value_count);
        goto out;
    }
    p->optimizer_vectors = qd_optimizer_facts_of(&job->optimizer)->state_vectors;
    p->gradient_slots = partial_sums(job->slots_data, slot_count);
    p->gradient_elements = graph->param_elements + QD_MEMORY_TOTALS;
    size_t param_bytes = (size_t)graph->param_elements * sizeof(float);
    size_t gradient_bytes = (size_t)p->gradient_elements * sizeof(float);
    p->params = 0;
    p->optimizer_state = param_bytes;
    p->gradients = p->optimizer_state + (size_t)p->optimizer_vectors * param_bytes;
    p->value = offsets;
    p->value_grad = offsets + graph->value_count;
    p->saved = offsets + 2 * graph->value_count;
    p->scratch = p->gradients + (size_t)p->gradient_slots * gradient_bytes;
    p->narrow_params = SIZE_MAX;
    if (graph->precision == QD_PRECISION_BF16) {
        p->narrow_params = p->scratch;
        p->scratch += qd_align_bytes(param_bytes / 2);
    }
    rc = place_values(graph, p, p->scratch + scratch_bytes(job, graph));
    if (rc)
        goto out;
    *plan = p;
    return 0;
out:
    free(offsets);
    free(p);
    return rc;
}

void qd_memory_plan_destroy(qd_memory_plan *plan) {
    if (!plan)
        return;
    free(plan->value); /* value_grad and saved lie behind it */
    free(plan);
}
