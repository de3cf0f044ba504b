/* command.h: the subcommands of quadrille, one file each (cmd_NAME.c) and one row in main.c. */
#ifndef QD_LAUNCH_COMMAND_H
#define QD_LAUNCH_COMMAND_H

typedef struct qd_command {
    const char *name;
    const char *summary; /* one line for `quadrille --help` */
    /* Gets the arguments behind the command's name; argv[0] is "quadrille NAME". Returns the exit
     * status; prints its own errors. */
    int (*run)(int argc, char **argv);
} qd_command;

int qd_command_run(int argc, char **argv);
int qd_command_plan(int argc, char **argv);
int qd_command_calibrate(int argc, char **argv);
int qd_command_simulate(int argc, char **argv);
int qd_command_why(int argc, char **argv);
int qd_command_util(int argc, char **argv);
int qd_command_generate(int argc, char **argv);

/* Prints "quadrille: MESSAGE" of the recorded error to stderr; returns code's exit status. */
int qd_command_fail(int code);

#endif
