#include "launch/command.h"

#include <stdio.h>

#include "runtime/error.h"

int qd_command_fail(int code) {
    fflush(stdout);
    fprintf(stderr, "quadrille: %s\n", qd_error_message());
    return qd_error_exit_status(code);
}
