#include "launch/run_options.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "scheduler/after.h"

enum {
    KEY_CONF = 256,
    KEY_CLUSTER,
    KEY_HOST,
    KEY_HOST_FILE,
    KEY_RUNS,
    KEY_RESUME,
    KEY_DRY_RUN,
    KEY_PROGRESS
};
enum { MOST_WORKERS = 1 << 20 };

static const struct argp_option option_table[] = {
    {"workers", 'n', "N", 0,
     "worker ranks to start, besides the scheduler (default: one for each group of cores that "
     "workers.threads asks for, as many as the jobs can use); not under mpirun",
     0},
    {"host", KEY_HOST, "HOST[:SLOTS],...", 0,
     "hosts to start ranks on, by mpirun; without --workers a rank for each slot, the first of "
     "which is the scheduler (default: this host); not under mpirun",
     0},
    {"hostfile", KEY_HOST_FILE, "FILE", 0, "the same, from a file as mpirun reads it", 0},
    {"conf", KEY_CONF, "FILE", 0, "cluster file (default: built-in defaults)", 0},
    {"cluster", KEY_CLUSTER, "FILE", 0,
     "plan jobs of layout: auto for hardware described in FILE (default: this machine)", 0},
    {"runs", KEY_RUNS, "FOLDER", 0, "where run folders go (default: `runs' of the cluster file)",
     0},
    {"resume", KEY_RESUME, NULL, 0,
     "continue each job from the newest checkpoint in its run folder", 0},
    {"dry-run", KEY_DRY_RUN, NULL, 0, "print the jobs as resolved and exit", 0},
    {"progress", KEY_PROGRESS, "HOW", 0,
     "bar, lines, none or auto (default: a bar on a terminal, else lines)", 0},
    {"verbose", 'v', NULL, 0, "say more on stderr", 0},
    {0},
};

static const char *const show_names[] = {"auto", "bar", "lines", "none"};

static void parse_show(struct argp_state *state, const char *word, qd_show *show) {
    for (size_t i = 0; i < sizeof show_names / sizeof show_names[0]; i++) {
        if (strcmp(word, show_names[i]) != 0)
            continue;
        *show = (qd_show)i;
        return;
    }
    argp_error(state, "--progress=%s: accepted: bar, lines, none, auto", word);
}

static void parse_workers(struct argp_state *state, const char *word, int *workers) {
    char *end;
    long n = strtol(word, &end, 10);
    if (*word == '\0' || *end != '\0' || n < 1 || n > MOST_WORKERS)
        argp_error(state, "--workers=%s: accepted: a whole number, 1 .. %d", word, MOST_WORKERS);
    *workers = (int)n;
}

static error_t parse_option(int key, char *argument, struct argp_state *state) {
    qd_run_options *options = state->input;
    switch (key) {
    case 'n':
        parse_workers(state, argument, &options->workers);
        return 0;
    case KEY_HOST:
        options->hosts = argument;
        return 0;
    case KEY_HOST_FILE:
        options->host_file = argument;
        return 0;
    case KEY_CONF:
        options->cluster_file = argument;
        return 0;
    case KEY_CLUSTER:
        options->hardware_file = argument;
        return 0;
    case KEY_RUNS:
        options->runs = argument;
        return 0;
    case KEY_RESUME:
        options->resume = true;
        return 0;
    case KEY_DRY_RUN:
        options->dry_run = true;
        return 0;
    case KEY_PROGRESS:
        parse_show(state, argument, &options->show);
        return 0;
    case 'v':
        options->verbose = true;
        return 0;
    case ARGP_KEY_ARGS:
        options->job_files = state->argv + state->next;
        options->job_file_count = state->argc - state->next;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "name at least one job file, such as conf/jobs/fashion-mlp.yaml");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

void qd_run_options_parse(int argc, char **argv, qd_run_options *options) {
    static const struct argp parser = {
        .options = option_table,
        .parser = parse_option,
        .args_doc = "JOB...",
        .doc =
            "Trains the jobs described by the given files: side by side on disjoint gangs where "
            "they fit, else in order. Starts mpirun itself unless it runs under one.\v"
            "SIGINT, SIGTERM or SIGUSR1 saves every job at its next step boundary; the exit status "
            "is then 75, and --resume continues. The exit status is 0 only if all jobs succeeded.",
    };
    *options = (qd_run_options){0};
    argp_parse(&parser, argc, argv, 0, NULL, options);
}

static int load_jobs(const qd_run_options *options, qd_job *jobs) {
    for (int i = 0; i < options->job_file_count; i++) {
        int rc = qd_job_load(options->job_files[i], &jobs[i]);
        if (rc)
            return rc;
        for (int j = 0; j < i; j++)
            if (strcmp(jobs[j].name, jobs[i].name) == 0)
                return qd_error_set(QD_EUSAGE,
                                    "%s and %s both describe a job named \"%s\"; give each its own "
                                    "name, which is also that of its run folder",
                                    options->job_files[j], options->job_files[i], jobs[i].name);
        char after[QD_AFTER_BYTES];
        rc = qd_after_of_job(jobs, i + 1, after);
        if (rc)
            return qd_error_context(rc, "%s: request.after", options->job_files[i]);
    }
    return 0;
}

int qd_run_options_load(const qd_run_options *options, qd_cluster *cluster, qd_job **out) {
    qd_cluster_defaults(cluster);
    if (options->cluster_file) {
        int rc = qd_cluster_load(options->cluster_file, cluster);
        if (rc)
            return rc;
    }
    if (options->runs) {
        int length = snprintf(cluster->runs, sizeof cluster->runs, "%s", options->runs);
        if (length <= 0 || (size_t)length >= sizeof cluster->runs)
            return qd_error_set(QD_EUSAGE, "--runs: accepted: a path of 1 .. %zu bytes",
                                sizeof cluster->runs - 1);
    }
    qd_job *jobs = calloc((size_t)options->job_file_count, sizeof *jobs);
    if (!jobs)
        return qd_error_set(QD_ENOMEM, "no memory for %d jobs", options->job_file_count);
    int rc = load_jobs(options, jobs);
    if (rc)
        free(jobs);
    else
        *out = jobs;
    return rc;
}
