#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "launch/command.h"
#include "launch/simulate_plot.h"
#include "launch/simulate_report.h"
#include "models/hardware.h"
#include "runtime/error.h"
#include "scheduler/cluster.h"
#include "scheduler/policy.h"
#include "scheduler/simulator.h"

enum {
    KEY_JSON = 256,
    KEY_CLUSTER,
    KEY_RANKS,
    KEY_ISLAND,
    KEY_POLICY,
    KEY_CONF,
    KEY_SAVE,
    KEY_RESTART,
    KEY_SLOW,
    KEY_PLOT
};
enum { MOST_RANKS = 1 << 24, MOST_POLICIES = 16 };

typedef struct simulate_options {
    const char *trace, *cluster, *conf, *plot;
    qd_reservation reservations[QD_RESERVATIONS]; /* of the conf */
    int reservation_count;
    int ranks, island; /* 0: not given */
    bool json;
    int policies[MOST_POLICIES];
    int policy_count;
    double save_s, restart_s;
    int slow; /* so many ranks take slow_factor times as long */
    double slow_factor;
} simulate_options;

static void parse_policies(struct argp_state *state, char *words, simulate_options *options) {
    for (char *word; (word = strsep(&words, ","));) {
        int policy = qd_policy_find(word);
        if (policy < 0)
            argp_error(state, "--policy: %s", qd_error_message());
        if (options->policy_count == MOST_POLICIES)
            argp_error(state, "--policy: at most %d", MOST_POLICIES);
        options->policies[options->policy_count++] = policy;
    }
}

static int parse_ranks(struct argp_state *state, const char *option, const char *word) {
    char *end;
    long n = strtol(word, &end, 10);
    if (*word == '\0' || *end != '\0' || n < 1 || n > MOST_RANKS)
        argp_error(state, "--%s=%s: accepted: a whole number, 1 .. %d", option, word, MOST_RANKS);
    return (int)n;
}

static double parse_seconds(struct argp_state *state, const char *option, const char *word) {
    char *end;
    double s = strtod(word, &end);
    if (*word == '\0' || *end != '\0' || !(s >= 0 && s <= 1e6))
        argp_error(state, "--%s=%s: accepted: seconds, 0 .. 1e6", option, word);
    return s;
}

static void parse_slow(struct argp_state *state, const char *word, simulate_options *options) {
    char *end, *rest;
    long n = strtol(word, &end, 10);
    double factor = *end == ':' ? strtod(end + 1, &rest) : 0;
    if (n < 1 || n > MOST_RANKS || !(factor >= 1 && factor <= 1000) || *rest != '\0')
        argp_error(state,
                   "--slow=%s: accepted: N:FACTOR, 1 .. %d ranks that take 1 .. 1000 times "
                   "as long",
                   word, MOST_RANKS);
    options->slow = (int)n;
    options->slow_factor = factor;
}

static void check_all(struct argp_state *state, simulate_options *options) {
    if (!options->ranks && !options->cluster)
        argp_error(state, "name the cluster: --ranks=N for a plain pool, or --cluster=FILE");
    if (options->policy_count == 0)
        parse_policies(state, (char[]){"fifo"}, options);
}

static error_t parse_option(int key, char *argument, struct argp_state *state) {
    simulate_options *options = state->input;
    switch (key) {
    case KEY_JSON:
        options->json = true;
        return 0;
    case KEY_CLUSTER:
        options->cluster = argument;
        return 0;
    case KEY_CONF:
        options->conf = argument;
        return 0;
    case KEY_RANKS:
        options->ranks = parse_ranks(state, "ranks", argument);
        return 0;
    case KEY_ISLAND:
        options->island = parse_ranks(state, "island", argument);
        return 0;
    case KEY_POLICY:
        parse_policies(state, argument, options);
        return 0;
    case KEY_SAVE:
        options->save_s = parse_seconds(state, "save", argument);
        return 0;
    case KEY_RESTART:
        options->restart_s = parse_seconds(state, "restart", argument);
        return 0;
    case KEY_SLOW:
        parse_slow(state, argument, options);
        return 0;
    case KEY_PLOT:
        options->plot = argument;
        return 0;
    case ARGP_KEY_ARG:
        if (options->trace)
            argp_error(state, "one trace at a time");
        options->trace = argument;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "name a trace: a file .csv, .swf, .csv.gz or .swf.gz");
        return EINVAL;
    case ARGP_KEY_END:
        check_all(state, options);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Ranks of a described cluster: one for each device; a node is an island. */
static int find_ranks(simulate_options *options) {
    qd_hardware hardware;
    if (!options->cluster)
        return 0;
    int rc = qd_hardware_load(options->cluster, &hardware);
    if (rc)
        return rc;
    if (!options->island)
        options->island = (int)hardware.devices;
    if (options->ranks)
        return 0;
    options->ranks = (int)(hardware.nodes * hardware.devices);
    if (options->ranks == 0)
        return qd_error_set(
            QD_EUSAGE, "%s describes a kind of node, and not how many there are; add --ranks=N",
            options->cluster);
    return 0;
}

typedef struct progress {
    const char *policy;
    int jobs;
    int shown; /* percent */
} progress;

static void show_progress(void *context, int ended) {
    progress *p = context;
    int percent = (int)(100LL * ended / p->jobs);
    if (percent == p->shown)
        return;
    p->shown = percent;
    fprintf(stderr, "\r%s: %d of %d jobs, %d%%", p->policy, ended, p->jobs, percent);
}

/* Owner of *simulation: the caller. */
static int simulate(const simulate_options *options, const qd_trace *trace,
                    const qd_scheduling *scheduling, qd_simulate_row *row,
                    qd_simulation *simulation) {
    progress p = {.policy = row->policy, .jobs = trace->count, .shown = -1};
    bool terminal = isatty(STDERR_FILENO);
    qd_simulation_config config = {
        .trace = trace,
        .ranks = options->ranks,
        .island_ranks = options->island,
        .scheduling = scheduling,
        .reservations = options->reservations,
        .reservation_count = options->reservation_count,
        .save_ns = (int64_t)(options->save_s * 1e9),
        .restart_ns = (int64_t)(options->restart_s * 1e9),
        .slow_ranks = options->slow,
        .slow_factor = options->slow_factor,
        .progress = terminal ? show_progress : NULL,
        .context = &p,
        .keep_segments = options->plot,
    };
    int rc = qd_simulate(&config, simulation);
    if (terminal)
        fprintf(stderr, "\r\033[K");
    if (rc)
        return qd_error_context(rc, "%s", row->policy);
    row->seconds = simulation->seconds;
    return qd_simulation_measure(trace, options->ranks, simulation, &row->metrics);
}

static int show(const simulate_options *options, const qd_trace *trace, const qd_simulate_row *rows,
                const qd_simulation *simulations) {
    qd_plot_series series[MOST_POLICIES];
    int rc = 0;
    for (int i = 0; !rc && options->json && i < options->policy_count; i++)
        rc = qd_simulate_print_json(trace->name, options->ranks, &rows[i]);
    if (!options->json)
        qd_simulate_print_table(trace, options->ranks, rows, options->policy_count);
    for (int i = 0; i < options->policy_count; i++)
        series[i] = (qd_plot_series){rows[i].policy, &simulations[i]};
    if (!rc && options->plot)
        rc = qd_simulate_plot(options->plot, trace, options->ranks, series, options->policy_count);
    return rc;
}

/* Times count from the first submission. Nobody in a trace names one: they are in the way of all.
 */
static int find_reservations(const qd_cluster *cluster, const qd_trace *trace,
                             simulate_options *options) {
    int64_t zero_ns = trace->jobs[0].submit_ns;
    options->reservation_count = cluster->reservation_count;
    for (int i = 0; i < cluster->reservation_count; i++)
        options->reservations[i] = qd_cluster_reservation_at(cluster, i, zero_ns, -1);
    return qd_cluster_check_ranks(options->conf, cluster, options->ranks);
}

static int simulate_all(const simulate_options *options, const qd_trace *trace,
                        qd_scheduling *scheduling) {
    qd_simulate_row rows[MOST_POLICIES];
    qd_simulation simulations[MOST_POLICIES] = {0};
    int rc = 0;
    for (int i = 0; !rc && i < options->policy_count; i++) {
        scheduling->policy = options->policies[i];
        rows[i] = (qd_simulate_row){.policy = qd_policy_names[scheduling->policy]};
        rc = simulate(options, trace, scheduling, &rows[i], &simulations[i]);
    }
    if (!rc)
        rc = show(options, trace, rows, simulations);
    for (int i = 0; i < options->policy_count; i++)
        qd_simulation_fini(&simulations[i]);
    return rc;
}

static const struct argp_option accepted[] = {
    {"cluster", KEY_CLUSTER, "FILE", 0, "the cluster: a description as in conf/clusters/", 0},
    {"ranks", KEY_RANKS, "N", 0, "a plain pool of N ranks, or so many of the cluster's", 0},
    {"island", KEY_ISLAND, "N", 0,
     "islands of N ranks, each on a host of its own (default: the cluster's nodes, else one)", 0},
    {"policy", KEY_POLICY, "P[,P...]", 0, "policies to set side by side (default: fifo)", 0},
    {"conf", KEY_CONF, "FILE", 0,
     "cluster file: settings of policies (scheduler:), and reservations", 0},
    {"save", KEY_SAVE, "SECONDS", 0, "what a save takes before its ranks are free (default: 60)",
     0},
    {"restart", KEY_RESTART, "SECONDS", 0, "what a restart takes before it trains (default: 60)",
     0},
    {"slow", KEY_SLOW, "N:FACTOR", 0, "N ranks take FACTOR times as long (default: none)", 0},
    {"plot", KEY_PLOT, "FILE", 0, "an SVG: who ran where, the queue, and a CDF of completion", 0},
    {"json", KEY_JSON, NULL, 0, "a line of JSON for each policy on stdout", 0},
    {0},
};

static const struct argp parser = {
    .options = accepted,
    .parser = parse_option,
    .args_doc = "TRACE",
    .doc = "Runs a recorded trace of jobs through the scheduler on a virtual clock.\v"
           "TRACE: .csv (submit_s,duration_s,ranks) or .swf (Standard Workload Format), plain or "
           ".gz.",
};

int qd_command_simulate(int argc, char **argv) {
    simulate_options options = {.save_s = 60, .restart_s = 60};
    qd_trace trace = {0};
    qd_cluster cluster;
    argp_parse(&parser, argc, argv, 0, NULL, &options);
    qd_cluster_defaults(&cluster);
    int rc = find_ranks(&options);
    if (!rc && options.conf)
        rc = qd_cluster_load(options.conf, &cluster);
    if (!rc)
        rc = qd_trace_load(options.trace, &trace);
    if (!rc)
        rc = find_reservations(&cluster, &trace, &options);
    if (!rc)
        rc = simulate_all(&options, &trace, &cluster.scheduling);
    qd_trace_fini(&trace);
    return rc ? qd_command_fail(rc) : EX_OK;
}
