/*
 * The optimizer's part of a step: what this member holds of each parameter is moved by the sum over
 * all slots.
 */
#include <math.h>
#include <string.h>

#include "runtime/error.h"
#include "worker/engine_internal.h"

static int take_norm(qd_engine *e, double squares) {
    double norm = e->gradient_norm = sqrt(squares) * qd_engine_mean_factor(e);
    if (!isfinite(norm))
        return qd_error_set(
            QD_EDATA, "the gradient is %s; try a lower optimizer.learning_rate than %g",
            isnan(norm) ? "not a number" : "infinite", e->job.optimizer.learning_rate);
    return 0;
}

qd_optimizer_tensor qd_engine_tensor_of(const qd_engine *e, const qd_engine_piece *p) {
    const qd_param *param = &e->graph->params[p->param];
    const qd_optimizer_spec *spec = &e->job.optimizer;
    qd_optimizer_tensor tensor = {
        .params = qd_engine_params_at(e, p->at, p->home),
        .grads = qd_engine_piece_gradient(e, p),
        .count = p->count,
        .decays = qd_optimizer_decays(spec, param),
        .scratch = qd_engine_at(e, e->plan->scratch),
    };
    for (int v = 0; v < e->plan->optimizer_vectors; v++)
        tensor.state[v] = e->optimizer_state[v] + p->home;
    if (qd_optimizer_orthogonalizes(spec, e->graph, p->param)) {
        tensor.rows = param->whole.dim[0];
        tensor.columns = param->whole.dim[1];
    }
    return tensor;
}

static int move(qd_engine *e, const qd_engine_piece *p, void *of) {
    const qd_param *param = &e->graph->params[p->param];
    if (param->kind == QD_PARAM_STATISTIC)
        return e->backend->blend(e->context, qd_engine_params_at(e, p->at, p->home),
                                 qd_engine_piece_gradient(e, p), param->momentum, p->count);
    if (qd_engine_shares_matrix(e, p->param))
        return 0; /* it has been moved */
    qd_optimizer_tensor tensor = qd_engine_tensor_of(e, p);
    if (qd_optimizer_facts_of(&e->job.optimizer)->adapts)
        tensor.ratio = qd_engine_ratio(e, p->param);
    int rc = e->backend->update(e->context, &e->job.optimizer, of, &tensor);
    return rc ? qd_error_context(rc, "update of %s", param->name) : 0;
}

/* Front to back, which is the order in which forward reads them; each bucket is on its way to the
 * others while the next one is moved. */
static int move_bucket(qd_engine *e, int b, qd_optimizer_scalars *scalars) {
    int rc = qd_engine_visit_bucket(e, b, move, scalars);
    if (!rc)
        rc = e->backend->wait(e->context);
    if (!rc && e->shards->members > 1 && !e->windows)
        rc = qd_exchange_gather(e->exchange, b, e->params + e->buckets->bucket[b].begin);
    return rc;
}

int qd_engine_update(qd_engine *engine, int64_t total_steps) {
    double squares = 0;
    int rc = qd_engine_measure(engine);
    for (int p = 0; p < engine->graph->param_count; p++)
        squares += engine->param_squares[p];
    return rc ? rc : qd_engine_apply(engine, total_steps, squares);
}

int qd_engine_apply(qd_engine *engine, int64_t total_steps, double squares) {
    qd_optimizer_scalars scalars;
    int rc = take_norm(engine, squares);
    if (rc)
        return rc;
    double rate_factor = qd_schedule_factor(&engine->job.schedule, engine->run.step, total_steps);
    qd_optimizer_prepare(&engine->job, engine->run.step, rate_factor * engine->rate_factor,
                         engine->gradient_norm, &scalars);
    scalars.gradient_factor =
        (float)((double)scalars.gradient_factor * qd_engine_mean_factor(engine));
    if (qd_optimizer_facts_of(&engine->job.optimizer)->adapts)
        rc = qd_engine_measure_moves(engine, &scalars);
    if (!rc)
        rc = qd_engine_move_matrices(engine, &scalars);
    qd_engine_forget_params(engine);
    for (int b = 0; b < engine->buckets->count && !rc; b++)
        rc = move_bucket(engine, b, &scalars);
    return rc;
}
