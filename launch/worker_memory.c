#include "launch/worker_memory.h"

#include <string.h>

#include "launch/program_memory.h"
#include "models/family.h"
#include "runtime/heap.h"
#include "runtime/resident.h"
#include "worker/backend.h"
#include "worker/trainer_memory.h"

const char *const qd_memory_part_names[QD_MEMORY_PARTS] = {
    [QD_MEMORY_ARENA] = "arena",           [QD_MEMORY_DATA] = "data_set",
    [QD_MEMORY_LOADER] = "loader",         [QD_MEMORY_EVALUATION] = "evaluation",
    [QD_MEMORY_CHECKPOINT] = "checkpoint", [QD_MEMORY_COMMUNICATION] = "communication",
    [QD_MEMORY_KERNELS] = "kernels",       [QD_MEMORY_HEAP_RESERVE] = "heap_reserve",
    [QD_MEMORY_PROGRAM] = "program",
};

static size_t rest(size_t whole, size_t part) {
    return whole > part ? whole - part : 0;
}

/* Of the members of a tensor group the one that holds most. */
static int build_fullest(const qd_job *job, qd_graph **fullest) {
    int tp = (int)job->layout_tp, rc = 0;
    *fullest = NULL;
    for (int t = 0; t < tp && !rc; t++) {
        qd_graph *graph = NULL;
        rc = qd_family_build_part(job, tp, t, &graph);
        bool fuller = !rc && (!*fullest || graph->param_elements > (*fullest)->param_elements);
        qd_graph_destroy(fuller ? *fullest : graph);
        if (fuller)
            *fullest = graph;
    }
    return rc;
}

/* The graph, and what its operators make when they are prepared. The heap was given its reserve
 * before, so what becomes resident here is not on it. */
static int measure_kernels(const qd_job *job, qd_memory_base *base, qd_graph **graph) {
    const qd_backend *backend = qd_backend_of_this_machine();
    qd_backend_context *context;
    int rc = backend->create(1, &context);
    if (rc)
        return rc;
    size_t heap = qd_heap_bytes(), resident = (size_t)qd_resident_bytes();
    rc = build_fullest(job, graph);
    if (!rc)
        rc = backend->prepare(context, *graph);
    base->kernel_heap = rest(qd_heap_bytes(), heap);
    base->kernels = rest((size_t)qd_resident_bytes(), resident);
    backend->destroy(context);
    return rc;
}

int qd_memory_base_measure(const qd_job *job, qd_memory_base *base, qd_graph **graph) {
    *base = (qd_memory_base){0};
    qd_heap_keep();
    int rc = measure_kernels(job, base, graph);
    if (rc || qd_program_memory_measure(&base->program) == 0)
        return rc;
    memcpy(base->program_missing, qd_error_message(), strlen(qd_error_message()) + 1);
    base->program = rest((size_t)qd_resident_bytes(), QD_HEAP_RESERVE + base->kernels);
    return 0;
}

int qd_worker_memory_plan(const qd_job *job, const qd_graph *graph, const qd_dataset *dataset,
                          int members, const qd_memory_base *base, qd_worker_memory *memory) {
    qd_trainer_memory t;
    int rc = qd_trainer_memory_plan(job, graph, dataset, members, &t);
    if (rc)
        return rc;
    size_t heap = qd_trainer_memory_heap(&t) + base->kernel_heap;
    size_t held = t.data.heap + t.loader + t.evaluation + t.checkpoint + base->kernel_heap;
    size_t most = heap > QD_HEAP_RESERVE ? heap : QD_HEAP_RESERVE;
    *memory = (qd_worker_memory){
        .part =
            {
                [QD_MEMORY_ARENA] = t.arena,
                [QD_MEMORY_DATA] = t.data.heap + t.data.mapped,
                [QD_MEMORY_LOADER] = t.loader,
                [QD_MEMORY_EVALUATION] = t.evaluation,
                [QD_MEMORY_CHECKPOINT] = t.checkpoint,
                [QD_MEMORY_COMMUNICATION] = t.communication,
                [QD_MEMORY_KERNELS] = base->kernels + base->kernel_heap,
                [QD_MEMORY_HEAP_RESERVE] = most - held,
                [QD_MEMORY_PROGRAM] = base->program,
            },
    };
    for (int i = 0; i < QD_MEMORY_PARTS; i++)
        memory->peak += memory->part[i];
    return 0;
}
