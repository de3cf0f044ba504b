#include "worker/engine.h"

#include <inttypes.h>
#include <stdlib.h>

#include "models/family.h"
#include "models/loss_mean.h"
#include "models/part_graph.h"
#include "runtime/error.h"
#include "worker/engine_internal.h"

_Static_assert(QD_TOTALS <= (int)QD_MEMORY_TOTALS, "the plan keeps too little room for totals");

/* Of the micro-batches that use one of the pools. Everything but the gradients of parameters stays
 * where it is from slot to slot. */
static void place_operands(qd_engine *e, int pool) {
    const qd_memory_plan *plan = e->plan;
    uint16_t *narrow = qd_engine_at(e, plan->narrow_params);
    e->pool = pool;
    for (int n = 0; n < e->graph->node_count; n++) {
        const qd_node *node = &e->graph->nodes[n];
        qd_operands *o = qd_engine_operands(e, n);
        for (int i = 0; i < node->input_count; i++) {
            o->inputs[i] = qd_engine_at(e, plan->value[node->inputs[i]]);
            o->input_grads[i] = qd_engine_at(e, plan->value_grad[node->inputs[i]]);
            o->input_adds[i] = qd_graph_adds_to_input(e->graph, n, i);
        }
        for (int i = 0; i < node->param_count; i++) {
            int64_t offset = e->graph->params[node->params[i]].offset;
            if (e->windows)
                continue; /* engine_params.c */
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

/* Where the last slot's gradients, and this member's sums, lie while gradients are not kept. */
static void place_flight(qd_engine *e) {
    e->shard_gradients = qd_engine_at(e, e->plan->shard_gradients);
    for (int i = 0; i < e->segments->count; i++) {
        const qd_segment *s = &e->segments->segment[i];
        float *at = qd_engine_at(e, e->plan->flight[i]);
        for (int b = s->first_bucket; b < s->end_bucket; b++)
            e->flight[b] = at + (e->buckets->bucket[b].begin - s->begin);
    }
}

static void place_all(qd_engine *e) {
    const qd_memory_plan *plan = e->plan;
    e->params = qd_engine_at(e, plan->params);
    float *state = qd_engine_at(e, plan->optimizer_state);
    for (int i = 0; i < plan->optimizer_vectors; i++)
        e->optimizer_state[i] = state + i * plan->shard_elements;
    float *gradients = qd_engine_at(e, plan->gradients);
    for (int i = 0; i < plan->gradient_slots; i++)
        e->vectors[i] = gradients + i * plan->gradient_elements;
    if (!plan->keeps_gradients)
        place_flight(e);
    for (int pool = e->in_flight - 1; pool >= 0; pool--)
        place_operands(e, pool);
}

static int check_slots(const qd_job *job, int first_slot, int end_slot) {
    if (first_slot < 0 || first_slot >= end_slot || end_slot > job->slots_data)
        return qd_error_set(QD_ECONFIG,
                            "slots %d .. %d of a job with %" PRId64 "; an engine holds at least "
                            "one of them",
                            first_slot, end_slot - 1, job->slots_data);
    return 0;
}

/* Which bucket has what of this member's and of the parameters. */
static void find_homes(qd_engine *e) {
    int64_t home = 0;
    for (int b = e->buckets->count - 1; b >= 0; b--)
        for (int p = e->buckets->bucket[b].first_param; p < e->buckets->bucket[b].end_param; p++)
            e->bucket_of[p] = b;
    for (int b = 0; b < e->buckets->count; b++) {
        int first, end;
        qd_shards_blocks(e->shards, b, e->index, &first, &end);
        e->home[b] = home;
        home += e->buckets->blocks->offset[end] - e->buckets->blocks->offset[first];
    }
}

static int build_lists(qd_engine *e) {
    size_t buckets = (size_t)e->buckets->count;
    e->vectors = calloc((size_t)e->plan->gradient_slots + 1, sizeof(float *));
    e->flight = calloc(buckets + 1, sizeof(float *));
    e->operands = calloc((size_t)(e->in_flight * e->graph->node_count) + 1, sizeof(qd_operands));
    e->results = calloc((size_t)e->in_flight, sizeof *e->results);
    e->fresh = calloc(buckets + 1, sizeof(bool));
    e->wide = calloc(buckets + 1, sizeof(size_t));
    e->narrow = calloc(buckets + 1, sizeof(size_t));
    e->home = calloc(buckets + 1, sizeof(int64_t));
    e->bucket_of = calloc((size_t)e->graph->param_count + 1, sizeof(int));
    if (!e->vectors || !e->flight || !e->operands || !e->results || !e->fresh || !e->home ||
        !e->bucket_of || !e->wide || !e->narrow)
        return qd_error_set(QD_ENOMEM, "no memory for %d operators", e->graph->node_count);
    find_homes(e);
    int rc = qd_engine_cells_create(e);
    if (!rc)
        rc = qd_engine_norm_create(e);
    if (!rc)
        rc = qd_engine_lengths_create(e);
    return rc ? rc : qd_engine_score_create(e);
}

/* What the engine of a part knows of the whole model. */
static void note_whole(qd_engine *e, const qd_graph *whole) {
    const qd_value *input = &whole->values[whole->input];
    e->input_bytes = (size_t)qd_shape_elements(&input->shape) * qd_dtype_bytes(input->dtype);
    e->targets_per_sample = qd_graph_targets_per_sample(whole);
    e->losses_per_sample = qd_graph_losses_per_sample(whole);
    e->is_weighted = qd_loss_is_weighted(whole);
}

static int build_graph(qd_engine *e, const qd_engine_place *place) {
    qd_graph *whole;
    qd_pipeline_stages *cut;
    int rc = qd_family_build_part(&e->job, place->tensor_members, place->tensor_member, &whole);
    if (rc)
        return rc;
    note_whole(e, whole);
    if (place->parts <= 1) {
        e->graph = whole;
        return 0;
    }
    rc = qd_part_graph_cut(&e->job, &cut);
    if (!rc) {
        rc = qd_part_graph_create(whole, cut, place->part, &e->graph);
        qd_pipeline_stages_destroy(cut);
    }
    qd_graph_destroy(whole);
    return rc;
}

static int build(qd_engine *e, int threads, const qd_engine_place *place) {
    int shards = e->job.layout_zero > 0 ? place->members : 1;
    int rc = build_graph(e, place);
    if (!rc)
        rc = e->backend->create(threads, &e->context);
    if (!rc)
        rc = e->backend->prepare(e->context, e->graph);
    if (!rc)
        rc = (place->halves ? qd_timeline_create_halved : qd_timeline_create)(e->graph,
                                                                              &e->timeline);
    if (!rc)
        rc = qd_buckets_create(&e->job.optimizer, e->graph, e->timeline,
                               qd_job_bucket_elements(&e->job), &e->buckets);
    if (!rc)
        rc = qd_shards_create(e->buckets, shards, &e->shards);
    if (!rc && shards > 1 && e->in_flight == 1 && e->job.layout_zero >= 2)
        rc = qd_segments_create(e->graph, e->timeline, e->buckets, &e->segments);
    if (!rc && shards > 1 && e->job.layout_zero >= 3)
        rc = qd_windows_create(e->graph, e->timeline, e->buckets, &e->windows);
    if (rc)
        return rc;
    qd_memory_member held = {e->shards->elements[e->index], e->segments, e->windows, e->in_flight};
    rc = qd_memory_plan_create_sharded(&e->job, e->graph, e->timeline, e->end_slot - e->first_slot,
                                       &held, &e->plan);
    if (!rc)
        rc = build_lists(e);
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
    qd_engine_place alone = {
        .first_slot = first_slot, .end_slot = end_slot, .members = 1, .tensor_members = 1};
    return qd_engine_create_member(job, &alone, backend, threads, engine);
}

int qd_engine_create_member(const qd_job *job, const qd_engine_place *place,
                            const qd_backend *backend, int threads, qd_engine **engine) {
    int rc = check_slots(job, place->first_slot, place->end_slot);
    if (rc)
        return rc;
    qd_engine *e = calloc(1, sizeof *e);
    if (!e)
        return qd_error_set(QD_ENOMEM, "no memory for an engine");
    e->job = *job;
    e->run.seed = job->seed;
    e->first_slot = place->first_slot;
    e->end_slot = place->end_slot;
    e->index = job->layout_zero > 0 ? place->index : 0;
    e->in_flight = place->in_flight > 1 ? place->in_flight : 1;
    e->threads = threads;
    e->listener = place->listener;
    e->backend = backend;
    rc = build(e, threads, place);
    if (!rc) {
        place_all(e);
        rc = qd_engine_list_state(e, place);
    }
    if (!rc)
        rc = qd_engine_reset(e);
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
    free(engine->results);
    free(engine->vectors);
    free(engine->fresh);
    free(engine->wide);
    free(engine->narrow);
    free(engine->home);
    free(engine->bucket_of);
    free(engine->state);
    free(engine->flight);
    free(engine->greatest);
    qd_engine_cells_destroy(engine);
    qd_engine_norm_destroy(engine);
    qd_engine_lengths_destroy(engine);
    qd_segments_destroy(engine->segments);
    qd_windows_destroy(engine->windows);
    qd_shards_destroy(engine->shards);
    qd_buckets_destroy(engine->buckets);
    qd_memory_plan_destroy(engine->plan);
    qd_timeline_destroy(engine->timeline);
    qd_graph_destroy(engine->graph);
    free(engine);
}

const qd_graph *qd_engine_graph(const qd_engine *engine) {
    return engine->graph;
}

const qd_buckets *qd_engine_buckets(const qd_engine *engine) {
    return engine->buckets;
}

const qd_shards *qd_engine_shards(const qd_engine *engine) {
    return engine->shards;
}

void qd_engine_connect(qd_engine *engine, qd_exchange *exchange) {
    engine->exchange = exchange;
}

void qd_engine_connect_tensor(qd_engine *engine, const qd_tensor_exchange *exchange) {
    engine->tensor_exchange = exchange;
    for (int i = 0; i < engine->in_flight * engine->graph->node_count; i++)
        engine->operands[i].exchange = exchange;
}

size_t qd_engine_arena_bytes(const qd_engine *engine) {
    return engine->plan->bytes;
}

int64_t qd_engine_vector_elements(const qd_engine *engine) {
    return engine->plan->gradient_elements;
}
