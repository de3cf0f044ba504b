#include "models/planner_parts.h"

#include <stdlib.h>
#include <string.h>

#include "models/op.h"
#include "models/optimizer.h"
#include "runtime/error.h"

static const double float_bytes = 4;

/* What a node takes for the request at hand, seconds. */
typedef struct node_cost {
    double forward, backward_input, backward_weight, forward_sums, backward_sums;
    double inside, between, again_inside, again_between; /* bytes sent to tensor ranks */
} node_cost;

struct qd_part_work {
    qd_part_request request;
    qd_span_of_group span; /* of the tensor ranks */
    node_cost *nodes;      /* [node_count] */
    double *change;        /* [passes + 1] of the bytes alive, pass by pass of a part */
    int *seen;             /* [param_count] the last part that counted it */
    int parts;             /* measured so far */
};

double qd_part_seconds(const qd_part_cost *part) {
    return part->forward + part->backward_input + part->backward_weight + part->recompute +
           part->forward_sums + part->backward_sums + part->recompute_sums;
}

int qd_part_work_create(const qd_profile *profile, qd_part_work **work) {
    size_t nodes = (size_t)profile->one->node_count;
    qd_part_work *w = calloc(1, sizeof *w);
    if (w) {
        w->nodes = calloc(nodes, sizeof *w->nodes);
        w->change = calloc(3 * nodes + 3, sizeof *w->change);
        w->seen = calloc((size_t)profile->one->param_count + 1, sizeof *w->seen);
    }
    if (!w || !w->nodes || !w->change || !w->seen) {
        qd_part_work_destroy(w);
        return qd_error_set(QD_ENOMEM, "no memory to plan %d nodes", profile->one->node_count);
    }
    *work = w;
    return 0;
}

void qd_part_work_destroy(qd_part_work *work) {
    if (!work)
        return;
    free(work->nodes);
    free(work->change);
    free(work->seen);
    free(work);
}

/* ---- operators ---- */

static double value_bytes(const qd_part_request *r, int value) {
    const qd_profile_value *v = &r->profile->values[value];
    return qd_line_at(v->bytes, r->samples) * qd_profile_cut_share(v->cut, r->tp);
}

static double param_elements(const qd_part_request *r, int param) {
    const qd_profile_param *p = &r->profile->params[param];
    return p->elements * qd_profile_cut_share(p->cut, r->tp);
}

/* Bytes of the weights that products read. */
static double weight_bytes(const qd_part_request *r) {
    return r->profile->bf16 ? 2 : float_bytes;
}

static qd_product_class class_by(double least_extent) {
    return least_extent < QD_PRODUCT_MEDIUM_FROM  ? QD_PRODUCT_SMALL
           : least_extent < QD_PRODUCT_LARGE_FROM ? QD_PRODUCT_MEDIUM
                                                  : QD_PRODUCT_LARGE;
}

static qd_product_class class_of(const qd_part_request *r, const qd_profile_node *node) {
    if (node->is_attention)
        return QD_PRODUCT_MEDIUM;
    if (!node->is_product)
        return QD_PRODUCT_SMALL;
    double share = qd_profile_cut_share(node->cut, r->tp);
    double columns = node->columns * (node->cut_of_product == QD_CUT_OUT ? share : 1);
    double depth = node->depth * (node->cut_of_product == QD_CUT_IN ? share : 1);
    return class_by(qd_lesser(qd_lesser(columns, depth), node->rows_per_sample * r->samples));
}

/* FLOPs a second. What is no product computes in fp32 always. */
static double rate_of(const qd_part_request *r, const qd_profile_node *node) {
    const qd_hardware *h = r->hardware;
    bool narrow = r->profile->bf16 && (node->is_product || node->is_attention);
    return (narrow ? h->bf16_flops : h->fp32_flops) * h->product_share[class_of(r, node)];
}

/* Roofline: Williams, Waterman, Patterson, CACM 52 (2009) 65. A GPU's threads compute while others
 * wait for memory; a core does one after the other, since products pack their operands first. */
static double seconds(const qd_part_request *r, double flops, double rate, double bytes) {
    const qd_hardware *h = r->hardware;
    double computing = flops / rate, moving = bytes / (h->memory_bytes_per_s * h->memory_share);
    double both = h->kind == QD_DEVICE_CPU ? computing + moving : qd_greater(computing, moving);
    return both + h->operator_s;
}

/* Bytes of inputs, and of those that have a gradient. */
static void input_bytes(const qd_part_request *r, const qd_node *node, double *all,
                        double *with_grad) {
    const qd_graph *g = r->profile->one;
    *all = *with_grad = 0;
    for (int i = 0; i < node->input_count; i++) {
        double bytes = value_bytes(r, node->inputs[i]);
        *all += bytes;
        *with_grad += g->values[node->inputs[i]].needs_grad ? bytes : 0;
    }
}

/* An embedding moves the rows that are looked up, not its table. */
static double moved_elements(const qd_part_request *r, const qd_node *node) {
    double elements = 0;
    for (int i = 0; i < node->param_count && node->op->kind != QD_OP_EMBEDDING; i++)
        elements += param_elements(r, node->params[i]);
    return elements;
}

static void measure_passes(const qd_part_request *r, int n, node_cost *cost) {
    const qd_profile_node *p = &r->profile->nodes[n];
    const qd_node *node = &r->profile->one->nodes[n];
    double share = qd_profile_cut_share(p->cut, r->tp), rate = rate_of(r, p);
    double inputs, input_grads, output = value_bytes(r, node->output);
    double elements = moved_elements(r, node);
    input_bytes(r, node, &inputs, &input_grads);
    double flops = qd_line_at(p->forward_flops, r->samples) * share;
    cost->forward = seconds(r, flops, rate, inputs + output + elements * weight_bytes(r));
    if (!p->has_backward)
        return;
    flops = qd_line_at(p->backward_flops, r->samples) * share;
    if (p->gives_input_gradient)
        cost->backward_input = seconds(r, flops * (1 - p->weight_share), rate,
                                       inputs + output + input_grads + elements * weight_bytes(r));
    if (p->weight_share > 0) /* gradients of parameters are added to */
        cost->backward_weight =
            seconds(r, flops * p->weight_share, rate, inputs + output + 2 * elements * float_bytes);
}

/* Exchanges of tensor ranks, so many of together so many bytes. */
static void add_exchanges(const qd_part_work *w, qd_line bytes, int count,
                          qd_exchange_cost (*cost_of)(const qd_hardware *, qd_span_of_group,
                                                      double),
                          qd_exchange_cost *sum) {
    if (count == 0 || w->request.tp == 1)
        return;
    double each = qd_line_at(bytes, w->request.samples) / count;
    qd_exchange_cost cost = cost_of(w->request.hardware, w->span, each);
    sum->seconds += count * cost.seconds;
    sum->inside_bytes += count * cost.inside_bytes;
    sum->between_bytes += count * cost.between_bytes;
}

static void measure_node(qd_part_work *w, int n) {
    const qd_profile_node *p = &w->request.profile->nodes[n];
    node_cost *cost = &w->nodes[n];
    qd_exchange_cost forward = {0}, backward = {0};
    *cost = (node_cost){0};
    measure_passes(&w->request, n, cost);
    add_exchanges(w, p->forward_sum, p->forward_sums, qd_cost_of_allreduce, &forward);
    add_exchanges(w, p->forward_move, p->forward_moves, qd_cost_of_gather, &forward);
    add_exchanges(w, p->backward_sum, p->backward_sums, qd_cost_of_allreduce, &backward);
    add_exchanges(w, p->backward_move, p->backward_moves, qd_cost_of_gather, &backward);
    cost->forward_sums = forward.seconds;
    cost->backward_sums = backward.seconds;
    cost->inside = forward.inside_bytes + backward.inside_bytes;
    cost->between = forward.between_bytes + backward.between_bytes;
    cost->again_inside = forward.inside_bytes;
    cost->again_between = forward.between_bytes;
}

void qd_part_work_begin(qd_part_work *work, const qd_part_request *request) {
    if (memcmp(&work->request, request, sizeof *request) == 0)
        return;
    work->request = *request;
    work->span = qd_span_of(request->hardware, request->tp, 1);
    for (int n = 0; n < request->profile->one->node_count; n++)
        measure_node(work, n);
}

/* ---- parts ---- */

static void add_passes(const qd_part_work *w, const qd_pipeline_nodes *nodes, qd_part_cost *cost) {
    for (int n = nodes->first; n < nodes->end; n++) {
        const node_cost *c = &w->nodes[n];
        double scratch = qd_line_at(w->request.profile->nodes[n].scratch_bytes, w->request.samples);
        cost->forward += c->forward;
        cost->backward_input += c->backward_input;
        cost->backward_weight += c->backward_weight;
        cost->forward_sums += c->forward_sums;
        cost->backward_sums += c->backward_sums;
        cost->tensor_inside += c->inside;
        cost->tensor_between += c->between;
        cost->scratch = qd_greater(cost->scratch, scratch);
        if (!w->request.level->again[n])
            continue;
        cost->recompute += c->forward;
        cost->recompute_sums += c->forward_sums;
        cost->tensor_inside += c->again_inside;
        cost->tensor_between += c->again_between;
    }
}

/* Tensor ranks that have a part each share the matrices: each makes one of as many as they are
 * orthogonal, is sent its parts and sends them back, which is an all-reduce's bytes for all of them
 * together. A matrix that is not cut all ranks compute. */
static void add_matrix(const qd_part_work *w, int param, qd_part_cost *cost) {
    const qd_profile_param *p = &w->request.profile->params[param];
    const qd_hardware *h = w->request.hardware;
    double sharers = p->cut.extent > 0 ? w->request.tp : 1;
    double side = (double)(p->rows < p->columns ? p->rows : p->columns);
    double rate = h->fp32_flops * h->product_share[class_by(side)];
    double scratch = float_bytes * (double)qd_optimizer_matrix_scratch(p->rows, p->columns);
    cost->orthogonal += qd_optimizer_matrix_flops(p->rows, p->columns) / rate / sharers;
    cost->orthogonal_scratch = qd_greater(cost->orthogonal_scratch, scratch);
    if (sharers == 1)
        return;
    qd_exchange_cost sent = qd_cost_of_allreduce(h, w->span, p->elements * float_bytes);
    cost->orthogonal_parts += sent.seconds / sharers;
    cost->orthogonal_inside += sent.inside_bytes / sharers;
    cost->orthogonal_between += sent.between_bytes / sharers;
}

/* A parameter that several nodes of the part read is held once. */
static void add_parameters(qd_part_work *w, const qd_pipeline_nodes *nodes, qd_part_cost *cost) {
    const qd_graph *g = w->request.profile->one;
    double unit = 0;
    int part = ++w->parts;
    for (int n = nodes->first; n < nodes->end; n++) {
        const qd_node *node = &g->nodes[n];
        if (n == nodes->first || node->block < 0 || node->block != g->nodes[n - 1].block)
            unit = 0;
        for (int i = 0; i < node->param_count; i++) {
            double elements = param_elements(&w->request, node->params[i]);
            unit += elements;
            if (w->seen[node->params[i]] == part)
                continue;
            w->seen[node->params[i]] = part;
            cost->parameters += elements;
            if (w->request.profile->params[node->params[i]].rows > 0)
                add_matrix(w, node->params[i], cost);
        }
        cost->largest_unit = qd_greater(cost->largest_unit, unit);
    }
}

/* The passes of a part: its forwards, the loss, its backwards; two windows of the timeline. */
typedef struct windows {
    int first, end; /* forwards, at the same places as the nodes */
    int loss;
    int backward, backward_end;
} windows;

static int local(const windows *w, int time) {
    int forwards = w->end - w->first;
    if (time < w->first)
        return 0;
    if (time < w->end)
        return time - w->first;
    if (time < w->backward)
        return forwards; /* between its passes, and the loss */
    if (time < w->backward_end)
        return forwards + 1 + time - w->backward;
    return forwards + 1 + w->backward_end - w->backward - 1;
}

static double buffer_bytes(const qd_part_request *r, const qd_memory_buffer *b) {
    if (b->content != QD_MEMORY_SAVED)
        return value_bytes(r, b->of);
    return (double)b->bytes / (double)r->profile->least_samples * r->samples *
           qd_profile_cut_share(r->profile->nodes[b->of].cut, r->tp);
}

/* Adds a buffer to the bytes alive in the part's passes. */
static void live_through(qd_part_work *w, const windows *win, const qd_memory_buffer *b,
                         qd_part_cost *cost) {
    double bytes = buffer_bytes(&w->request, b);
    for (int i = 0; i < b->span_count; i++) {
        qd_memory_span span = b->spans[i];
        bool before = span.last < win->first, behind = span.first >= win->backward_end;
        if (before || behind)
            continue;
        w->change[local(win, span.first)] += bytes;
        w->change[local(win, span.last) + 1] -= bytes;
        if (span.first <= win->loss && span.last >= win->loss && b->content != QD_MEMORY_VALUE_GRAD)
            cost->kept += bytes;
    }
}

static bool part_reads(const qd_graph *g, const qd_pipeline_nodes *nodes, int value) {
    for (int n = nodes->first; n < nodes->end; n++)
        for (int i = 0; i < g->nodes[n].input_count; i++)
            if (g->nodes[n].inputs[i] == value)
                return true;
    return false;
}

/* What other parts, or nobody, have written, and this one reads: a copy of its own. */
static void live_through_taken(qd_part_work *w, const windows *win, const qd_pipeline_nodes *nodes,
                               qd_part_cost *cost) {
    const qd_profile_level *l = w->request.level;
    const qd_graph *g = w->request.profile->one;
    for (int i = l->first_of_node[g->node_count]; i < l->buffer_count; i++) {
        const qd_memory_buffer *b = &l->buffers[l->by_node[i]];
        if (part_reads(g, nodes, b->of))
            live_through(w, win, b, cost);
    }
    for (int t = 0; t < nodes->taken_count; t++) {
        int value = nodes->taken[t], node = g->values[value].producer;
        cost->taken += value_bytes(&w->request, value);
        for (int i = l->first_of_node[node]; i < l->first_of_node[node + 1]; i++) {
            const qd_memory_buffer *b = &l->buffers[l->by_node[i]];
            if (b->content != QD_MEMORY_SAVED && b->of == value)
                live_through(w, win, b, cost);
        }
    }
}

static bool needed_in_backward(const qd_graph *g, const qd_pipeline_nodes *nodes, int value) {
    for (int n = nodes->first; n < nodes->end; n++) {
        const qd_node *node = &g->nodes[n];
        if (node->output == value && (node->op->keep & QD_KEEP_OUTPUT))
            return true;
        for (int i = 0; i < node->input_count; i++)
            if (node->inputs[i] == value && (node->op->keep & QD_KEEP_INPUTS))
                return true;
    }
    return false;
}

static bool is_among(const int *values, int count, int value) {
    for (int i = 0; i < count; i++)
        if (values[i] == value)
            return true;
    return false;
}

/* What is handed on is the next part's to keep, unless this one's backward reads it, too. */
static void live_through_own(qd_part_work *w, const windows *win, const qd_pipeline_nodes *nodes,
                             const qd_pipeline_nodes *next, qd_part_cost *cost) {
    const qd_profile_level *l = w->request.level;
    const qd_graph *g = w->request.profile->one;
    for (int i = l->first_of_node[nodes->first]; i < l->first_of_node[nodes->end]; i++) {
        qd_memory_buffer b = l->buffers[l->by_node[i]];
        if (next && b.content == QD_MEMORY_VALUE &&
            is_among(next->taken, next->taken_count, b.of) && !needed_in_backward(g, nodes, b.of)) {
            b.spans[0].last = win->end - 1;
            b.span_count = 1;
        }
        live_through(w, win, &b, cost);
    }
}

static void add_activations(qd_part_work *w, const qd_pipeline_nodes *nodes,
                            const qd_pipeline_nodes *next, qd_part_cost *cost) {
    const qd_profile_level *l = w->request.level;
    windows win = {nodes->first, nodes->end, w->request.profile->one->node_count,
                   l->backward[nodes->end], l->backward[nodes->first]};
    int passes = win.end - win.first + 1 + win.backward_end - win.backward;
    memset(w->change, 0, (size_t)(passes + 1) * sizeof *w->change);
    live_through_own(w, &win, nodes, next, cost);
    live_through_taken(w, &win, nodes, cost);
    double alive = 0;
    for (int i = 0; i < passes; i++) {
        alive += w->change[i];
        cost->peak = qd_greater(cost->peak, alive);
    }
}

void qd_part_measure(qd_part_work *work, const qd_pipeline_stages *stages, int k,
                     qd_part_cost *cost) {
    const qd_pipeline_nodes *nodes = &stages->part[k];
    *cost = (qd_part_cost){0};
    add_passes(work, nodes, cost);
    add_parameters(work, nodes, cost);
    add_activations(work, nodes, k + 1 < stages->parts ? nodes + 1 : NULL, cost);
}
