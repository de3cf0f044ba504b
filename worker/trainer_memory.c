#include "worker/trainer_memory.h"

#include <stdlib.h>

#include "models/memory_plan.h"
#include "models/op.h"
#include "models/shards.h"
#include "runtime/error.h"
#include "worker/checkpoint_snapshot.h"
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
        int64_t count =
            qd_shape_elements(&graph->values[spreads ? node->inputs[0] : node->output].shape);
        if (qd_op_is_shared(graph, node) && count > most)
            most = count;
    }
    return most;
}

static int plan_tensor_group(const qd_graph *graph, qd_trainer_memory *memory) {
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
    return 0;
}

/* How a gang cuts the parameters. */
typedef struct cut {
    qd_timeline *timeline;
    qd_buckets *buckets;
    qd_shards *shards;
    qd_segments *segments;
} cut;

static int make_cut(const qd_job *job, const qd_graph *graph, int members, cut *c) {
    int rc = qd_timeline_create(graph, &c->timeline);
    if (!rc)
        rc = qd_buckets_create(&job->optimizer, graph, c->timeline, qd_job_bucket_elements(job),
                               &c->buckets);
    if (!rc)
        rc = qd_shards_create(c->buckets, job->layout_zero > 0 ? members : 1, &c->shards);
    if (!rc && job->layout_zero >= 2 && members > 1)
        rc = qd_segments_create(graph, c->timeline, c->buckets, &c->segments);
    return rc;
}

static void drop_cut(cut *c) {
    qd_segments_destroy(c->segments);
    qd_shards_destroy(c->shards);
    qd_buckets_destroy(c->buckets);
    qd_timeline_destroy(c->timeline);
}

static int plan_arena(const qd_job *job, const qd_graph *graph, const cut *c, const int *starts,
                      int members, qd_trainer_memory *memory) {
    int most = 0;
    qd_memory_plan *plan;
    qd_memory_member held = {qd_shards_most(c->shards), c->segments, 1};
    for (int i = 0; i < members; i++)
        most = starts[i + 1] - starts[i] > most ? starts[i + 1] - starts[i] : most;
    int rc = qd_memory_plan_create_sharded(job, graph, c->timeline, most, &held, &plan);
    if (rc)
        return rc;
    qd_slot_ranges ranges = {.leaves = (int)job->slots_data, .starts = starts};
    memory->arena = plan->bytes;
    for (int i = 0; i < members && !rc; i++) {
        size_t bytes;
        rc = qd_allreduce_shared_bytes(&ranges, members, i, c->buckets->longest, &bytes);
        memory->communication = greater(memory->communication, bytes);
    }
    qd_memory_plan_destroy(plan);
    return rc || graph->tensor_members == 1 ? rc : plan_tensor_group(graph, memory);
}

/* The list of state tensors, and the copy of a member's share of them. */
static int plan_checkpoint(const qd_job *job, const qd_graph *graph, const cut *c, int index,
                           int members, qd_trainer_memory *memory) {
    qd_member member = {job, graph, c->buckets, c->shards, index, members};
    int count = qd_member_state(&member, NULL, NULL);
    size_t bytes;
    qd_state_tensor *state = calloc((size_t)count + 1, sizeof *state);
    if (!state)
        return qd_error_set(QD_ENOMEM, "no memory for %d state tensors", count);
    qd_member_state(&member, state, NULL);
    int rc = qd_checkpoint_snapshot_bytes(state, count, index, members, &bytes);
    memory->checkpoint = greater(memory->checkpoint, bytes + 2 * (size_t)count * sizeof *state);
    free(state);
    return rc;
}

int qd_trainer_memory_plan(const qd_job *job, const qd_graph *graph, const qd_dataset *dataset,
                           int members, qd_trainer_memory *memory) {
    cut c = {0};
    qd_sample_spec spec = qd_family_sample_spec(job);
    int *starts = slot_starts(job, members);
    if (!starts)
        return qd_error_set(QD_ENOMEM, "no memory for a gang of %d", members);
    *memory = (qd_trainer_memory){
        .loader = qd_loader_bytes(job, &spec),
        .evaluation = qd_evaluation_bytes(job, &spec, dataset),
    };
    if (dataset)
        memory->data = qd_dataset_memory(dataset);
    int rc = make_cut(job, graph, members, &c);
    if (!rc)
        rc = plan_arena(job, graph, &c, starts, members, memory);
    for (int i = 0; i < members && !rc; i++)
        rc = plan_checkpoint(job, graph, &c, i, members, memory);
    drop_cut(&c);
    free(starts);
    return rc;
}

size_t qd_trainer_memory_heap(const qd_trainer_memory *memory) {
    size_t held = memory->data.heap + memory->loader + memory->evaluation + memory->checkpoint;
    return greater(held, memory->data.opening);
}
