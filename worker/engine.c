#include "worker/engine.h"

#include <inttypes.h>
#include <stdlib.h>

#include "models/family.h"
#include "runtime/error.h"
#include "worker/engine_internal.h"

_Static_assert(QD_TOTALS <= (int)QD_MEMORY_TOTALS, "the plan keeps too little room for totals");

/* Everything but the gradients of parameters stays where it is from slot to slot. */
static void place_operands(qd_engine *e) {
    const qd_memory_plan *plan = e->plan;
    uint16_t *narrow = qd_engine_at(e, plan->narrow_params);
    for (int n = 0; n < e->graph->node_count; n++) {
        const qd_node *node = &e->graph->nodes[n];
        qd_operands *o = &e->operands[n];
        for (int i = 0; i < node->input_count; i++) {
            o->inputs[i] = qd_engine_at(e, plan->value[node->inputs[i]]);
            o->input_grads[i] = qd_engine_at(e, plan->value_grad[node->inputs[i]]);
            o->input_adds[i] = qd_graph_adds_to_input(e->graph, n, i);
        }
        for (int i = 0; i < node->param_count; i++) {
            int64_t offset = e->graph->params[node->params[i]].offset;
            o->params[i] = e->params + offset;
            if (narrow)
                o->narrow_params[i] = narrow + offset;
        }
        o->run = &e->run;
        o->saved = qd_engine_at(e, plan->saved[n]);
        o->scratch = node->scratch ? qd_engine_at(e, plan->scratch) : NULL;
        o->output = qd_engine_at(e, plan->value[node->output]);
        o->output_grad = qd_engine_at(e, plan->value_grad[node->output]);
    }
}

static void place(qd_engine *e) {
    const qd_memory_plan *plan = e->plan;
    e->params = qd_engine_at(e, plan->params);
    float *state = qd_engine_at(e, plan->optimizer_state);
    for (int i = 0; i < plan->optimizer_vectors; i++)
        e->optimizer_state[i] = state + i * e->graph->param_elements;
    float *gradients = qd_engine_at(e, plan->gradients);
    for (int i = 0; i < plan->gradient_slots; i++)
        e->vectors[i] = gradients + i * plan->gradient_elements;
    place_operands(e);
}

static int check_slots(const qd_job *job, int first_slot, int end_slot) {
    if (first_slot < 0 || first_slot >= end_slot || end_slot > job->slots_data)
        return qd_error_set(QD_ECONFIG,
                            "slots %d .. %d of a job with %" PRId64 "; an engine holds at least "
                            "one of them",
                            first_slot, end_slot - 1, job->slots_data);
    return 0;
}

static int build(qd_engine *e, int tensor_members, int tensor_member, int threads) {
    int rc = qd_family_build_part(&e->job, tensor_members, tensor_member, &e->graph);
    if (!rc)
        rc = e->backend->create(threads, &e->context);
    if (!rc)
        rc = e->backend->prepare(e->context, e->graph);
    if (!rc)
        rc = qd_timeline_create(e->graph, &e->timeline);
    if (!rc)
        rc = qd_memory_plan_create(&e->job, e->graph, e->timeline, e->end_slot - e->first_slot,
                                   &e->plan);
    if (rc)
        return rc;
    e->vectors = calloc((size_t)e->plan->gradient_slots, sizeof(float *));
    e->operands = calloc((size_t)e->graph->node_count, sizeof(qd_operands));
    if (!e->vectors || !e->operands)
        return qd_error_set(QD_ENOMEM, "no memory for %d operators", e->graph->node_count);
    rc = qd_engine_norm_create(e);
    if (!rc)
        rc = qd_engine_score_create(e);
    if (rc)
        return rc;
    void *arena;
    rc = e->backend->alloc(e->context, e->plan->bytes, &arena);
    if (rc)
        return rc;
    e->arena = arena;
    return 0;
}

int qd_engine_create(const qd_job *job, int first_slot, int end_slot, const qd_backend *backend,
                     int threads, qd_engine **engine) {
    return qd_engine_create_part(job, first_slot, end_slot, 1, 0, backend, threads, engine);
}

void qd_engine_set_exchange(qd_engine *engine, const qd_tensor_exchange *exchange) {
    engine->exchange = exchange;
    for (int n = 0; n < engine->graph->node_count; n++)
        engine->operands[n].exchange = exchange;
}

int qd_engine_create_part(const qd_job *job, int first_slot, int end_slot, int tensor_members,
                          int tensor_member, const qd_backend *backend, int threads,
                          qd_engine **engine) {
    int rc = check_slots(job, first_slot, end_slot);
    if (rc)
        return rc;
    qd_engine *e = calloc(1, sizeof *e);
    if (!e)
        return qd_error_set(QD_ENOMEM, "no memory for an engine");
    e->job = *job;
    e->run.seed = job->seed;
    e->first_slot = first_slot;
    e->end_slot = end_slot;
    e->threads = threads;
    e->backend = backend;
    rc = build(e, tensor_members, tensor_member, threads);
    if (!rc) {
        place(e);
        rc = qd_engine_reset(e);
    }
    if (rc) {
        qd_engine_destroy(e);
        return rc;
    }
    /* Statistics are measured by micro-batch. */
    e->run.share = (float)((double)e->graph->samples / (double)job->train.batch);
    qd_engine_begin_step(e, 1);
    *engine = e;
    return 0;
}

void qd_engine_destroy(qd_engine *engine) {
    if (!engine)
        return;
    if (engine->arena)
        engine->backend->release(engine->context, engine->arena, engine->plan->bytes);
    if (engine->context)
        engine->backend->destroy(engine->context);
    free(engine->operands);
    free(engine->vectors);
    free(engine->greatest);
    qd_engine_norm_destroy(engine);
    qd_memory_plan_destroy(engine->plan);
    qd_timeline_destroy(engine->timeline);
    qd_graph_destroy(engine->graph);
    free(engine);
}

const qd_graph *qd_engine_graph(const qd_engine *engine) {
    return engine->graph;
}

size_t qd_engine_arena_bytes(const qd_engine *engine) {
    return engine->plan->bytes;
}

int64_t qd_engine_vector_elements(const qd_engine *engine) {
    return engine->plan->gradient_elements;
}
