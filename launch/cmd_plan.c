#include <argp.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "launch/command.h"
#include "models/family.h"
#include "models/job.h"
#include "models/memory_plan.h"
#include "models/op.h"
#include "models/timeline.h"
#include "runtime/error.h"
#include "worker/backend.h"

enum { KEY_JSON = 256 };

typedef struct plan_options {
    const char *job_file;
    bool json;
} plan_options;

/* A gang of dp members: what its fullest member holds. */
typedef struct gang_plan {
    int dp, slots;
    size_t arena_bytes;
} gang_plan;

typedef struct job_plan {
    qd_job job;
    qd_graph *graph;       /* of one micro-batch */
    qd_timeline *timeline; /* of it, too */
    gang_plan *gangs;
    int gang_count;
} job_plan;

static error_t parse_option(int key, char *argument, struct argp_state *state) {
    plan_options *options = state->input;
    switch (key) {
    case KEY_JSON:
        options->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (options->job_file)
            argp_error(state, "one job file at a time");
        options->job_file = argument;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "name a job file, such as conf/jobs/fashion-mlp.yaml");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int plan_gang(const job_plan *plan, int dp, gang_plan *gang) {
    *gang = (gang_plan){.dp = dp};
    for (int i = 0; i < dp; i++) {
        int first, end;
        qd_job_slot_range(&plan->job, dp, i, &first, &end);
        gang->slots = end - first > gang->slots ? end - first : gang->slots;
    }
    qd_memory_plan *memory;
    int rc = qd_memory_plan_create(&plan->job, plan->graph, plan->timeline, gang->slots, &memory);
    if (rc)
        return rc;
    gang->arena_bytes = memory->bytes;
    qd_memory_plan_destroy(memory);
    return 0;
}

/* What the kernels of this machine's device use while they run belongs to the memory, too. */
static int ask_backend(qd_graph *graph) {
    const qd_backend *backend = qd_backend_of_this_machine();
    qd_backend_context *context;
    int rc = backend->create(1, &context);
    if (rc)
        return rc;
    rc = backend->prepare(context, graph);
    backend->destroy(context);
    return rc;
}

static int make_plan(const char *file, job_plan *plan) {
    int rc = qd_job_load(file, &plan->job);
    if (!rc)
        rc = qd_family_build(&plan->job, &plan->graph);
    if (!rc)
        rc = ask_backend(plan->graph);
    if (!rc)
        rc = qd_timeline_create(plan->graph, &plan->timeline);
    if (rc)
        return rc;
    plan->gang_count = (int)(plan->job.ranks_max - plan->job.ranks_min) + 1;
    plan->gangs = calloc((size_t)plan->gang_count, sizeof *plan->gangs);
    if (!plan->gangs)
        return qd_error_set(QD_ENOMEM, "no memory for %d gangs", plan->gang_count);
    for (int i = 0; !rc && i < plan->gang_count; i++)
        rc = plan_gang(plan, (int)plan->job.ranks_min + i, &plan->gangs[i]);
    return rc;
}

static double per_step(const job_plan *plan, double flops_of_the_graph) {
    return flops_of_the_graph * (double)(plan->job.train.batch / plan->graph->samples);
}

static void print_flops(const job_plan *plan) {
    double forward = per_step(plan, qd_graph_forward_flops(plan->graph));
    double backward = per_step(plan, qd_graph_backward_flops(plan->graph));
    double again = per_step(plan, qd_timeline_recompute_flops(plan->timeline, plan->graph));
    printf("FLOPs       %.6g a step: %.6g forward, %.6g backward", forward + backward + again,
           forward, backward);
    if (plan->graph->recompute)
        printf(", %.6g forward again for %d of %d blocks", again, plan->graph->recompute,
               plan->graph->block_count);
    putchar('\n');
}

static void print_layers(const qd_graph *graph) {
    char shape[64];
    for (int i = 0; i < graph->node_count; i++) {
        const qd_node *node = &graph->nodes[i];
        printf("  %-16s %-14s -> %s\n", node->name, node->op->name,
               qd_shape_text(&graph->values[node->output].shape, shape, sizeof shape));
    }
}

static void print_text(const job_plan *plan) {
    const qd_job *job = &plan->job;
    printf("job         %s\n", job->name);
    printf("parameters  %lld in %d tensors\n", (long long)qd_graph_param_count(plan->graph),
           plan->graph->param_count);
    printf("batch       %lld samples in %lld data slots of %lld\n", (long long)job->train.batch,
           (long long)job->slots_data, (long long)(job->train.batch / job->slots_data));
    if (job->train.micro_batches > 1)
        printf("            each slot in %lld micro-batches of %lld\n",
               (long long)job->train.micro_batches, (long long)plan->graph->samples);
    print_flops(plan);
    printf("gang        %lld .. %lld ranks, layout %s\n", (long long)job->ranks_min,
           (long long)job->ranks_max, job->layout_dp ? "as given" : "auto: dp = ranks");
    printf("layers of one %s:\n", job->train.micro_batches > 1 ? "micro-batch" : "slot");
    print_layers(plan->graph);
    printf("%5s  %14s  %18s\n", "dp", "slots a rank", "arena a rank, MiB");
    for (int i = 0; i < plan->gang_count; i++)
        printf("%5d  %14d  %18.2f\n", plan->gangs[i].dp, plan->gangs[i].slots,
               (double)plan->gangs[i].arena_bytes / (1 << 20));
}

static int print_json(const job_plan *plan) {
    const qd_job *job = &plan->job;
    json_t *gangs = json_array();
    for (int i = 0; i < plan->gang_count; i++)
        json_array_append_new(gangs, json_pack("{s:i, s:i, s:I}", "dp", plan->gangs[i].dp,
                                               "slots_per_rank", plan->gangs[i].slots,
                                               "arena_bytes_per_rank",
                                               (json_int_t)plan->gangs[i].arena_bytes));
    json_t *root = json_pack(
        "{s:s, s:I, s:I, s:I, s:i, s:i, s:f, s:f, s:f, s:I, s:I, s:o}", "job", job->name,
        "parameters", (json_int_t)qd_graph_param_count(plan->graph), "batch",
        (json_int_t)job->train.batch, "slots_data", (json_int_t)job->slots_data, "blocks",
        plan->graph->block_count, "recomputed_blocks", plan->graph->recompute,
        "forward_flops_per_step", per_step(plan, qd_graph_forward_flops(plan->graph)),
        "backward_flops_per_step", per_step(plan, qd_graph_backward_flops(plan->graph)),
        "recompute_flops_per_step",
        per_step(plan, qd_timeline_recompute_flops(plan->timeline, plan->graph)), "ranks_min",
        (json_int_t)job->ranks_min, "ranks_max", (json_int_t)job->ranks_max, "gangs", gangs);
    if (!root)
        return qd_error_set(QD_ENOMEM, "no memory for the plan as JSON");
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
    return 0;
}

int qd_command_plan(int argc, char **argv) {
    static const struct argp_option option_table[] = {
        {"json", KEY_JSON, NULL, 0, "print JSON", 0},
        {0},
    };
    static const struct argp parser = {
        .options = option_table,
        .parser = parse_option,
        .args_doc = "JOB",
        .doc = "Shows what a job is before it runs, without any rank: parameters, FLOPs of a step, "
               "the gangs it may run on, and the memory of the fullest rank of each.",
    };
    plan_options options = {0};
    argp_parse(&parser, argc, argv, 0, NULL, &options);
    job_plan plan = {0};
    int rc = make_plan(options.job_file, &plan);
    if (!rc && options.json)
        rc = print_json(&plan);
    else if (!rc)
        print_text(&plan);
    qd_timeline_destroy(plan.timeline);
    qd_graph_destroy(plan.graph);
    free(plan.gangs);
    return rc ? qd_command_fail(rc) : EX_OK;
}
