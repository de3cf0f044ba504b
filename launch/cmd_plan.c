#include <argp.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "launch/choose_layout.h"
#include "launch/command.h"
#include "launch/pipeline_report.h"
#include "launch/plan_layouts.h"
#include "launch/worker_memory.h"
#include "models/family.h"
#include "models/job.h"
#include "models/op.h"
#include "models/pipeline.h"
#include "models/timeline.h"
#include "runtime/error.h"
#include "runtime/topology.h"

enum {
    KEY_JSON = 256,
    KEY_SCHEDULE,
    KEY_STAGES,
    KEY_MICRO_BATCHES,
    KEY_CHUNKS,
    KEY_CLUSTER,
    KEY_RANKS,
    KEY_LAYOUT
};
enum { MOST_OF_A_PIPELINE = 1 << 20 };

typedef struct plan_options {
    const char *job_file;
    bool json;
    qd_pipeline_request pipeline; /* 0 where not given */
    const char *cluster;          /* NULL: not given */
    int ranks;                    /* 0: not given */
    qd_plan_pins pins;
    bool has_pins;
} plan_options;

/* A gang of dp members: what its fullest member holds. */
typedef struct gang_plan {
    int dp, slots;
    qd_worker_memory memory;
} gang_plan;

typedef struct job_plan {
    qd_job job;
    qd_graph *graph;       /* of one micro-batch */
    qd_graph *held;        /* what the fullest member of a tensor group has of it */
    qd_timeline *timeline; /* of it, too */
    qd_memory_base base;
    char data_missing[QD_ERROR_BYTES]; /* why the data set is not counted; "": it is */
    gang_plan *gangs;
    int gang_count;
    char *layout;                 /* of layout: auto, and why; else NULL */
    qd_pipeline_report *pipeline; /* NULL: not asked for */
} job_plan;

static int parse_count(struct argp_state *state, const char *option, const char *word) {
    char *end;
    long n = strtol(word, &end, 10);
    if (*word == '\0' || *end != '\0' || n < 1 || n > MOST_OF_A_PIPELINE)
        argp_error(state, "--%s=%s: accepted: a whole number, 1 .. %d", option, word,
                   MOST_OF_A_PIPELINE);
    return (int)n;
}

static void check_pipeline(struct argp_state *state, const qd_pipeline_request *pipeline) {
    bool any = pipeline->stages || pipeline->micro_batches || pipeline->chunks;
    if (any && !pipeline->schedule)
        argp_error(state, "--stages, --micro-batches and --chunks belong to a --schedule");
    if (pipeline->schedule && !pipeline->stages)
        argp_error(state, "--schedule=%s needs --stages=P", pipeline->schedule);
}

static void check_cluster(struct argp_state *state, const plan_options *options) {
    if (!options->cluster && (options->ranks || options->has_pins))
        argp_error(state, "--ranks and --layout belong to a --cluster");
    if (options->cluster && !options->ranks)
        argp_error(state, "--cluster=%s needs --ranks=N", options->cluster);
    if (options->cluster && options->pipeline.schedule)
        argp_error(state,
                   "--schedule shows a pipeline without a cluster; write "
                   "--layout=schedule=%s",
                   options->pipeline.schedule);
}

static error_t parse_option(int key, char *argument, struct argp_state *state) {
    plan_options *options = state->input;
    switch (key) {
    case KEY_JSON:
        options->json = true;
        return 0;
    case KEY_SCHEDULE:
        options->pipeline.schedule = argument;
        return 0;
    case KEY_STAGES:
        options->pipeline.stages = parse_count(state, "stages", argument);
        return 0;
    case KEY_MICRO_BATCHES:
        options->pipeline.micro_batches = parse_count(state, "micro-batches", argument);
        return 0;
    case KEY_CHUNKS:
        options->pipeline.chunks = parse_count(state, "chunks", argument);
        return 0;
    case KEY_CLUSTER:
        options->cluster = argument;
        return 0;
    case KEY_RANKS:
        options->ranks = parse_count(state, "ranks", argument);
        return 0;
    case KEY_LAYOUT:
        options->has_pins = true;
        if (qd_layouts_parse_pins(argument, &options->pins))
            argp_error(state, "%s", qd_error_message());
        return 0;
    case ARGP_KEY_ARG:
        if (options->job_file)
            argp_error(state, "one job file at a time");
        options->job_file = argument;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "name a job file, such as conf/jobs/fashion-mlp.yaml");
        return EINVAL;
    case ARGP_KEY_END:
        check_pipeline(state, &options->pipeline);
        check_cluster(state, options);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int plan_gang(const job_plan *plan, const qd_dataset *dataset, int dp, gang_plan *gang) {
    *gang = (gang_plan){.dp = dp};
    for (int i = 0; i < dp; i++) {
        int first, end;
        qd_job_slot_range(&plan->job, dp, i, &first, &end);
        gang->slots = end - first > gang->slots ? end - first : gang->slots;
    }
    return qd_worker_memory_plan(&plan->job, plan->held, dataset, dp, &plan->base, &gang->memory);
}

static int plan_gangs(job_plan *plan, const qd_dataset *dataset) {
    int rc = 0;
    int copy = (int)qd_job_copy_ranks(&plan->job);
    plan->gang_count = (int)(plan->job.ranks_max - plan->job.ranks_min) / copy + 1;
    plan->gangs = calloc((size_t)plan->gang_count, sizeof *plan->gangs);
    if (!plan->gangs)
        return qd_error_set(QD_ENOMEM, "no memory for %d gangs", plan->gang_count);
    for (int i = 0; !rc && i < plan->gang_count; i++)
        rc = plan_gang(plan, dataset, (int)plan->job.ranks_min / copy + i, &plan->gangs[i]);
    return rc;
}

/* As `quadrille run` would on this machine alone. */
static int settle_here(const char *file, job_plan *plan) {
    qd_topology topology;
    qd_hardware hardware;
    int rc = qd_topology_read(&topology);
    if (!rc)
        rc = qd_this_machine(topology.cores, 1, &hardware);
    return rc ? rc
              : qd_layout_settle(file, &hardware, topology.cores, NULL, &plan->job, &plan->layout);
}

static int make_plan(const char *file, job_plan *plan) {
    qd_dataset *dataset = NULL;
    int rc = qd_job_load(file, &plan->job);
    if (!rc && plan->job.layout_grid == QD_GRID_AUTO)
        rc = settle_here(file, plan);
    if (!rc)
        rc = qd_memory_base_measure(&plan->job, &plan->base, &plan->held);
    if (!rc)
        rc = qd_family_build(&plan->job, &plan->graph);
    if (!rc)
        rc = qd_timeline_create(plan->graph, &plan->timeline);
    if (rc)
        return rc;
    if (qd_dataset_open(&plan->job, &dataset))
        memcpy(plan->data_missing, qd_error_message(), strlen(qd_error_message()) + 1);
    rc = plan_gangs(plan, dataset);
    qd_dataset_close(dataset);
    return rc;
}

/* As many micro-batches as one rank alone would run in a step, one chunk a stage, unless told. */
static int plan_pipeline(qd_pipeline_request request, job_plan *plan) {
    int64_t samples = plan->graph->samples;
    if (!request.schedule)
        return 0;
    if (!request.micro_batches)
        request.micro_batches = (int)(plan->job.train.batch / samples);
    if (!request.chunks)
        request.chunks = 1;
    return qd_pipeline_report_create(&request, plan->graph, plan->timeline, &plan->pipeline);
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

static int part_width(int part) {
    int length = (int)strlen(qd_memory_part_names[part]);
    return length > 8 ? length : 8;
}

static double mib(size_t bytes) {
    return (double)bytes / (1 << 20);
}

static void print_memory(const job_plan *plan) {
    printf("peak memory of the fullest rank, MiB:\n%5s  %5s", "dp", "slots");
    for (int p = 0; p < QD_MEMORY_PARTS; p++)
        printf("  %*s", part_width(p), qd_memory_part_names[p]);
    printf("  %10s\n", "peak");
    for (int i = 0; i < plan->gang_count; i++) {
        const gang_plan *gang = &plan->gangs[i];
        printf("%5d  %5d", gang->dp, gang->slots);
        for (int p = 0; p < QD_MEMORY_PARTS; p++)
            printf("  %*.2f", part_width(p), mib(gang->memory.part[p]));
        printf("  %10.2f\n", mib(gang->memory.peak));
    }
    if (plan->data_missing[0])
        printf("data set: not counted: %s\n", plan->data_missing);
    if (plan->base.program_missing[0])
        printf("program: without MPI, which could not be measured: %s\n",
               plan->base.program_missing);
}

static const char *kept_by_shards(int64_t zero) {
    return zero == 1   ? "optimizer state"
           : zero == 2 ? "optimizer state and gradients"
                       : "optimizer state, gradients and parameters";
}

static void print_pipeline(const qd_job *job) {
    if (job->slots_pipeline > 1)
        printf("            %lld parts of the model", (long long)job->slots_pipeline);
    if (job->layout_pp > 1)
        printf(" in a pipeline of %lld stages, schedule %s", (long long)job->layout_pp,
               qd_pipeline_names[job->layout_schedule]);
    if (job->layout_chunks > 1)
        printf(" with %lld chunks each", (long long)job->layout_chunks);
    if (job->slots_pipeline > 1)
        putchar('\n');
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
    if (job->layout_tp > 1)
        printf("            %lld tensor slots in groups of %lld ranks%s\n",
               (long long)job->slots_tensor, (long long)job->layout_tp,
               job->layout_sequence_parallel ? ", which share tokens, too" : "");
    print_pipeline(job);
    if (job->layout_zero > 0)
        printf("zero        %lld: %s kept by shards\n", (long long)job->layout_zero,
               kept_by_shards(job->layout_zero));
    printf("layers of one %s:\n", job->train.micro_batches > 1 ? "micro-batch" : "slot");
    print_layers(plan->graph);
    print_memory(plan);
    if (plan->pipeline)
        qd_pipeline_report_print(plan->pipeline);
    if (plan->layout)
        printf("\nlayout auto, on the cores of this machine:\n%s", plan->layout);
}

static json_t *gang_json(const job_plan *plan, const gang_plan *gang) {
    json_t *parts = json_object();
    for (int p = 0; p < QD_MEMORY_PARTS; p++)
        json_object_set_new(parts, qd_memory_part_names[p],
                            p == QD_MEMORY_DATA && plan->data_missing[0]
                                ? json_null()
                                : json_integer((json_int_t)gang->memory.part[p]));
    return json_pack("{s:i, s:I, s:I, s:i, s:I, s:o}", "dp", gang->dp, "tp",
                     (json_int_t)plan->job.layout_tp, "pp", (json_int_t)plan->job.layout_pp,
                     "slots_per_rank", gang->slots, "peak_bytes_per_rank",
                     (json_int_t)gang->memory.peak, "parts", parts);
}

static int print_json(const job_plan *plan) {
    const qd_job *job = &plan->job;
    json_t *gangs = json_array();
    for (int i = 0; i < plan->gang_count; i++)
        json_array_append_new(gangs, gang_json(plan, &plan->gangs[i]));
    json_t *root = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:i, s:i, s:f, s:f, s:f, s:I, s:I, s:o}", "job", job->name,
        "parameters", (json_int_t)qd_graph_param_count(plan->graph), "batch",
        (json_int_t)job->train.batch, "slots_data", (json_int_t)job->slots_data, "zero",
        (json_int_t)job->layout_zero, "blocks", plan->graph->block_count, "recomputed_blocks",
        plan->graph->recompute, "forward_flops_per_step",
        per_step(plan, qd_graph_forward_flops(plan->graph)), "backward_flops_per_step",
        per_step(plan, qd_graph_backward_flops(plan->graph)), "recompute_flops_per_step",
        per_step(plan, qd_timeline_recompute_flops(plan->timeline, plan->graph)), "ranks_min",
        (json_int_t)job->ranks_min, "ranks_max", (json_int_t)job->ranks_max, "gangs", gangs);
    if (plan->pipeline)
        json_object_set_new(root, "pipeline", qd_pipeline_report_json(plan->pipeline));
    if (!root)
        return qd_error_set(QD_ENOMEM, "no memory for the plan as JSON");
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
    return 0;
}

static int plan_for_cluster(const plan_options *options) {
    qd_layouts_request request = {.job_file = options->job_file,
                                  .cluster_file = options->cluster,
                                  .ranks = options->ranks,
                                  .pins = options->pins,
                                  .json = options->json};
    int rc = qd_layouts_print(&request);
    return rc ? qd_command_fail(rc) : EX_OK;
}

int qd_command_plan(int argc, char **argv) {
    static const struct argp_option option_table[] = {
        {"json", KEY_JSON, NULL, 0, "print JSON", 0},
        {"schedule", KEY_SCHEDULE, "KIND", 0,
         "show a pipeline, too: gpipe, 1f1b, interleaved or zb-h1", 0},
        {"stages", KEY_STAGES, "P", 0, "stages of the pipeline", 0},
        {"micro-batches", KEY_MICRO_BATCHES, "M", 0,
         "micro-batches of a step (default: all of them)", 0},
        {"chunks", KEY_CHUNKS, "V", 0, "parts of the model that a stage holds (default: 1)", 0},
        {"cluster", KEY_CLUSTER, "FILE", 0,
         "choose the layout for hardware described in FILE, such as conf/clusters/h100.yaml", 0},
        {"ranks", KEY_RANKS, "N", 0, "so many ranks of it, at most", 0},
        {"layout", KEY_LAYOUT, "KEY=VALUE,..", 0,
         "what is not to be chosen: dp, pp, tp, zero, schedule, slots, micro_batches, recompute",
         0},
        {0},
    };
    static const struct argp parser = {
        .options = option_table,
        .parser = parse_option,
        .args_doc = "JOB",
        .doc = "Shows what a job is before it runs: parameters, FLOPs of a step, the gangs it may "
               "run on, and the peak memory of the fullest rank of each; with --schedule, how it "
               "would be cut into the stages of a pipeline, and who would compute what when. With "
               "--cluster, instead: the fastest layout that fits on so many ranks of that "
               "hardware, what is predicted of it, and why others lost.",
    };
    plan_options options = {.pins = qd_plan_no_pins};
    argp_parse(&parser, argc, argv, 0, NULL, &options);
    if (options.cluster)
        return plan_for_cluster(&options);
    job_plan plan = {0};
    int rc = make_plan(options.job_file, &plan);
    if (!rc)
        rc = plan_pipeline(options.pipeline, &plan);
    if (!rc && options.json)
        rc = print_json(&plan);
    else if (!rc)
        print_text(&plan);
    free(plan.layout);
    qd_pipeline_report_destroy(plan.pipeline);
    qd_timeline_destroy(plan.timeline);
    qd_graph_destroy(plan.graph);
    qd_graph_destroy(plan.held);
    free(plan.gangs);
    return rc ? qd_command_fail(rc) : EX_OK;
}
