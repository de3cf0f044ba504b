#include "launch/run_world.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "launch/command.h"
#include "launch/display.h"
#include "launch/mpirun.h"
#include "launch/run_layouts.h"
#include "launch/signals.h"
#include "runtime/error.h"
#include "runtime/heap.h"
#include "runtime/log.h"
#include "runtime/wire.h"
#include "runtime/world.h"
#include "scheduler/farewell.h"
#include "scheduler/server.h"
#include "worker/agent.h"

static const double finalize_deadline_s = 30;
static const double farewell_deadline_s = 15;

/* Tells a process that signals may be handed on to the ranks now; false when it has ended, even if
 * nobody has waited for it yet. */
static bool tell_launcher(pid_t launcher) {
    int handle = pidfd_open(launcher, 0);
    if (handle < 0)
        return errno != ESRCH; /* a kernel without pidfds cannot say */
    struct pollfd ended = {.fd = handle, .events = POLLIN};
    bool alive = poll(&ended, 1, 0) == 0;
    if (alive)
        pidfd_send_signal(handle, SIGUSR2, NULL, 0);
    close(handle);
    return alive;
}

/* 0 where there is none, or it is on another host, where its number means nothing here. */
static pid_t find_launcher(void) {
    const char *launcher = getenv(QD_LAUNCHER_VARIABLE);
    const char *at = launcher ? strchr(launcher, '@') : NULL;
    char host[HOST_NAME_MAX + 1] = "";
    gethostname(host, sizeof host - 1);
    return at && strcmp(at + 1, host) == 0 && atoi(launcher) > 1 ? atoi(launcher) : 0;
}

/* A launcher killed before this moment made mpirun send its signal to ranks that were still being
 * started and ignored it, or were not there: it counts now. */
static void on_all_ready(void) {
    pid_t launcher = find_launcher();
    if (launcher && !tell_launcher(launcher) && qd_stop_signal == 0)
        qd_stop_signal = SIGUSR1;
}

static int count_hosts(const qd_world *world) {
    int hosts = 0;
    for (int rank = 1; rank < world->size; rank++) {
        int before = 1;
        while (strcmp(world->host[before], world->host[rank]) != 0)
            before++;
        hosts += before == rank;
    }
    return hosts;
}

static int schedule(const qd_run_options *options, const qd_world *world, qd_wire *wire,
                    int *exit_status, bool *in_peace) {
    qd_cluster cluster;
    qd_job *jobs = NULL;
    qd_display *display = NULL;
    char **reports = calloc((size_t)options->job_file_count, sizeof *reports);
    int rc = reports ? 0 : qd_error_set(QD_ENOMEM, "no memory for the plans of jobs");
    if (!rc && world->size < 2)
        rc = qd_error_set(QD_EUSAGE,
                          "a world of one rank has no worker; start at least 2 ranks: "
                          "mpirun -n 3 quadrille run JOB... has a scheduler and two workers");
    if (!rc)
        rc = qd_run_options_load(options, &cluster, &jobs);
    if (!rc)
        rc = qd_cluster_check_ranks(options->cluster_file, &cluster, world->size - 1);
    if (!rc)
        rc = qd_run_layouts_settle(options, &cluster, world->size - 1, count_hosts(world), jobs,
                                   reports);
    if (!rc)
        rc = qd_display_create(options->show, world->size - 1, on_all_ready, &display);
    if (rc) {
        *in_peace = qd_farewell(wire, world, farewell_deadline_s);
        goto out;
    }
    qd_server_config config = {
        .world = world,
        .wire = wire,
        .cluster = &cluster,
        .jobs = jobs,
        .plans = (const char *const *)reports,
        .job_count = options->job_file_count,
        .resume = options->resume,
        .stop_signal = &qd_stop_signal,
        .observer = qd_display_observer(display),
    };
    rc = qd_server_run(&config, exit_status, in_peace);
out:
    qd_display_destroy(display);
    qd_run_layouts_free(reports, options->job_file_count);
    free(jobs);
    return rc;
}

int qd_run_in_world(const qd_run_options *options) {
    qd_world *world;
    qd_wire *wire = NULL;
    int exit_status = EX_OK;
    bool in_peace = true;
    /* Before MPI is up a signal must not end a rank half-way. */
    qd_signals_leave_to_scheduler();
    qd_die_with_parent(SIGKILL, getppid());
    int rc = qd_world_open(&world);
    if (rc)
        return qd_command_fail(rc);
    qd_log_set_rank(world->rank);
    rc = qd_wire_create(world, &wire);
    if (!rc && world->rank == 0) {
        qd_signals_heed();
        rc = schedule(options, world, wire, &exit_status, &in_peace);
    } else if (!rc) {
        qd_heap_keep();
        rc = qd_agent_run(world, wire);
        in_peace = rc == 0;
    }
    if (rc)
        exit_status = qd_command_fail(rc);
    fflush(NULL);
    qd_wire_destroy(wire);
    qd_world_close(world, in_peace, finalize_deadline_s, exit_status);
    if (!in_peace)
        _exit(exit_status);
    return exit_status;
}
