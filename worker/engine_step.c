#include "worker/engine.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "models/loss_mean.h"
#include "runtime/error.h"
#include "worker/engine_internal.h"

void qd_engine_begin_step(qd_engine *engine, int64_t step) {
    engine->run.step = (uint32_t)step;
    qd_tree_stack_init(&engine->stack, (int)engine->job.slots_data, engine->first_slot,
                       engine->end_slot);
    memset(engine->totals, 0, sizeof engine->totals);
    engine->merges.running = false;
}

void qd_engine_add_total(qd_engine *engine, int total, float value) {
    engine->totals[total] += value;
}

/* `filled` bytes from the host, and zeros behind them up to `bytes`. */
static int write_padded(qd_engine *e, void *to, const void *from, size_t filled, size_t bytes) {
    int rc = e->backend->write(e->context, to, from, filled);
    if (!rc && filled < bytes)
        rc = e->backend->clear(e->context, (char *)to + filled, bytes - filled);
    return rc;
}

/* Copies the first `valid` samples in; the rest of the graph's samples stay some class 0 whose
 * results nobody looks at. */
static int load(qd_engine *e, const qd_batch *batch, int64_t valid) {
    const qd_graph *g = e->graph;
    const qd_value *input = &g->values[g->input];
    size_t samples = (size_t)g->samples, filled = (size_t)valid;
    size_t input_bytes =
        (size_t)qd_shape_elements(&input->shape) / samples * qd_dtype_bytes(input->dtype);
    size_t target_bytes = (size_t)qd_graph_targets_per_sample(g) * sizeof(int32_t);
    int rc = write_padded(e, qd_engine_at(e, e->plan->value[g->input]), batch->samples,
                          filled * input_bytes, samples * input_bytes);
    if (!rc)
        rc = write_padded(e, qd_engine_at(e, e->plan->value[g->target]), batch->targets,
                          filled * target_bytes, samples * target_bytes);
    return rc;
}

static int run_forward(qd_engine *e, int n) {
    const qd_node *node = &e->graph->nodes[n];
    int rc = qd_engine_need(e, n);
    if (!rc)
        rc = e->backend->forward(e->context, e->graph, node, &e->operands[n]);
    return rc ? qd_error_context(rc, "forward of %s", node->name) : 0;
}

/* Backward with the gradients of the parameters written to a partial sum, or added to what stands
 * there. */
static int run_backward(qd_engine *e, int n, int part, bool adds) {
    const qd_node *node = &e->graph->nodes[n];
    qd_operands *o = &e->operands[n];
    for (int i = 0; i < node->param_count; i++)
        o->param_grads[i] = qd_engine_part(e, part, e->graph->params[node->params[i]].offset);
    for (int i = 0; i < node->param_count; i++)
        o->param_adds[i] = adds || qd_graph_adds_to_param(e->graph, n, i);
    int rc = e->backend->backward(e->context, e->graph, node, o);
    return rc ? qd_error_context(rc, "backward of %s", node->name) : 0;
}

/* Losses of the global batch. */
static double batch_losses(const qd_engine *e) {
    return (double)e->job.train.batch * (double)qd_graph_losses_per_sample(e->graph);
}

/* As it stands in the summed vector; not a number where the device cannot be read. */
static float summed_total(const qd_engine *e, int total) {
    float value;
    const float *at = qd_engine_totals_of(e, 0) + total;
    int rc = e->backend->read(e->context, &value, at, sizeof value);
    if (!rc)
        rc = e->backend->wait(e->context);
    return rc ? NAN : value;
}

/*
 * Vectors hold sums over the losses of the batch, divided by their number: means, where all count
 * alike. Where they do not, what they count is known once all slots are summed, on every member and
 * grid alike, and this factor makes means of the sums.
 */
double qd_engine_mean_factor(const qd_engine *e) {
    if (!qd_loss_is_weighted(e->graph))
        return 1;
    double weight = (double)summed_total(e, QD_TOTAL_WEIGHT);
    return weight > 0 ? batch_losses(e) / weight : 0;
}

/* d(mean loss over the global batch) / d(loss of a target), so that the gradients of all slots
 * add up to that of the mean without a division, but for mean_factor. */
static int seed_loss_grad(qd_engine *e) {
    float *grad = qd_engine_at(e, e->plan->value_grad[e->graph->loss]);
    return e->backend->fill(e->context, grad, (float)(1.0 / batch_losses(e)),
                            e->graph->samples * qd_graph_losses_per_sample(e->graph));
}

/* What the micro-batches of a slot come to. */
typedef struct leaf {
    int part;               /* partial sum that gradients go to */
    const int32_t *targets; /* of the micro-batch in hand, on the host */
    bool adds;              /* to the gradients that stand there; else they are written */
    bool last;              /* micro-batch of the last slot: what is final is handed on */
    double loss, weight;
    int64_t correct;
    double part_loss; /* of the micro-batch in hand, once the device has been waited for */
    int64_t part_correct;
} leaf;

static int take_loss(qd_engine *e, leaf *l) {
    int rc = qd_engine_score(e, l->targets, e->graph->samples, &l->part_loss, &l->part_correct);
    return rc ? rc : seed_loss_grad(e);
}

static int run_pass(qd_engine *e, qd_pass pass, leaf *l) {
    switch (pass.kind) {
    case QD_PASS_FORWARD:
    case QD_PASS_RECOMPUTE:
        return run_forward(e, pass.node);
    case QD_PASS_LOSS:
        return take_loss(e, l);
    case QD_PASS_BACKWARD:
        return run_backward(e, pass.node, l->part, l->adds);
    }
    return 0;
}

/* Part number `part` of a slot's batch. */
static int run_micro_batch(qd_engine *e, const qd_batch *batch, int64_t part, leaf *l) {
    const qd_graph *g = e->graph;
    const qd_value *input = &g->values[g->input];
    int64_t input_bytes = qd_shape_elements(&input->shape) * (int64_t)qd_dtype_bytes(input->dtype);
    qd_batch own = {(const char *)batch->samples + part * input_bytes,
                    batch->targets + part * g->samples * qd_graph_targets_per_sample(g)};
    int rc = load(e, &own, g->samples);
    l->targets = own.targets;
    for (int i = 0; i < e->timeline->count && !rc; i++) {
        rc = l->last ? qd_engine_free_segments(e, i) : 0;
        if (!rc)
            rc = run_pass(e, e->timeline->passes[i], l);
        if (!rc && l->last)
            rc = qd_engine_finish_buckets(e, i);
    }
    if (!rc)
        rc = e->backend->wait(e->context);
    if (rc)
        return rc;
    l->loss += l->part_loss;
    l->correct += l->part_correct;
    l->weight += qd_loss_count_targets(g, own.targets, g->samples).weight;
    return 0;
}

/* A slot into its leaf. */
static int run_leaf(qd_engine *e, const qd_batch *batch, bool last) {
    leaf l = {.part = qd_tree_stack_top(&e->stack)};
    int64_t slot_samples = e->job.train.batch / e->job.slots_data;
    int64_t parts = slot_samples / e->graph->samples;
    e->run.training = true;
    for (int64_t part = 0; part < parts; part++) {
        l.last = last && part == parts - 1;
        e->run.first_sample = e->stack.next * slot_samples + part * e->graph->samples;
        l.adds = part > 0;
        int rc = run_micro_batch(e, batch, part, &l);
        if (rc)
            return rc;
    }
    e->totals[QD_TOTAL_LOSS] += (float)(l.loss / batch_losses(e));
    e->totals[QD_TOTAL_WEIGHT] += (float)l.weight;
    e->totals[QD_TOTAL_CORRECT] += (float)l.correct;
    float *totals = qd_engine_totals_of(e, l.part);
    int rc = last ? 0 : qd_engine_clear_gaps(e, l.part, 0, e->buckets->blocks->count);
    if (!rc)
        rc = e->backend->clear(e->context, totals, QD_MEMORY_TOTALS * sizeof *totals);
    if (!rc)
        rc = e->backend->write(e->context, totals, e->totals, sizeof e->totals);
    memset(e->totals, 0, sizeof e->totals);
    return rc;
}

int qd_engine_run_slot(qd_engine *engine, const qd_batch *batch) {
    qd_tree_stack *stack = &engine->stack;
    if (stack->next >= engine->end_slot)
        return qd_error_set(QD_EINTERNAL, "all slots of the step, %d .. %d, have run already",
                            engine->first_slot, engine->end_slot - 1);
    int slot = stack->next;
    bool last = slot == engine->end_slot - 1;
    if (last)
        qd_engine_plan_merges(engine);
    int rc = run_leaf(engine, batch, last);
    if (!rc && last)
        rc = qd_engine_finish_totals(engine);
    int into, from;
    while (!rc && !last && qd_tree_stack_push_next(stack, &into, &from))
        rc = engine->backend->add(engine->context, engine->vectors[into], engine->vectors[from],
                                  engine->plan->gradient_elements);
    if (!rc)
        rc = engine->backend->wait(engine->context);
    return rc ? qd_error_context(rc, "slot %d", slot) : 0;
}

void qd_engine_parts(qd_engine *engine, float *const **parts, int *count) {
    *parts = engine->vectors;
    *count = engine->stack.count;
}

void qd_engine_set_rate_factor(qd_engine *engine, double factor) {
    engine->rate_factor = factor;
}

double qd_engine_gradient_norm(const qd_engine *engine) {
    return engine->gradient_norm;
}

float qd_engine_total(const qd_engine *engine, int total) {
    float sum = summed_total(engine, total);
    return total == QD_TOTAL_LOSS ? (float)((double)sum * qd_engine_mean_factor(engine)) : sum;
}

int qd_engine_evaluate(qd_engine *engine, const qd_batch *batch, int64_t valid, double *loss_sum,
                       int64_t *correct) {
    if (valid < 0 || valid > engine->graph->samples)
        return qd_error_set(QD_EINTERNAL, "%" PRId64 " valid samples in a batch of %" PRId64, valid,
                            engine->graph->samples);
    double loss;
    int64_t right;
    engine->run.training = false;
    int rc = load(engine, batch, valid);
    for (int n = 0; n < engine->graph->node_count && !rc; n++)
        rc = run_forward(engine, n);
    if (!rc)
        rc = qd_engine_score(engine, batch->targets, valid, &loss, &right);
    if (!rc)
        rc = engine->backend->wait(engine->context);
    if (rc)
        return rc;
    *loss_sum += loss;
    *correct += right;
    return 0;
}
