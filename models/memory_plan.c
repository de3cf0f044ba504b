#include "models/memory_plan.h"

#include <stdlib.h>

#include "models/op.h"
#include "models/optimizer.h"
#include "runtime/align.h"
#include "runtime/error.h"

typedef qd_memory_span span;

/* A buffer that shares the pool; what is recomputed lies in the same place both times. */
typedef struct buffer {
    size_t bytes;
    span spans[2];
    int span_count;
    bool travels;   /* between parts of a model */
    size_t *offset; /* where the plan wants to know it */
} buffer;

/* ---- when buffers are needed ---- */

/* All buffers of the pool, by what they hold. */
typedef struct lives {
    const qd_graph *graph;
    buffer *values; /* [value_count] */
    buffer *grads;  /* [value_count] */
    buffer *saved;  /* [node_count] */
} lives;

/* A new content is written. */
static void begin(buffer *b, int time) {
    b->spans[b->span_count++] = (span){time, time};
}

static void extend(buffer *b, int time) {
    b->spans[b->span_count - 1].last = time;
}

/* A gradient is written by the first of its writers, and added to by the others. */
static void begin_or_extend(buffer *b, int time) {
    if (b->span_count == 0)
        begin(b, time);
    else
        extend(b, time);
}

static void extend_inputs(lives *l, const qd_node *node, int time) {
    for (int i = 0; i < node->input_count; i++)
        extend(&l->values[node->inputs[i]], time);
}

static void live_through_forward(lives *l, int n, int time) {
    const qd_node *node = &l->graph->nodes[n];
    begin(&l->values[node->output], time);
    begin(&l->saved[n], time);
    extend_inputs(l, node, time);
}

static void live_through_loss(lives *l, int time) {
    const int read[] = {l->graph->logits, l->graph->loss, l->graph->target};
    for (int i = 0; i < 3; i++)
        if (read[i] >= 0)
            extend(&l->values[read[i]], time);
    if (l->graph->loss >= 0)
        begin(&l->grads[l->graph->loss], time);
    for (int i = 0; i < l->graph->handed_count; i++) {
        int value = l->graph->handed[i];
        extend(&l->values[value], time);
        if (l->graph->values[value].needs_grad)
            begin(&l->grads[value], time);
    }
}

/* What was handed in is handed back when all is done. */
static void live_to_end(lives *l, int time) {
    for (int i = 0; i < l->graph->taken_count; i++)
        if (l->graph->values[l->graph->taken[i]].needs_grad)
            begin_or_extend(&l->grads[l->graph->taken[i]], time);
}

/* What backward reads, for parameters alone. */
static void live_through_weights(lives *l, int n, int time) {
    const qd_node *node = &l->graph->nodes[n];
    begin_or_extend(&l->grads[node->output], time);
    extend(&l->saved[n], time);
    if (node->op->keep & QD_KEEP_INPUTS)
        extend_inputs(l, node, time);
    if (node->op->keep & QD_KEEP_OUTPUT)
        extend(&l->values[node->output], time);
}

static void live_through_backward(lives *l, int n, int time) {
    const qd_node *node = &l->graph->nodes[n];
    for (int i = 0; i < node->input_count; i++)
        begin_or_extend(&l->grads[node->inputs[i]], time);
    live_through_weights(l, n, time);
}

static void mark_travelling(lives *l, const int *values, int count) {
    for (int i = 0; i < count; i++)
        l->values[values[i]].travels = l->grads[values[i]].travels = true;
}

/* What nobody produces is there from the start. */
static void live(lives *l, const qd_timeline *timeline) {
    for (int v = 0; v < l->graph->value_count; v++)
        if (l->graph->values[v].producer < 0)
            begin(&l->values[v], 0);
    for (int time = 0; time < timeline->count; time++) {
        qd_pass pass = timeline->passes[time];
        switch (pass.kind) {
        case QD_PASS_FORWARD:
        case QD_PASS_RECOMPUTE:
            live_through_forward(l, pass.node, time);
            break;
        case QD_PASS_LOSS:
            live_through_loss(l, time);
            break;
        case QD_PASS_BACKWARD:
        case QD_PASS_BACKWARD_INPUT:
            live_through_backward(l, pass.node, time);
            break;
        case QD_PASS_BACKWARD_WEIGHT:
            live_through_weights(l, pass.node, time);
            break;
        }
    }
    live_to_end(l, timeline->count - 1);
    mark_travelling(l, l->graph->taken, l->graph->taken_count);
    mark_travelling(l, l->graph->handed, l->graph->handed_count);
}

/* ---- where they go ---- */

/* The most that any operator, or the update of a parameter, uses while it runs. */
static size_t scratch_bytes(const qd_job *job, const qd_graph *graph) {
    int64_t most = qd_optimizer_scratch(&job->optimizer, graph);
    for (int n = 0; n < graph->node_count; n++) {
        int64_t floats = graph->nodes[n].scratch;
        most = floats > most ? floats : most;
    }
    return qd_align_bytes((size_t)most * sizeof(float));
}

/* The most that a node has of parameters whose gradients it can't leave out. */
static size_t spare_bytes(const qd_graph *graph) {
    int64_t most = 0;
    for (int n = 0; n < graph->node_count; n++) {
        const qd_node *node = &graph->nodes[n];
        int64_t floats = 0;
        for (int i = 0; i < node->param_count && !node->op->separable; i++)
            floats += qd_align_floats(qd_shape_elements(&graph->params[node->params[i]].shape));
        most = floats > most ? floats : most;
    }
    return (size_t)most * sizeof(float);
}

static bool alive_together(const buffer *a, const buffer *b) {
    for (int i = 0; i < a->span_count; i++)
        for (int k = 0; k < b->span_count; k++)
            if (a->spans[i].first <= b->spans[k].last && b->spans[k].first <= a->spans[i].last)
                return true;
    return false;
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
    if (a->spans[0].first != b->spans[0].first)
        return a->spans[0].first < b->spans[0].first ? -1 : 1;
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
int qd_memory_partial_sums(int64_t slots, int slot_count) {
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

static size_t value_bytes(const qd_value *value) {
    return (size_t)qd_shape_elements(&value->shape) * qd_dtype_bytes(value->dtype);
}

/* Says of each buffer how large it is and where the plan wants its offset, and copies those that
 * exist; the others have the offset SIZE_MAX. Returns how many do. */
static int gather(const lives *l, qd_memory_plan *plan, buffer *buffers) {
    const qd_graph *g = l->graph;
    int count = 0;
    for (int v = 0; v < g->value_count; v++) {
        plan->value_grad[v] = SIZE_MAX;
        l->values[v].offset = &plan->value[v];
        l->grads[v].offset = &plan->value_grad[v];
        l->values[v].bytes = l->grads[v].bytes = value_bytes(&g->values[v]);
        buffers[count++] = l->values[v];
        if (g->values[v].needs_grad)
            buffers[count++] = l->grads[v];
    }
    for (int n = 0; n < g->node_count; n++) {
        plan->saved[n] = SIZE_MAX;
        if (!g->nodes[n].op->saved)
            continue;
        l->saved[n].offset = &plan->saved[n];
        l->saved[n].bytes = (size_t)g->nodes[n].op->saved(g, &g->nodes[n]) * sizeof(float);
        buffers[count++] = l->saved[n];
    }
    return count;
}

/* Segments of gradients share the pool, too. Returns how many. */
static int gather_segments(const qd_segments *segments, qd_memory_plan *plan, buffer *buffers) {
    for (int i = 0; i < segments->count; i++) {
        const qd_segment *s = &segments->segment[i];
        buffers[i] = (buffer){.bytes = (size_t)(s->end - s->begin) * sizeof(float),
                              .spans = {{s->from, s->until - 1}},
                              .span_count = 1,
                              .offset = &plan->flight[i]};
    }
    return segments->count;
}

/* Says where each window of parameters lies, behind `offset`; returns where they end. Actions of
 * several micro-batches do not overlap, so all share them. */
static size_t place_windows(const qd_graph *graph, const qd_windows *windows, buffer *buffers,
                            qd_memory_plan *plan, size_t offset) {
    bool narrows = graph->precision == QD_PRECISION_BF16;
    for (int i = 0; i < windows->count; i++) {
        const qd_window *w = &windows->window[i];
        const qd_segment *s = &windows->segments->segment[w->segment];
        size_t wide = (size_t)(s->end - s->begin) * sizeof(float);
        buffers[i] = (buffer){.bytes = wide + (narrows ? wide / 2 : 0),
                              .spans = {{w->from, w->until}},
                              .span_count = 1,
                              .offset = &plan->window[i]};
    }
    size_t bytes = place(buffers, windows->count);
    for (int i = 0; i < windows->count; i++) {
        const qd_segment *s = &windows->segments->segment[windows->window[i].segment];
        plan->window[i] += offset;
        plan->narrow_window[i] =
            narrows ? plan->window[i] + (size_t)(s->end - s->begin) * sizeof(float) : SIZE_MAX;
    }
    return offset + bytes;
}

/* Whether a buffer holds something while other micro-batches are computed with: between forward
 * and backward, between backward's halves, or on its way to or from another part. */
static bool outlives_actions(const buffer *b, const qd_timeline *timeline) {
    for (int i = 0; i < b->span_count; i++)
        if ((b->spans[i].first <= timeline->loss && b->spans[i].last > timeline->loss) ||
            (b->spans[i].first < timeline->weights && b->spans[i].last >= timeline->weights))
            return true;
    return b->travels;
}

/* Those that do first. Returns how many. */
static int part_lasting(const qd_timeline *timeline, buffer *buffers, int count) {
    int lasting = 0;
    for (int i = 0; i < count; i++) {
        buffer b = buffers[i];
        if (!outlives_actions(&b, timeline))
            continue;
        buffers[i] = buffers[lasting];
        buffers[lasting++] = b;
    }
    return lasting;
}

static void shift(const buffer *buffers, int count, size_t offset) {
    for (int i = 0; i < count; i++)
        *buffers[i].offset += offset;
}

/* The first `lasting` buffers in a pool for each micro-batch, the others in one that all share. */
static void place_pools(int micro_batches, buffer *buffers, int count, int lasting,
                        qd_memory_plan *plan, size_t offset) {
    size_t shared = place(buffers + lasting, count - lasting);
    plan->pool = offset + shared;
    plan->pool_bytes = place(buffers, lasting);
    plan->bytes = plan->pool + (size_t)micro_batches * plan->pool_bytes;
}

/* With several micro-batches between forward and backward, only what lasts is there for each; but
 * for small parts, whose buffers fit together better than apart. */
static void place_all(const qd_timeline *timeline, int micro_batches, buffer *buffers, int count,
                      qd_memory_plan *plan, size_t offset) {
    int lasting = count;
    place_pools(micro_batches, buffers, count, count, plan, offset);
    if (micro_batches > 1) {
        size_t together = plan->bytes;
        lasting = part_lasting(timeline, buffers, count);
        place_pools(micro_batches, buffers, count, lasting, plan, offset);
        if (plan->bytes > together) {
            lasting = count;
            place_pools(micro_batches, buffers, count, count, plan, offset);
        }
    }
    shift(buffers + lasting, count - lasting, offset);
    shift(buffers, lasting, plan->pool);
}

/* Lays out values, their gradients, saved buffers and segments behind `offset`. QD_ENOMEM. */
static int place_values(const qd_graph *graph, const qd_timeline *timeline,
                        const qd_segments *segments, int micro_batches, qd_memory_plan *plan,
                        size_t offset) {
    size_t in_flight = segments ? (size_t)segments->count : 0;
    buffer *all = calloc(2 * offset_count(graph) + in_flight, sizeof *all);
    if (!all)
        return qd_error_set(QD_ENOMEM, "no memory for a plan of %d values", graph->value_count);
    lives l = {graph, all, all + graph->value_count, all + 2 * graph->value_count};
    buffer *pooled = all + offset_count(graph);
    live(&l, timeline);
    int count = gather(&l, plan, pooled);
    if (segments)
        count += gather_segments(segments, plan, pooled + count);
    place_all(timeline, micro_batches, pooled, count, plan, offset);
    free(all);
    return 0;
}

static void plan_gradients(const qd_job *job, const qd_memory_member *member, int slot_count,
                           qd_memory_plan *plan) {
    int all = qd_memory_partial_sums(job->slots_data, slot_count);
    int but_last = slot_count > 1 ? qd_memory_partial_sums(job->slots_data, slot_count - 1) : 0;
    plan->keeps_gradients = !member->segments || job->train.micro_batches > 1 || but_last >= all;
    plan->gradient_slots = plan->keeps_gradients ? all : but_last;
}

static int lay_out(const qd_job *job, const qd_graph *graph, const qd_timeline *timeline,
                   int slot_count, const qd_memory_member *member, qd_memory_plan **plan) {
    qd_memory_plan *p = calloc(1, sizeof *p);
    size_t segment_count = member->segments ? (size_t)member->segments->count : 0;
    size_t window_count = member->windows ? (size_t)member->windows->count : 0;
    size_t *offsets =
        calloc(offset_count(graph) + segment_count + 2 * window_count, sizeof *offsets);
    buffer *windows = calloc(window_count + 1, sizeof *windows);
    int rc = QD_ENOMEM;
    if (!p || !offsets || !windows) {
        qd_error_set(QD_ENOMEM, "no memory for a plan of %d values", graph->value_count);
        goto out;
    }
    p->optimizer_vectors = qd_optimizer_facts_of(&job->optimizer)->state_vectors;
    p->shard_elements = member->elements;
    size_t shard_bytes = (size_t)member->elements * sizeof(float);
    plan_gradients(job, member, slot_count, p);
    p->gradient_elements = graph->param_elements + QD_MEMORY_TOTALS;
    size_t param_bytes = (size_t)graph->param_elements * sizeof(float);
    size_t gradient_bytes = (size_t)p->gradient_elements * sizeof(float);
    p->params = 0;
    p->optimizer_state = member->windows ? shard_bytes : param_bytes;
    p->gradients = p->optimizer_state + (size_t)p->optimizer_vectors * shard_bytes;
    p->value = offsets;
    p->value_grad = offsets + graph->value_count;
    p->saved = offsets + 2 * graph->value_count;
    p->flight = offsets + offset_count(graph);
    p->window = p->flight + segment_count;
    p->narrow_window = p->window + window_count;
    p->shard_gradients = p->gradients + (size_t)p->gradient_slots * gradient_bytes;
    p->last_totals = p->shard_gradients + (p->keeps_gradients ? 0 : shard_bytes);
    p->scratch = p->last_totals + (p->keeps_gradients ? 0 : QD_MEMORY_TOTALS * sizeof(float));
    p->narrow_params = p->spare = SIZE_MAX;
    if (timeline->weights < timeline->count) {
        p->spare = p->scratch;
        p->scratch += spare_bytes(graph);
    }
    if (member->windows) {
        p->scratch = place_windows(graph, member->windows, windows, p, p->scratch);
    } else if (graph->precision == QD_PRECISION_BF16) {
        p->narrow_params = p->scratch;
        p->scratch += qd_align_bytes(param_bytes / 2);
    }
    rc = place_values(graph, timeline, p->keeps_gradients ? NULL : member->segments,
                      member->in_flight, p, p->scratch + scratch_bytes(job, graph));
    if (rc)
        goto out;
    free(windows);
    *plan = p;
    return 0;
out:
    free(windows);
    free(offsets);
    free(p);
    return rc;
}

static void take(qd_memory_buffer *into, const buffer *from, qd_memory_content content, int of,
                 size_t bytes) {
    *into = (qd_memory_buffer){.content = content, .of = of, .bytes = bytes};
    into->span_count = from->span_count;
    for (int i = 0; i < from->span_count; i++)
        into->spans[i] = from->spans[i];
}

int qd_memory_buffers(const qd_graph *graph, const qd_timeline *timeline,
                      qd_memory_buffer **buffers, int *count) {
    buffer *all = calloc(offset_count(graph), sizeof *all);
    qd_memory_buffer *taken = calloc(offset_count(graph), sizeof *taken);
    if (!all || !taken) {
        free(all);
        free(taken);
        return qd_error_set(QD_ENOMEM, "no memory for the buffers of %d values",
                            graph->value_count);
    }
    lives l = {graph, all, all + graph->value_count, all + 2 * graph->value_count};
    live(&l, timeline);
    int n = 0;
    for (int v = 0; v < graph->value_count; v++) {
        size_t bytes = value_bytes(&graph->values[v]);
        take(&taken[n++], &l.values[v], QD_MEMORY_VALUE, v, bytes);
        if (graph->values[v].needs_grad)
            take(&taken[n++], &l.grads[v], QD_MEMORY_VALUE_GRAD, v, bytes);
    }
    for (int i = 0; i < graph->node_count; i++) {
        const qd_node *node = &graph->nodes[i];
        if (node->op->saved)
            take(&taken[n++], &l.saved[i], QD_MEMORY_SAVED, i,
                 (size_t)node->op->saved(graph, node) * sizeof(float));
    }
    free(all);
    *buffers = taken;
    *count = n;
    return 0;
}

int qd_memory_plan_create(const qd_job *job, const qd_graph *graph, const qd_timeline *timeline,
                          int slot_count, qd_memory_plan **plan) {
    qd_memory_member whole = {.elements = graph->param_elements, .in_flight = 1};
    return qd_memory_plan_create_sharded(job, graph, timeline, slot_count, &whole, plan);
}

/* Both ways, where there are two: a model of few layers may have all of its gradients in flight. */
int qd_memory_plan_create_sharded(const qd_job *job, const qd_graph *graph,
                                  const qd_timeline *timeline, int slot_count,
                                  const qd_memory_member *member, qd_memory_plan **plan) {
    qd_memory_member keeping = *member;
    keeping.segments = NULL;
    qd_memory_plan *kept, *flying;
    int rc = lay_out(job, graph, timeline, slot_count, &keeping, &kept);
    if (rc)
        return rc;
    if (member->segments) {
        rc = lay_out(job, graph, timeline, slot_count, member, &flying);
        if (rc) {
            qd_memory_plan_destroy(kept);
            return rc;
        }
        qd_memory_plan *larger = flying->bytes < kept->bytes ? kept : flying;
        kept = larger == kept ? flying : kept;
        qd_memory_plan_destroy(larger);
    }
    *plan = kept;
    return 0;
}

void qd_memory_plan_destroy(qd_memory_plan *plan) {
    if (!plan)
        return;
    free(plan->value); /* value_grad, saved and flight lie behind it */
    free(plan);
}
