#include <stdio.h>

#include "runtime/random.h"
#include "worker/engine_internal.h"

static float initial_value(qd_init init, qd_random_key key, uint64_t i) {
    switch (init.kind) {
    case QD_INIT_UNIFORM:
        return (2.0f * qd_random_uniform(key, 0, i) - 1.0f) * init.scale;
    case QD_INIT_NORMAL:
        return qd_random_normal(key, 0, i) * init.scale;
    case QD_INIT_ONE:
        return 1.0f;
    case QD_INIT_ZERO:
        break;
    }
    return 0.0f;
}

/* Where element i of what is held stands in the whole parameter, row-major: what it is drawn by. */
static int64_t place_in_whole(const qd_param *param, int64_t i) {
    if (param->cut_dim < 0)
        return i;
    int64_t inner = 1;
    for (int d = param->cut_dim + 1; d < param->shape.dims; d++)
        inner *= param->shape.dim[d];
    int64_t held = param->shape.dim[param->cut_dim] * inner;
    int64_t whole = param->whole.dim[param->cut_dim] * inner;
    return i / held * whole + param->cut_first * inner + i % held;
}

/* Made on the host and brought over piece by piece. */
static int write_initial(qd_engine *e, const qd_param *param) {
    enum { PIECE = 4096 };
    float piece[PIECE];
    qd_random_key key = {e->job.seed, qd_random_site(param->name)};
    int64_t count = qd_shape_elements(&param->shape);
    int rc = 0;
    for (int64_t from = 0; from < count && !rc; from += PIECE) {
        int64_t floats = count - from < PIECE ? count - from : PIECE;
        for (int64_t i = 0; i < floats; i++)
            piece[i] = initial_value(param->init, key, (uint64_t)place_in_whole(param, from + i));
        rc = e->backend->write(e->context, e->params + param->offset + from, piece,
                               (size_t)floats * sizeof *piece);
    }
    return rc;
}

int qd_engine_reset(qd_engine *engine) {
    int rc = 0;
    engine->stale = true;
    engine->rate_factor = 1;
    for (int i = 0; i < engine->plan->optimizer_vectors && !rc; i++)
        rc = engine->backend->clear(engine->context, engine->optimizer_state[i],
                                    (size_t)engine->graph->param_elements * sizeof(float));
    for (int p = 0; p < engine->graph->param_count && !rc; p++)
        rc = write_initial(engine, &engine->graph->params[p]);
    return rc ? rc : engine->backend->wait(engine->context);
}

int qd_engine_state_count(const qd_engine *engine) {
    return qd_engine_count_state(&engine->job, engine->graph);
}

int qd_engine_count_state(const qd_job *job, const qd_graph *graph) {
    return (1 + qd_optimizer_facts_of(&job->optimizer)->state_vectors) * graph->param_count;
}

/* The parameters first, then each of the optimizer's vectors, cut in the same way. */
void qd_engine_describe_state(const qd_job *job, const qd_graph *graph, int i,
                              qd_state_tensor *tensor) {
    int vector = i / graph->param_count - 1;
    const qd_param *param = &graph->params[i % graph->param_count];
    *tensor = (qd_state_tensor){.slice = qd_slice_whole(&param->whole)};
    if (param->cut_dim >= 0) {
        tensor->slice.offset[param->cut_dim] = param->cut_first;
        tensor->slice.extent[param->cut_dim] = param->shape.dim[param->cut_dim];
    }
    if (vector < 0)
        snprintf(tensor->name, sizeof tensor->name, "model/%s", param->name);
    else
        snprintf(tensor->name, sizeof tensor->name, "optimizer/%s/%s",
                 qd_optimizer_facts_of(&job->optimizer)->state_names[vector], param->name);
}

void qd_engine_state(qd_engine *engine, int i, qd_state_tensor *tensor) {
    const qd_graph *graph = engine->graph;
    int vector = i / graph->param_count - 1;
    engine->stale = true; /* whoever asks may write */
    qd_engine_describe_state(&engine->job, graph, i, tensor);
    tensor->data = (vector < 0 ? engine->params : engine->optimizer_state[vector]) +
                   graph->params[i % graph->param_count].offset;
}
