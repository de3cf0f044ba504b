#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "launch/calibrate.h"
#include "launch/command.h"
#include "launch/mpirun.h"
#include "launch/signals.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/topology.h"
#include "runtime/world.h"

static const double grace_s = 5, finalize_deadline_s = 30;

typedef struct calibrate_options {
    const char *file; /* NULL: stdout */
} calibrate_options;

static error_t parse_option(int key, char *argument, struct argp_state *state) {
    calibrate_options *options = state->input;
    switch (key) {
    case 'o':
        options->file = argument;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "it takes no arguments");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* A rank on each core, and two at least, to have somebody to talk to. */
static int launch(const calibrate_options *options, int *exit_status) {
    qd_topology topology;
    int rc = qd_topology_read(&topology);
    if (rc)
        return rc;
    char *arguments[4] = {"calibrate", NULL};
    if (options->file) {
        arguments[1] = "-o";
        arguments[2] = (char *)options->file;
    }
    qd_mpirun_config config = {.ranks = topology.cores > 2 ? topology.cores : 2,
                               .arguments = arguments,
                               .grace_s = grace_s};
    return qd_mpirun(&config, exit_status);
}

static int write_out(const calibrate_options *options, const qd_hardware *hardware) {
    qd_text text = {0};
    qd_text_add(
        &text,
        "# Written by `quadrille calibrate' on %d core(s) of a machine with %s.\n"
        "# Rates are of one core while all are busy; memory is a core's part of the node's.\n"
        "# bf16_flops is such that product_share, measured in fp32, gives the rate of large\n"
        "# products in bf16. There is no other node: links.between repeats links.inside.\n",
        (int)hardware->devices, qd_calibrate_processor());
    qd_hardware_emit(hardware, &text);
    int rc = text.failed ? qd_error_set(QD_ENOMEM, "no memory for the description") : 0;
    if (!rc && options->file)
        rc = qd_file_replace(options->file, text.bytes, text.length);
    else if (!rc)
        fputs(text.bytes, stdout);
    qd_text_fini(&text);
    return rc;
}

static int run_in_world(const calibrate_options *options) {
    qd_world *world;
    qd_hardware hardware;
    qd_die_with_parent(SIGKILL, getppid());
    int rc = qd_world_open(&world);
    if (rc)
        return qd_command_fail(rc);
    rc = qd_calibrate(world, &hardware);
    if (!rc && world->rank == 0)
        rc = write_out(options, &hardware);
    int exit_status = rc ? qd_command_fail(rc) : EX_OK;
    fflush(NULL);
    qd_world_close(world, rc == 0, finalize_deadline_s, exit_status);
    if (rc)
        _exit(exit_status);
    return exit_status;
}

int qd_command_calibrate(int argc, char **argv) {
    static const struct argp_option option_table[] = {
        {"output", 'o', "FILE", 0, "write it to FILE (default: to stdout)", 0},
        {0},
    };
    static const struct argp parser = {
        .options = option_table,
        .parser = parse_option,
        .doc =
            "Measures this machine, some ten seconds long, and describes it for `quadrille plan "
            "--cluster': what a core computes in products of matrices of three sizes, how fast "
            "memory streams, how fast and how soon ranks add up over shared memory, and how much "
            "memory there is. Nothing else should run meanwhile.",
    };
    calibrate_options options = {0};
    argp_parse(&parser, argc, argv, 0, NULL, &options);
    if (qd_world_launched())
        return run_in_world(&options);
    int exit_status = EX_OK;
    int rc = launch(&options, &exit_status);
    return rc ? qd_command_fail(rc) : exit_status;
}
