#include "worker/trainer_memory.h"

#include <stdlib.h>

#include "models/memory_plan.h"
#include "models/op.h"
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

static int plan_arena(const qd_job *job, const qd_graph *graph, const int *starts, int members,
                      qd_trainer_memory *memory) {
    int most = 0;
    qd_timeline *timeline;
    qd_memory_plan *plan;
    for (int i = 0; i < members; i++)
        most = starts[i + 1] - starts[i] > most ? starts[i + 1] - starts[i] : most;
    int rc = qd_timeline_create(graph, &timeline);
    if (rc)
        return rc;
    rc = qd_memory_plan_create(job, graph, timeline, most, &plan);
    qd_timeline_destroy(timeline);
    if (rc)
        return rc;
    qd_slot_ranges ranges = {.leaves = (int)job->slots_data, .starts = starts};
    memory->arena = plan->bytes;
    for (int i = 0; i < members && !rc; i++) {
        size_t bytes;
        rc = qd_allreduce_shared_bytes(&ranges, members, i, plan->gradient_elements, &bytes);
        memory->communication = greater(memory->communication, bytes);
    }
    qd_memory_plan_destroy(plan);
    return rc || graph->tensor_members == 1 ? rc : plan_tensor_group(graph, memory);
}

/* Member 0 of a tensor group and place `member` along the data axis. */
static void share_writing(const qd_graph *graph, int member, int members, qd_state_tensor *tensor) {
    qd_slice whole = qd_slice_whole(&tensor->slice.whole);
    bool cut = qd_slice_elements(&tensor->slice) < qd_slice_elements(&whole);
    tensor->replica = cut ? member : member * graph->tensor_members;
    tensor->replicas = cut ? members : members * graph->tensor_members;
}

/* The list of state tensors, and the copy of a member's share of them. */
static int plan_checkpoint(const qd_job *job, const qd_graph *graph, int members,
                           qd_trainer_memory *memory) {
    int count = qd_engine_count_state(job, graph), rc = 0;
    qd_state_tensor *state = calloc((size_t)count, sizeof *state);
    if (!state)
        return qd_error_set(QD_ENOMEM, "no memory for %d state tensors", count);
    for (int i = 0; i < count; i++)
        qd_engine_describe_state(job, graph, i, &state[i]);
    for (int i = 0; i < members && !rc; i++) {
        size_t bytes;
        for (int s = 0; s < count; s++)
            share_writing(graph, i, members, &state[s]);
        rc = qd_checkpoint_snapshot_bytes(state, count, i, members, &bytes);
        memory->checkpoint = greater(memory->checkpoint, bytes + (size_t)count * sizeof *state);
    }
    free(state);
    return rc;
}

int qd_trainer_memory_plan(const qd_job *job, const qd_graph *graph, const qd_dataset *dataset,
                           int members, qd_trainer_memory *memory) {
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
    int rc = plan_arena(job, graph, starts, members, memory);
    if (!rc)
        rc = plan_checkpoint(job, graph, members, memory);
    free(starts);
    return rc;
}

size_t qd_trainer_memory_heap(const qd_trainer_memory *memory) {
    size_t held = memory->data.heap + memory->loader + memory->evaluation + memory->checkpoint;
    return greater(held, memory->data.opening);
}
