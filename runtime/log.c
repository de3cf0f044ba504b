#include "runtime/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Set once at start-up, before any other thread exists; only read after that. */
static qd_log_level log_level = QD_LOG_INFO;
static int log_rank = -1;

static const char *const level_names[] = {"error", "warning", "info", "debug"};

void qd_log_set_level(qd_log_level level) {
    log_level = level;
}

void qd_log_set_rank(int rank) {
    log_rank = rank;
}

void qd_log(qd_log_level level, const char *fmt, ...) {
    if (level > log_level)
        return;
    char line[4096];
    int used = log_rank < 0 ? snprintf(line, sizeof line, "quadrille %s: ", level_names[level])
                            : snprintf(line, sizeof line, "quadrille[rank %d] %s: ", log_rank,
                                       level_names[level]);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line + used, sizeof line - (size_t)used - 1, fmt, ap);
    va_end(ap);
    strcat(line, "\n");
    if (write(STDERR_FILENO, line, strlen(line)) < 0)
        return; /* nobody listens any more */
}
