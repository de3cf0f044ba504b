#include "worker/engine.h"

#include <inttypes.h>
#include <string.h>

#include "runtime/error.h"
#include "worker/engine_internal.h"

void qd_engine_begin_step(qd_engine *engine, int64_t step) {
    engine->run.step = (uint32_t)step;
    qd_tree_stack_init(&engine->stack, (int)engine->job.slots_data, engine->first_slot,
                       engine->end_slot);
    memset(engine->totals, 0, sizeof engine->totals);
}

void qd_engine_add_total(qd_engine *engine, qd_total total, float value) {
    engine->totals[total] += value;
}

static const int32_t *targets_of(const qd_engine *e) {
    return qd_engine_at(e, e->plan->value[e->graph->target]);
}

/* Copies the first `valid` samples in; the rest of the graph's samples stay some class 0 whose
 * results nobody looks at. */
static void load(qd_engine *e, const qd_batch *batch, int64_t valid) {
    const qd_graph *g = e->graph;
    const qd_value *input = &g->values[g->input];
    size_t samples = (size_t)g->samples, filled = (size_t)valid;
    size_t input_bytes =
        (size_t)qd_shape_elements(&input->shape) / samples * qd_dtype_bytes(input->dtype);
    size_t target_bytes = (size_t)qd_graph_targets_per_sample(g) * sizeof(int32_t);
    char *inputs = qd_engine_at(e, e->plan->value[g->input]);
    char *targets = qd_engine_at(e, e->plan->value[g->target]);
    memcpy(inputs, batch->samples, filled * input_bytes);
    memcpy(targets, batch->targets, filled * target_bytes);
    memset(inputs + filled * input_bytes, 0, (samples - filled) * input_bytes);
    memset(targets + filled * target_bytes, 0, (samples - filled) * target_bytes);
}

static int run_forward(qd_engine *e) {
    for (int n = 0; n < e->graph->node_count; n++) {
        const qd_node *node = &e->graph->nodes[n];
        int rc = e->backend->forward(e->context, e->graph, node, &e->operands[n]);
        if (rc)
            return qd_error_context(rc, "forward of %s", node->name);
    }
    return 0;
}

/* Backward with the gradients of the parameters written to `vector`. */
static int run_backward(qd_engine *e, float *vector) {
    for (int n = e->graph->node_count - 1; n >= 0; n--) {
        const qd_node *node = &e->graph->nodes[n];
        qd_operands *o = &e->operands[n];
        if (!e->graph->values[node->output].needs_grad)
            continue;
        for (int i = 0; i < node->param_count; i++)
            o->param_grads[i] = vector + e->graph->params[node->params[i]].offset;
        int rc = e->backend->backward(e->context, e->graph, node, o);
        if (rc)
            return qd_error_context(rc, "backward of %s", node->name);
    }
    return 0;
}

static int score(qd_engine *e, int64_t valid, double *loss_sum, int64_t *correct) {
    const qd_graph *g = e->graph;
    const qd_shape *logits = &g->values[g->logits].shape;
    return e->backend->score(e->context, qd_engine_at(e, e->plan->value[g->loss]),
                             qd_engine_at(e, e->plan->value[g->logits]), targets_of(e),
                             valid * qd_graph_targets_per_sample(g), logits->dim[logits->dims - 1],
                             loss_sum, correct);
}

/* Targets of the global batch, over which the mean loss is taken. */
static double batch_targets(const qd_engine *e) {
    return (double)e->job.train.batch * (double)qd_graph_targets_per_sample(e->graph);
}

/* d(mean loss over the global batch) / d(loss of a target), so that the gradients of all slots
 * add up to that of the mean without a division. */
static void seed_loss_grad(qd_engine *e) {
    float *grad = qd_engine_at(e, e->plan->value_grad[e->graph->loss]);
    float share = (float)(1.0 / batch_targets(e));
    int64_t count = e->graph->samples * qd_graph_targets_per_sample(e->graph);
    for (int64_t i = 0; i < count; i++)
        grad[i] = share;
}

/* What lies between parameters and behind them must be sound numbers too: it is added, travels
 * and is updated along with the rest. */
static void clear_gaps(const qd_engine *e, float *vector) {
    const qd_graph *g = e->graph;
    for (int p = 0; p < g->param_count; p++) {
        int64_t from = g->params[p].offset + qd_shape_elements(&g->params[p].shape);
        int64_t to = p + 1 < g->param_count ? g->params[p + 1].offset : e->plan->gradient_elements;
        memset(vector + from, 0, (size_t)(to - from) * sizeof *vector);
    }
}

/* Forward and backward of a slot into its leaf's vector. */
static int run_leaf(qd_engine *e, const qd_batch *batch, float *vector) {
    double loss_sum;
    int64_t correct;
    load(e, batch, e->graph->samples);
    e->run.training = true;
    e->run.first_sample = e->stack.next * e->graph->samples;
    int rc = run_forward(e);
    if (!rc)
        rc = score(e, e->graph->samples, &loss_sum, &correct);
    if (rc)
        return rc;
    seed_loss_grad(e);
    rc = run_backward(e, vector);
    if (!rc)
        rc = e->backend->wait(e->context);
    if (rc)
        return rc;
    clear_gaps(e, vector);
    float *totals = vector + e->graph->param_elements;
    memcpy(totals, e->totals, sizeof e->totals);
    memset(e->totals, 0, sizeof e->totals);
    totals[QD_TOTAL_LOSS] += (float)(loss_sum / batch_targets(e));
    totals[QD_TOTAL_CORRECT] += (float)correct;
    return 0;
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

static void update_statistic(const qd_param *param, float *values, const float *measured) {
    int64_t count = qd_shape_elements(&param->shape);
    for (int64_t i = 0; i < count; i++)
        values[i] += param->momentum * (measured[i] - values[i]);
}

int qd_engine_update(qd_engine *engine, int64_t total_steps) {
    const qd_graph *g = engine->graph;
    const float *gradients = engine->vectors[0];
    qd_optimizer_scalars scalars;
    qd_optimizer_prepare(&engine->job, engine->run.step, total_steps, &scalars);
    for (int p = 0; p < g->param_count; p++) {
        const qd_param *param = &g->params[p];
        float *state[QD_ENGINE_MAX_OPTIMIZER_VECTORS] = {0};
        for (int v = 0; v < engine->plan->optimizer_vectors; v++)
            state[v] = engine->optimizer_state[v] + param->offset;
        if (param->kind == QD_PARAM_STATISTIC)
            update_statistic(param, engine->params + param->offset, gradients + param->offset);
        else
            engine->optimizer->update(&engine->job.optimizer, &scalars,
                                      engine->params + param->offset, gradients + param->offset,
                                      state, qd_shape_elements(&param->shape));
    }
    return 0;
}

float qd_engine_total(const qd_engine *engine, qd_total total) {
    return engine->vectors[0][engine->graph->param_elements + total];
}

int qd_engine_evaluate(qd_engine *engine, const qd_batch *batch, int64_t valid, double *loss_sum,
                       int64_t *correct) {
    if (valid < 0 || valid > engine->graph->samples)
        return qd_error_set(QD_EINTERNAL, "%" PRId64 " valid samples in a batch of %" PRId64, valid,
                            engine->graph->samples);
    double loss;
    int64_t right;
    load(engine, batch, valid);
    engine->run.training = false;
    int rc = run_forward(engine);
    if (!rc)
        rc = score(engine, valid, &loss, &right);
    if (!rc)
        rc = engine->backend->wait(engine->context);
    if (rc)
        return rc;
    *loss_sum += loss;
    *correct += right;
    return 0;
}
