#include "worker/trainer_memory.h"

#include <stdlib.h>

#include "collectives/stream.h"
#include "models/job_pipeline.h"
#include "models/memory_plan.h"
#include "models/op.h"
#include "models/optimizer.h"
#include "models/part_graph.h"
#include "models/shards.h"
#include "runtime/error.h"
#include "worker/checkpoint_snapshot.h"
#include "worker/pipeline_driver.h"
#include "worker/trainer_internal.h"

static size_t greater(size_t a, size_t b) {
    return a > b ? a : b;
}

/* The gang's data slots: starts [members + 1]. */
static int *slot_starts(const qd_job *job, int members) {
    int *starts = calloc((size_t)members + 1, sizeof *starts);
    for (int i = 0; starts && i < members; i++)
        qd_job_slot_range(job, members, i, &starts[i], &starts[i + 1]);
    return starts;
}

/* Floats of the largest partial result that members of a tensor group add up; 0: none is. */
static int64_t most_exchanged(const qd_graph *graph) {
    int64_t most = 0;
    for (int n = 0; n < graph->node_count; n++) {
        const qd_node *node = &graph->nodes[n];
        bool spreads = node->op == &qd_op_linear && node->attributes.linear.cut == QD_CUT_OUT;
        int64_t count = qd_shape_elements(
            qd_value_whole(&graph->values[spreads ? node->inputs[0] : node->output]));
        if (qd_op_is_shared(graph, node) && count > most)
            most = count;
    }
    return most;
}

/* Whether matrices travel between the members of a tensor group, part by part. */
static bool trades_matrices(const qd_job *job, const qd_graph *graph) {
    for (int p = 0; p < graph->param_count; p++)
        if (graph->params[p].cut_dim >= 0 && qd_optimizer_orthogonalizes(&job->optimizer, graph, p))
            return true;
    return false;
}

static int plan_tensor_group(const qd_job *job, const qd_graph *graph, qd_trainer_memory *memory) {
    int members = graph->tensor_members, starts[QD_MAX_TENSOR_SLOTS + 1];
    size_t most = 0, bytes;
    for (int t = 0; t <= members; t++)
        starts[t] = t * graph->tensor_slots / members;
    qd_slot_ranges ranges = {.leaves = graph->tensor_slots, .starts = starts};
    for (int t = 0; t < members; t++) {
        int rc = qd_allreduce_shared_bytes(&ranges, members, t, most_exchanged(graph), &bytes);
        if (rc)
            return rc;
        most = greater(most, bytes);
    }
    memory->communication += most;
    if (trades_matrices(job, graph))
        memory->communication += qd_streams_shm_bytes(members);
    return 0;
}

/* How a gang cuts the parameters. */
typedef struct cut {
    qd_timeline *timeline;
    qd_buckets *buckets;
    qd_shards *shards;
    qd_segments *segments;
    qd_windows *windows;
} cut;

static void drop_cut(cut *c) {
    qd_segments_destroy(c->segments);
    qd_windows_destroy(c->windows);
    qd_shards_destroy(c->shards);
    qd_buckets_destroy(c->buckets);
    qd_timeline_destroy(c->timeline);
}

/* A part of the model, or all of it, as the members of a gang along the data axis hold it. */
typedef struct part {
    const qd_job *job;
    const qd_graph *graph;
    const int *starts; /* [members + 1] */
    int members;
    int in_flight; /* micro-batches */
    bool halves;   /* of backward are apart */
} part;

static int make_cut(const part *p, cut *c) {
    int members = p->job->layout_zero > 0 ? p->members : 1;
    int rc = (p->halves ? qd_timeline_create_halved : qd_timeline_create)(p->graph, &c->timeline);
    if (!rc)
        rc = qd_buckets_create(&p->job->optimizer, p->graph, c->timeline,
                               qd_job_bucket_elements(p->job), &c->buckets);
    if (!rc)
        rc = qd_shards_create(c->buckets, members, &c->shards);
    if (!rc && p->job->layout_zero >= 2 && members > 1 && p->in_flight == 1)
        rc = qd_segments_create(p->graph, c->timeline, c->buckets, &c->segments);
    if (!rc && p->job->layout_zero >= 3 && members > 1)
        rc = qd_windows_create(p->graph, c->timeline, c->buckets, &c->windows);
    return rc;
}

static int plan_arena(const part *p, const cut *c, qd_trainer_memory *memory) {
    qd_memory_plan *plan;
    size_t most = 0;
    qd_memory_member held = {qd_shards_most(c->shards), c->segments, c->windows, p->in_flight};
    int rc = qd_memory_plan_create_sharded(p->job, p->graph, c->timeline,
                                           qd_job_most_slots(p->job, p->members), &held, &plan);
    if (rc)
        return rc;
    qd_slot_ranges ranges = {.leaves = (int)p->job->slots_data, .starts = p->starts};
    memory->arena += plan->bytes;
    for (int i = 0; i < p->members && !rc; i++) {
        size_t bytes;
        rc = qd_allreduce_shared_bytes(&ranges, p->members, i, c->buckets->longest, &bytes);
        most = greater(most, bytes);
    }
    memory->communication = greater(memory->communication, most);
    qd_memory_plan_destroy(plan);
    return rc;
}

/* The list of state tensors, and the copy of a member's share of them. */
static int plan_checkpoint(const part *p, const cut *c, int index, size_t *bytes) {
    qd_member member = {p->job, p->graph, c->buckets, c->shards, index, p->members};
    int count = qd_member_state(&member, NULL, NULL);
    qd_state_tensor *state = calloc((size_t)count + 1, sizeof *state);
    if (!state)
        return qd_error_set(QD_ENOMEM, "no memory for %d state tensors", count);
    qd_member_state(&member, state, NULL);
    int rc = qd_checkpoint_snapshot_bytes(state, count, index, p->members, bytes);
    *bytes += 2 * (size_t)count * sizeof *state;
    free(state);
    return rc;
}

static int plan_part(const part *p, qd_trainer_memory *memory) {
    cut c = {0};
    size_t most = 0, bytes;
    int rc = make_cut(p, &c);
    if (!rc)
        rc = plan_arena(p, &c, memory);
    for (int i = 0; i < p->members && !rc; i++) {
        rc = plan_checkpoint(p, &c, i, &bytes);
        most = greater(most, bytes);
    }
    memory->checkpoint += most;
    drop_cut(&c);
    return rc;
}

/* ---- stages ---- */

static int plan_chunk(const part *whole, const qd_pipeline_stages *parts,
                      const qd_pipeline_table *table, int stage, int chunk,
                      qd_trainer_memory *memory) {
    int first, end, rc = 0;
    part p = *whole;
    p.in_flight = qd_pipeline_in_flight(table, stage, chunk);
    p.halves = qd_pipeline_halves(table);
    qd_part_graph_share(parts->parts, qd_pipeline_parts(table),
                        qd_pipeline_part(table, stage, chunk), &first, &end);
    for (int at = first; at < end && !rc; at++) {
        qd_graph *graph = NULL;
        rc = qd_part_graph_create(whole->graph, parts, at, &graph);
        p.graph = graph;
        if (!rc)
            rc = plan_part(&p, memory);
        qd_graph_destroy(graph);
    }
    return rc;
}

/* What is the fullest stage's of arena, checkpoint and communication. */
static int plan_stages(const part *whole, const qd_pipeline_stages *parts,
                       const qd_pipeline_table *table, qd_trainer_memory *memory) {
    qd_trainer_memory fullest = {0};
    int rc = 0;
    for (int stage = 0; stage < table->stages && !rc; stage++) {
        qd_trainer_memory own = {0};
        for (int chunk = 0; chunk < table->chunks && !rc; chunk++)
            rc = plan_chunk(whole, parts, table, stage, chunk, &own);
        if (own.arena + own.checkpoint > fullest.arena + fullest.checkpoint)
            fullest = own;
    }
    memory->arena = fullest.arena;
    memory->checkpoint = fullest.checkpoint;
    memory->communication = fullest.communication;
    return rc;
}

static int plan_pipeline(const part *whole, qd_trainer_memory *memory) {
    qd_pipeline_stages *parts = NULL;
    qd_pipeline_table *table = NULL;
    int rc = qd_part_graph_cut(whole->job, &parts);
    if (!rc)
        rc = qd_job_pipeline_table(whole->job, qd_job_most_slots(whole->job, whole->members),
                                   &table);
    if (!rc)
        rc = plan_stages(whole, parts, table, memory);
    qd_pipeline_destroy(table);
    qd_pipeline_stages_destroy(parts);
    return rc;
}

int qd_trainer_memory_plan(const qd_job *job, const qd_graph *graph, const qd_dataset *dataset,
                           int members, qd_trainer_memory *memory) {
    qd_sample_spec spec = qd_family_sample_spec(job);
    int *starts = slot_starts(job, members);
    if (!starts)
        return qd_error_set(QD_ENOMEM, "no memory for a gang of %d", members);
    part whole = {.job = job, .graph = graph, .starts = starts, .members = members, .in_flight = 1};
    *memory = (qd_trainer_memory){
        .loader = qd_loader_bytes(job, &spec),
        .evaluation = qd_evaluation_bytes(job, &spec, dataset),
    };
    if (dataset)
        memory->data = qd_dataset_memory(dataset);
    int rc = job->slots_pipeline > 1 ? plan_pipeline(&whole, memory) : plan_part(&whole, memory);
    if (!rc && graph->tensor_members > 1)
        rc = plan_tensor_group(job, graph, memory);
    free(starts);
    return rc;
}

size_t qd_trainer_memory_heap(const qd_trainer_memory *memory) {
    size_t held = memory->data.heap + memory->loader + memory->evaluation + memory->checkpoint;
    return greater(held, memory->data.opening);
}
