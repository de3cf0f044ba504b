#include "worker/engine.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "models/loss_mean.h"
#include "runtime/align.h"
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

static int load_targets(qd_engine *e, const int32_t *targets, int64_t valid) {
    size_t bytes = (size_t)e->targets_per_sample * sizeof *targets;
    if (e->graph->target < 0)
        return 0;
    return write_padded(e, qd_engine_at(e, e->plan->value[e->graph->target]), targets,
                        (size_t)valid * bytes, (size_t)e->graph->samples * bytes);
}

/* Copies the first `valid` samples in; the rest of the graph's samples stay some class 0 whose
 * results nobody looks at. */
static int load(qd_engine *e, const qd_batch *batch, int64_t valid) {
    const qd_graph *g = e->graph;
    size_t bytes = e->input_bytes / (size_t)g->samples;
    int rc = 0;
    if (g->input >= 0)
        rc = write_padded(e, qd_engine_at(e, e->plan->value[g->input]), batch->samples,
                          (size_t)valid * bytes, e->input_bytes);
    return rc ? rc : load_targets(e, batch->targets, valid);
}

static int run_forward(qd_engine *e, int n) {
    const qd_node *node = &e->graph->nodes[n];
    int rc = qd_engine_need(e, n);
    if (!rc)
        rc = e->backend->forward(e->context, e->graph, node, qd_engine_operands(e, n));
    return rc ? qd_error_context(rc, "forward of %s", node->name) : 0;
}

/* Gradients of the parameters are written to a partial sum, or added to what stands there. */
static void place_param_grads(qd_engine *e, int n, int part, bool adds) {
    const qd_node *node = &e->graph->nodes[n];
    qd_operands *o = qd_engine_operands(e, n);
    for (int i = 0; i < node->param_count; i++) {
        o->param_grads[i] = qd_engine_part(e, part, e->graph->params[node->params[i]].offset);
        o->param_adds[i] = adds || qd_graph_adds_to_param(e->graph, n, i);
    }
}

/* What an operator makes beside the gradients of its inputs, and nobody looks at. */
static void spare_param_grads(qd_engine *e, int n) {
    const qd_node *node = &e->graph->nodes[n];
    qd_operands *o = qd_engine_operands(e, n);
    float *spare = qd_engine_at(e, e->plan->spare);
    for (int i = 0; i < node->param_count; i++) {
        o->param_grads[i] = node->op->separable ? NULL : spare;
        o->param_adds[i] = false;
        spare += qd_align_floats(qd_shape_elements(&e->graph->params[node->params[i]].shape));
    }
}

static int run_backward(qd_engine *e, qd_pass pass, int part, bool adds) {
    const qd_node *node = &e->graph->nodes[pass.node];
    if (pass.kind == QD_PASS_BACKWARD_INPUT)
        spare_param_grads(e, pass.node);
    else
        place_param_grads(e, pass.node, part, adds);
    int rc = e->windows && qd_pass_reads_params(e->graph, pass) ? qd_engine_need(e, pass.node) : 0;
    qd_operands o = *qd_engine_operands(e, pass.node);
    for (int i = 0; pass.kind == QD_PASS_BACKWARD_WEIGHT && i < node->input_count; i++)
        o.input_grads[i] = NULL;
    if (!rc)
        rc = e->backend->backward(e->context, e->graph, node, &o);
    return rc ? qd_error_context(rc, "backward of %s", node->name) : 0;
}

/* Losses of the global batch. */
static double batch_losses(const qd_engine *e) {
    return (double)e->job.train.batch * (double)e->losses_per_sample;
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
    if (!e->is_weighted)
        return 1;
    double weight = (double)summed_total(e, QD_TOTAL_WEIGHT);
    return weight > 0 ? batch_losses(e) / weight : 0;
}

/* d(mean loss over the global batch) / d(loss of a target), so that the gradients of all slots
 * add up to that of the mean without a division, but for mean_factor. */
static int seed_loss_grad(qd_engine *e) {
    float *grad = qd_engine_at(e, e->plan->value_grad[e->graph->loss]);
    return e->backend->fill(e->context, grad, (float)(1.0 / batch_losses(e)),
                            e->graph->samples * e->losses_per_sample);
}

/* ---- micro-batches ---- */

static int64_t slot_samples(const qd_engine *e) {
    return e->job.train.batch / e->job.slots_data;
}

/* From here on a micro-batch is computed with. */
static void turn_to(qd_engine *e, int64_t micro_batch) {
    int64_t of_a_slot = qd_job_micro_batches(&e->job);
    e->pool = (int)(micro_batch % e->in_flight);
    e->run.training = true;
    e->run.first_sample = (e->first_slot + micro_batch / of_a_slot) * slot_samples(e) +
                          micro_batch % of_a_slot * e->graph->samples;
}

/* Scores the losses, and seeds their gradient. */
static int take_loss(qd_engine *e, const int32_t *targets) {
    qd_engine_results *r = &e->results[e->pool];
    *r = (qd_engine_results){0};
    if (e->graph->loss < 0)
        return 0;
    int rc = qd_engine_score(e, targets, e->graph->samples, &r->loss, &r->correct);
    r->weight = qd_loss_count_targets(e->graph, targets, e->graph->samples).weight;
    return rc ? rc : seed_loss_grad(e);
}

static int run_all_forward(qd_engine *e) {
    int rc = 0;
    for (int i = 0; i < e->timeline->loss && !rc; i++) {
        rc = qd_engine_open_windows(e, i);
        if (!rc)
            rc = run_forward(e, e->timeline->passes[i].node);
        if (!rc)
            rc = qd_engine_close_windows(e, i);
    }
    return rc;
}

int qd_engine_forward(qd_engine *engine, int64_t micro_batch, const qd_batch *batch) {
    int64_t part = micro_batch % qd_job_micro_batches(&engine->job);
    qd_batch own = {0};
    if (batch->samples)
        own =
            (qd_batch){(const char *)batch->samples + part * (int64_t)engine->input_bytes,
                       batch->targets + part * engine->graph->samples * engine->targets_per_sample};
    turn_to(engine, micro_batch);
    int rc = load(engine, &own, engine->graph->samples);
    if (!rc)
        rc = run_all_forward(engine);
    if (!rc)
        rc = take_loss(engine, own.targets);
    if (!rc)
        rc = engine->backend->wait(engine->context);
    int slot = engine->first_slot + (int)(micro_batch / qd_job_micro_batches(&engine->job));
    return rc ? qd_error_context(rc, "slot %d", slot) : 0;
}

/* Passes [first, end) of backward, and of what is recomputed for it. last: micro-batch of the last
 * slot, so that what is final is handed on. */
static int run_back(qd_engine *e, int first, int end, int into, bool adds, bool last) {
    int rc = 0;
    for (int i = first; i < end && !rc; i++) {
        qd_pass pass = e->timeline->passes[i];
        rc = last ? qd_engine_free_segments(e, i) : 0;
        if (!rc)
            rc = qd_engine_open_windows(e, i);
        if (!rc)
            rc = pass.kind == QD_PASS_RECOMPUTE ? run_forward(e, pass.node)
                                                : run_backward(e, pass, into, adds);
        if (!rc)
            rc = qd_engine_close_windows(e, i);
        if (!rc && last)
            rc = qd_engine_finish_buckets(e, i);
    }
    return rc ? rc : e->backend->wait(e->context);
}

/* ---- slots ---- */

/* Puts the totals behind the gradients of a slot whose micro-batches are done. */
static int write_totals(qd_engine *e, int into) {
    float *totals = qd_engine_totals_of(e, into);
    e->totals[QD_TOTAL_LOSS] += (float)(e->leaf.loss / batch_losses(e));
    e->totals[QD_TOTAL_WEIGHT] += (float)e->leaf.weight;
    e->totals[QD_TOTAL_CORRECT] += (float)e->leaf.correct;
    int rc = e->backend->clear(e->context, totals, QD_MEMORY_TOTALS * sizeof *totals);
    if (!rc)
        rc = e->backend->write(e->context, totals, e->totals, sizeof e->totals);
    memset(e->totals, 0, sizeof e->totals);
    return rc;
}

/* A slot joins the tree. */
static int finish_slot(qd_engine *e, int leaf, bool last) {
    int into, from;
    int rc = last ? 0 : qd_engine_clear_gaps(e, leaf, 0, e->buckets->blocks->count);
    int64_t elements = e->graph->param_elements;
    if (!rc && !last)
        rc = qd_engine_round(e, leaf, 0, elements);
    if (!rc)
        rc = write_totals(e, leaf);
    if (!rc && last)
        rc = qd_engine_finish_totals(e);
    while (!rc && !last && qd_tree_stack_push_next(&e->stack, &into, &from)) {
        rc = e->backend->add(e->context, e->vectors[into], e->vectors[from],
                             e->plan->gradient_elements);
        if (!rc)
            rc = qd_engine_round(e, into, 0, elements);
    }
    return rc ? rc : e->backend->wait(e->context);
}

static void add_results(qd_engine *e, bool first) {
    const qd_engine_results *r = &e->results[e->pool];
    if (first)
        e->leaf = (qd_engine_results){0};
    e->leaf.loss += r->loss;
    e->leaf.weight += r->weight;
    e->leaf.correct += r->correct;
}

/* From pass `first` on; what adds to gradients of parameters is among it. */
static int finish_backward(qd_engine *e, int64_t micro_batch, int first) {
    int64_t of_a_slot = qd_job_micro_batches(&e->job), part = micro_batch % of_a_slot;
    int slot = e->first_slot + (int)(micro_batch / of_a_slot);
    bool last_slot = slot == e->end_slot - 1, last_part = part == of_a_slot - 1;
    if (slot != e->stack.next || slot >= e->end_slot)
        return qd_error_set(QD_EINTERNAL, "backward of slot %d where %d of %d .. %d is next", slot,
                            e->stack.next, e->first_slot, e->end_slot - 1);
    turn_to(e, micro_batch);
    if (last_slot && part == 0)
        qd_engine_plan_merges(e);
    int leaf = qd_tree_stack_top(&e->stack);
    int rc = run_back(e, first, e->timeline->count, leaf, part > 0, last_slot && last_part);
    if (rc)
        return qd_error_context(rc, "slot %d", slot);
    add_results(e, part == 0);
    return last_part ? finish_slot(e, leaf, last_slot) : 0;
}

int qd_engine_backward(qd_engine *engine, int64_t micro_batch) {
    return finish_backward(engine, micro_batch, engine->timeline->loss + 1);
}

int qd_engine_backward_input(qd_engine *engine, int64_t micro_batch) {
    turn_to(engine, micro_batch);
    return run_back(engine, engine->timeline->loss + 1, engine->timeline->weights, 0, false, false);
}

int qd_engine_backward_weight(qd_engine *engine, int64_t micro_batch) {
    return finish_backward(engine, micro_batch, engine->timeline->weights);
}

int qd_engine_run_slot(qd_engine *engine, const qd_batch *batch) {
    int slot = engine->stack.next;
    int64_t of_a_slot = qd_job_micro_batches(&engine->job);
    if (slot >= engine->end_slot)
        return qd_error_set(QD_EINTERNAL, "all slots of the step, %d .. %d, have run already",
                            engine->first_slot, engine->end_slot - 1);
    int64_t first = (engine->stack.next - engine->first_slot) * of_a_slot;
    int rc = 0;
    for (int64_t i = 0; i < of_a_slot && !rc; i++) {
        rc = qd_engine_forward(engine, first + i, batch);
        if (!rc)
            rc = qd_engine_backward(engine, first + i);
    }
    return rc;
}

static qd_handover handover(qd_engine *e, int64_t micro_batch, int value) {
    const qd_value *v = &e->graph->values[value];
    e->pool = (int)(micro_batch % e->in_flight);
    return (qd_handover){
        .value = qd_engine_at(e, e->plan->value[value]),
        .gradient = qd_engine_at(e, e->plan->value_grad[value]),
        .bytes = (size_t)qd_shape_elements(&v->shape) * qd_dtype_bytes(v->dtype),
    };
}

qd_handover qd_engine_taken(qd_engine *engine, int64_t micro_batch, int i) {
    return handover(engine, micro_batch, engine->graph->taken[i]);
}

qd_handover qd_engine_handed(qd_engine *engine, int64_t micro_batch, int i) {
    return handover(engine, micro_batch, engine->graph->handed[i]);
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
    double loss = 0;
    int64_t right = 0;
    engine->pool = 0;
    engine->run.training = false;
    int rc = load(engine, batch, valid);
    if (!rc)
        rc = run_all_forward(engine);
    if (!rc && engine->graph->loss >= 0)
        rc = qd_engine_score(engine, batch->targets, valid, &loss, &right);
    if (!rc)
        rc = engine->backend->wait(engine->context);
    if (rc)
        return rc;
    *loss_sum += loss;
    *correct += right;
    return 0;
}

int qd_engine_get_totals(qd_engine *engine, float *totals) {
    int rc = engine->backend->read(engine->context, totals, qd_engine_totals_of(engine, 0),
                                   QD_TOTALS * sizeof *totals);
    return rc ? rc : engine->backend->wait(engine->context);
}

int qd_engine_set_totals(qd_engine *engine, const float *totals) {
    return engine->backend->write(engine->context, qd_engine_totals_of(engine, 0), totals,
                                  QD_TOTALS * sizeof *totals);
}

int qd_engine_copy(qd_engine *engine, void *to, const void *from, size_t bytes) {
    int rc = engine->backend->copy(engine->context, to, from, bytes);
    return rc ? rc : engine->backend->wait(engine->context);
}

int qd_engine_add(qd_engine *engine, float *into, const float *from, int64_t count) {
    int rc = engine->backend->add(engine->context, into, from, count);
    return rc ? rc : engine->backend->wait(engine->context);
}
