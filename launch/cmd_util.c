#include <argp.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "launch/command.h"
#include "launch/utilization_report.h"
#include "runtime/error.h"

enum { KEY_JSON = 256 };

typedef struct util_options {
    const char *run_folder;
    bool json;
} util_options;

static error_t parse_option(int key, char *argument, struct argp_state *state) {
    util_options *options = state->input;
    switch (key) {
    case KEY_JSON:
        options->json = true;
        return 0;
    case ARGP_KEY_ARG:
        if (options->run_folder)
            argp_error(state, "one run folder at a time");
        options->run_folder = argument;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "name a run folder, such as runs/fashion-mlp");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static double share(const qd_rank_utilization *rank, qd_span_kind kind) {
    return rank->wall_s > 0 ? 100 * rank->span_s[kind] / rank->wall_s : 0;
}

static void print_text(const qd_utilization_report *report) {
    printf("%5s  %-12s %8s %9s  ", "RANK", "HOST", "STEPS", "WALL s");
    static const char *const heads[QD_SPAN_KINDS] = {"COMPUTE", "COMM", "PIPE",
                                                     "DATA",    "CKPT", "IDLE"};
    for (int k = 0; k < QD_SPAN_KINDS; k++)
        printf("%8s", heads[k]);
    printf("  %10s %11s\n", "SAMPLES/S", "MEMORY MiB");
    for (int i = 0; i < report->rank_count; i++) {
        const qd_rank_utilization *r = &report->ranks[i];
        printf("%5d  %-12.12s %8lld %9.2f  ", r->rank, r->host, (long long)r->steps, r->wall_s);
        for (int k = 0; k < QD_SPAN_KINDS; k++)
            printf("%7.1f%%", share(r, (qd_span_kind)k));
        printf("  %10.0f %11.1f\n", r->wall_s > 0 ? r->samples / r->wall_s : 0,
               (double)r->peak_memory_bytes / (1 << 20));
    }
}

static json_t *rank_json(const qd_rank_utilization *r) {
    json_t *spans = json_object();
    for (int k = 0; k < QD_SPAN_KINDS; k++)
        json_object_set_new(spans, qd_span_names[k], json_real(r->span_s[k]));
    return json_pack("{s:i, s:s, s:I, s:f, s:f, s:I, s:i, s:o}", "rank", r->rank, "host", r->host,
                     "steps", (json_int_t)r->steps, "wall_s", r->wall_s, "samples_per_s",
                     r->wall_s > 0 ? r->samples / r->wall_s : 0, "peak_memory_bytes",
                     (json_int_t)r->peak_memory_bytes, "intervals", r->intervals, "seconds", spans);
}

static int print_json(const qd_utilization_report *report) {
    json_t *root = json_array();
    for (int i = 0; i < report->rank_count; i++)
        json_array_append_new(root, rank_json(&report->ranks[i]));
    if (!root)
        return qd_error_set(QD_ENOMEM, "no memory for the report as JSON");
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
    return 0;
}

int qd_command_util(int argc, char **argv) {
    static const struct argp_option option_table[] = {
        {"json", KEY_JSON, NULL, 0, "print JSON", 0},
        {0},
    };
    static const struct argp parser = {
        .options = option_table,
        .parser = parse_option,
        .args_doc = "RUN",
        .doc = "Shows, for each rank that took part in a run, where its time went: shares of the "
               "wall time in computing, waiting for other ranks, for a pipeline stage, for data, "
               "for checkpoints, and idle. RUN is a run folder; resumed attempts are added up.",
    };
    util_options options = {0};
    argp_parse(&parser, argc, argv, 0, NULL, &options);
    qd_utilization_report report = {0};
    int rc = qd_utilization_report_read(options.run_folder, &report);
    if (!rc && options.json)
        rc = print_json(&report);
    else if (!rc)
        print_text(&report);
    qd_utilization_report_fini(&report);
    return rc ? qd_command_fail(rc) : EX_OK;
}
