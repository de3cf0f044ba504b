#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "launch/command.h"
#include "launch/mpirun.h"
#include "launch/run_layouts.h"
#include "launch/run_options.h"
#include "launch/run_world.h"
#include "runtime/error.h"
#include "runtime/log.h"
#include "runtime/topology.h"
#include "runtime/world.h"

static int print_jobs(const qd_job *jobs, int count) {
    qd_text text = {0};
    for (int i = 0; i < count; i++) {
        if (i > 0)
            qd_text_add(&text, "---\n");
        qd_job_emit(&jobs[i], &text);
    }
    int rc = text.failed ? qd_error_set(QD_ENOMEM, "no memory for the text of the jobs") : 0;
    if (!rc)
        fputs(text.bytes, stdout);
    qd_text_fini(&text);
    return rc;
}

/* As many workers as there are groups of cores, but no more than the jobs can use together, and
 * enough for the job that needs most. */
static int choose_workers(const qd_cluster *cluster, const qd_job *jobs, int count, int *workers) {
    qd_topology topology;
    int rc = qd_topology_read(&topology);
    if (rc)
        return rc;
    int64_t useful = 0, needed = 1;
    for (int i = 0; i < count; i++) {
        useful += jobs[i].ranks_max ? jobs[i].ranks_max : topology.cores; /* 0: not planned yet */
        needed = jobs[i].ranks_min > needed ? jobs[i].ranks_min : needed;
    }
    int64_t chosen = topology.cores / cluster->worker_threads;
    chosen = chosen < useful ? chosen : useful;
    *workers = (int)(chosen > needed ? chosen : needed);
    return 0;
}

static int dry_run(const qd_run_options *options, const qd_cluster *cluster, qd_job *jobs) {
    int count = options->job_file_count, workers = options->workers, rc = 0;
    char **reports = calloc((size_t)count, sizeof *reports);
    if (!reports)
        return qd_error_set(QD_ENOMEM, "no memory for %d jobs", count);
    if (workers == 0)
        rc = choose_workers(cluster, jobs, count, &workers);
    if (!rc)
        rc = qd_run_layouts_settle(options, cluster, workers, 1, jobs, reports);
    qd_run_layouts_free(reports, count);
    return rc ? rc : print_jobs(jobs, count);
}

static void warn_of_shared_cores(const qd_cluster *cluster, int workers) {
    qd_topology topology;
    if (qd_topology_read(&topology) == 0 && workers * cluster->worker_threads > topology.cores)
        qd_log(
            QD_LOG_WARN,
            "%d workers of %lld thread(s) share %d core(s): results stay the same, speed does not",
            workers, (long long)cluster->worker_threads, topology.cores);
}

/* The arguments of the ranks: ours, without what only the launcher needs. */
static char **rank_arguments(const qd_run_options *options) {
    char **arguments = calloc((size_t)options->job_file_count + 18, sizeof *arguments);
    int n = 0;
    if (!arguments)
        return NULL;
    arguments[n++] = "run";
    if (options->cluster_file) {
        arguments[n++] = "--conf";
        arguments[n++] = (char *)options->cluster_file;
    }
    if (options->hardware_file) {
        arguments[n++] = "--cluster";
        arguments[n++] = (char *)options->hardware_file;
    }
    if (options->runs) {
        arguments[n++] = "--runs";
        arguments[n++] = (char *)options->runs;
    }
    if (options->resume)
        arguments[n++] = "--resume";
    if (options->verbose)
        arguments[n++] = "--verbose";
    bool bar = options->show == QD_SHOW_BAR ||
               (options->show == QD_SHOW_AUTO && isatty(STDERR_FILENO) && isatty(STDOUT_FILENO));
    arguments[n++] = bar                             ? "--progress=bar"
                     : options->show == QD_SHOW_NONE ? "--progress=none"
                                                     : "--progress=lines";
    arguments[n++] = "--";
    for (int i = 0; i < options->job_file_count; i++)
        arguments[n++] = options->job_files[i];
    return arguments;
}

static int launch(const qd_run_options *options, const qd_cluster *cluster, const qd_job *jobs,
                  int *exit_status) {
    bool here = !options->hosts && !options->host_file;
    int workers = options->workers;
    int rc = 0;
    if (workers == 0 && here)
        rc = choose_workers(cluster, jobs, options->job_file_count, &workers);
    if (rc)
        return rc;
    if (here)
        warn_of_shared_cores(cluster, workers);
    char **arguments = rank_arguments(options);
    if (!arguments)
        return qd_error_set(QD_ENOMEM, "no memory for %d job files", options->job_file_count);
    qd_mpirun_config config = {
        .ranks = workers > 0 ? workers + 1 : 0,
        .hosts = options->hosts,
        .host_file = options->host_file,
        .arguments = arguments,
        .grace_s = cluster->stop_grace_s,
    };
    rc = qd_mpirun(&config, exit_status);
    free(arguments);
    return rc;
}

int qd_command_run(int argc, char **argv) {
    qd_run_options options;
    qd_cluster cluster;
    qd_job *jobs = NULL;
    int exit_status = EX_OK;
    qd_run_options_parse(argc, argv, &options);
    if (options.verbose)
        qd_log_set_level(QD_LOG_DEBUG);
    if (qd_world_launched() && !options.dry_run)
        return qd_run_in_world(&options);
    int rc = qd_run_options_load(&options, &cluster, &jobs);
    if (!rc)
        rc = options.dry_run ? dry_run(&options, &cluster, jobs)
                             : launch(&options, &cluster, jobs, &exit_status);
    free(jobs);
    return rc ? qd_command_fail(rc) : exit_status;
}
