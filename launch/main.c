/* quadrille: finds the subcommand and hands over to it. */
#include <argp.h>
#include <dnnl.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "launch/command.h"
#include "runtime/isa.h"
#include "runtime/nearest.h"

static const qd_command commands[] = {
    {"run", "train jobs, then exit (under mpirun, or starting mpirun itself)", qd_command_run},
    {"plan", "show what a job takes before it runs, and choose its layout", qd_command_plan},
    {"calibrate", "measure this machine, and describe it for the planner", qd_command_calibrate},
    {"simulate", "run a recorded trace of jobs through the scheduler", qd_command_simulate},
    {"why", "tell why a job waits, and what would be if it asked for less", qd_command_why},
    {"util", "show where each rank's time went in a run", qd_command_util},
    {"generate", "go on from a prompt with a trained language model", qd_command_generate},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_help(FILE *out) {
    fprintf(out, "Usage: quadrille COMMAND [ARGUMENT...]\n"
                 "Trains jobs on the ranks of one MPI world and accounts for their time.\n\n"
                 "Commands:\n");
    for (int i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    fprintf(
        out,
        "\n`quadrille COMMAND --help' tells the options of a command.\n"
        "      --help      this text\n"
        "      --version   versions of quadrille and of what it stands on\n\n"
        "Exit status: 0 done; 64 wrong usage; 65 unusable data; 70 internal error; 74 input or\n"
        "output error; 75 saved, run again with --resume; 78 wrong job or cluster file.\n");
}

static void print_version(void) {
    char mpi[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;
    MPI_Get_library_version(mpi, &length);
    mpi[strcspn(mpi, ",")] = '\0';
    const dnnl_version_t *dnnl = dnnl_version();
    printf("quadrille %s\n%s\noneDNN %d.%d.%d\ninstruction set in use: %s\n", QD_VERSION, mpi,
           dnnl->major, dnnl->minor, dnnl->patch, qd_isa_in_use_name());
}

static int unknown(const char *name) {
    const char *names[COMMANDS];
    for (int i = 0; i < COMMANDS; i++)
        names[i] = commands[i].name;
    const char *near = qd_nearest(name, names, COMMANDS);
    fprintf(stderr, "quadrille: there is no command \"%s\"", name);
    if (near)
        fprintf(stderr, "; did you mean \"%s\"?", near);
    fprintf(stderr, "\nTry `quadrille --help'.\n");
    return EX_USAGE;
}

int main(int argc, char **argv) {
    argp_err_exit_status = EX_USAGE;
    if (argc < 2) {
        print_help(stderr);
        return EX_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return EX_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        print_version();
        return EX_OK;
    }
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        char full_name[64];
        snprintf(full_name, sizeof full_name, "quadrille %s", commands[i].name);
        argv[1] = full_name;
        return commands[i].run(argc - 1, argv + 1);
    }
    return unknown(argv[1]);
}
