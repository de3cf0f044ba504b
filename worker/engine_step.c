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

/* For products in bf16; once after each change of the parameters. */
static int narrow_params(qd_engine *e) {
    void *narrow = qd_engine_at(e, e->plan->narrow_params);
    if (!narrow || !e->stale)
        return 0;
    e->stale = false;
    return e->backend->narrow(e->context, narrow, e->params, e->graph->param_elements);
}

static int run_forward(qd_engine *e, int n) {
    const qd_node *node = &e->graph->nodes[n];
    int rc = e->backend->forward(e->context, e->graph, node, &e->operands[n]);
    return rc ? qd_error_context(rc, "forward of %s", node->name) : 0;
}

/* Backward with the gradients of the parameters written to `vector`, or added to what stands there.
 */
static int run_backward(qd_engine *e, int n, float *vector, bool adds) {
    const qd_node *node = &e->graph->nodes[n];
    qd_operands *o = &e->operands[n];
    for (int i = 0; i < node->param_count; i++)
        o->param_grads[i] = vector + e->graph->params[node->params[i]].offset;
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
    const float *at = e->vectors[0] + e->graph->param_elements + total;
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
static double mean_factor(const qd_engine *e) {
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

/* What lies between parameters and behind them must be sound numbers too: it is added, travels
 * and is updated along with the rest. */
static int clear_gaps(const qd_engine *e, float *vector) {
    const qd_graph *g = e->graph;
    int rc = 0;
    for (int p = 0; p < g->param_count && !rc; p++) {
        int64_t from = g->params[p].offset + qd_shape_elements(&g->params[p].shape);
        int64_t to = p + 1 < g->param_count ? g->params[p + 1].offset : e->plan->gradient_elements;
        if (to > from)
            rc = e->backend->clear(e->context, vector + from, (size_t)(to - from) * sizeof *vector);
    }
    return rc;
}

/* What the micro-batches of a slot come to. */
typedef struct leaf {
    float *vector;
    const int32_t *targets; /* of the micro-batch in hand, on the host */
    bool adds;              /* to the gradients that stand there; else they are written */
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
        return run_backward(e, pass.node, l->vector, l->adds);
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
    if (!rc)
        rc = narrow_params(e);
    for (int i = 0; i < e->timeline->count && !rc; i++)
        rc = run_pass(e, e->timeline->passes[i], l);
    if (!rc)
        rc = e->backend->wait(e->context);
    if (rc)
        return rc;
    l->loss += l->part_loss;
    l->correct += l->part_correct;
    l->weight += qd_loss_count_targets(g, own.targets, g->samples).weight;
    return 0;
}

/* A slot into its leaf's vector. */
static int run_leaf(qd_engine *e, const qd_batch *batch, float *vector) {
    leaf l = {.vector = vector};
    int64_t slot_samples = e->job.train.batch / e->job.slots_data;
    e->run.training = true;
    for (int64_t part = 0; part < slot_samples / e->graph->samples; part++) {
        e->run.first_sample = e->stack.next * slot_samples + part * e->graph->samples;
        l.adds = part > 0;
        int rc = run_micro_batch(e, batch, part, &l);
        if (rc)
            return rc;
    }
    e->totals[QD_TOTAL_LOSS] += (float)(l.loss / batch_losses(e));
    e->totals[QD_TOTAL_WEIGHT] += (float)l.weight;
    e->totals[QD_TOTAL_CORRECT] += (float)l.correct;
    int rc = clear_gaps(e, vector);
    if (!rc)
        rc = e->backend->write(e->context, vector + e->graph->param_elements, e->totals,
                               sizeof e->totals);
    memset(e->totals, 0, sizeof e->totals);
    return rc;
}

int qd_engine_run_slot(qd_engine *engine, const qd_batch *batch) {
    qd_tree_stack *stack = &engine->stack;
    if (stack->next >= engine->end_slot)
        return qd_error_set(QD_EINTERNAL, "all slots of the step, %d .. %d, have run already",
                            engine->first_slot, engine->end_slot - 1);
    int slot = stack->next;
    int rc = run_leaf(engine, batch, engine->vectors[qd_tree_stack_top(stack)]);
    int into, from;
    while (!rc && qd_tree_stack_push_next(stack, &into, &from))
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

static int update_statistic(qd_engine *e, int p) {
    const qd_param *param = &e->graph->params[p];
    return e->backend->blend(e->context, e->params + param->offset, e->vectors[0] + param->offset,
                             param->momentum, qd_shape_elements(&param->shape));
}

static int take_gradient_norm(qd_engine *e) {
    double squares = 0;
    int rc = qd_engine_take_squares(e, &squares);
    if (rc)
        return rc;
    double norm = e->gradient_norm = sqrt(squares) * mean_factor(e);
    if (!isfinite(norm))
        return qd_error_set(
            QD_EDATA, "the gradient is %s; try a lower optimizer.learning_rate than %g",
            isnan(norm) ? "not a number" : "infinite", e->job.optimizer.learning_rate);
    return 0;
}

static int update_trained(qd_engine *e, int p, const qd_optimizer_scalars *scalars) {
    const qd_param *param = &e->graph->params[p];
    const qd_optimizer_spec *spec = &e->job.optimizer;
    qd_optimizer_tensor tensor = {
        .params = e->params + param->offset,
        .grads = e->vectors[0] + param->offset,
        .count = qd_shape_elements(&param->shape),
        .decays = qd_optimizer_decays(spec, param),
        .scratch = qd_engine_at(e, e->plan->scratch),
    };
    for (int v = 0; v < e->plan->optimizer_vectors; v++)
        tensor.state[v] = e->optimizer_state[v] + param->offset;
    if (qd_optimizer_orthogonalizes(spec, e->graph, p)) {
        tensor.rows = param->shape.dim[0];
        tensor.columns = param->shape.dim[1];
    }
    int rc = e->backend->update(e->context, spec, scalars, &tensor);
    return rc ? qd_error_context(rc, "update of %s", param->name) : 0;
}

int qd_engine_update(qd_engine *engine, int64_t total_steps) {
    const qd_graph *g = engine->graph;
    qd_optimizer_scalars scalars;
    int rc = take_gradient_norm(engine);
    if (rc)
        return rc;
    double rate_factor = qd_schedule_factor(&engine->job.schedule, engine->run.step, total_steps);
    qd_optimizer_prepare(&engine->job, engine->run.step, rate_factor * engine->rate_factor,
                         engine->gradient_norm, &scalars);
    scalars.gradient_factor = (float)((double)scalars.gradient_factor * mean_factor(engine));
    engine->stale = true;
    for (int p = 0; p < g->param_count && !rc; p++)
        rc = g->params[p].kind == QD_PARAM_STATISTIC ? update_statistic(engine, p)
                                                     : update_trained(engine, p, &scalars);
    return rc ? rc : engine->backend->wait(engine->context);
}

void qd_engine_set_rate_factor(qd_engine *engine, double factor) {
    engine->rate_factor = factor;
}

double qd_engine_gradient_norm(const qd_engine *engine) {
    return engine->gradient_norm;
}

float qd_engine_total(const qd_engine *engine, int total) {
    float sum = summed_total(engine, total);
    return total == QD_TOTAL_LOSS ? (float)((double)sum * mean_factor(engine)) : sum;
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
    if (!rc)
        rc = narrow_params(engine);
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
