#include "runtime/line_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "runtime/error.h"
#include "runtime/file.h"

enum { BUFFER_BYTES = 1 << 16 };

static const double flush_every_s = 1;

struct qd_line_log {
    char path[PATH_MAX];
    int fd;
    off_t written; /* bytes of the file, all of them whole lines */
    qd_deadline flush_at;
    size_t used;
    char buffer[BUFFER_BYTES];
};

int qd_line_log_open(const char *path, qd_line_log **out) {
    qd_line_log *log = calloc(1, sizeof *log);
    if (!log)
        return qd_error_set(QD_ENOMEM, "%s: no memory for its lines", path);
    snprintf(log->path, sizeof log->path, "%s", path);
    log->flush_at = qd_deadline_in(flush_every_s);
    log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log->fd >= 0)
        log->written = lseek(log->fd, 0, SEEK_END);
    if (log->fd >= 0 && log->written >= 0) {
        *out = log;
        return 0;
    }
    int rc = qd_error_set_errno(QD_EIO, errno, "%s", path);
    if (log->fd >= 0)
        close(log->fd);
    free(log);
    return rc;
}

const char *qd_line_log_path(const qd_line_log *log) {
    return log->path;
}

int qd_line_log_flush(qd_line_log *log) {
    log->flush_at = qd_deadline_in(flush_every_s);
    if (log->used == 0)
        return 0;
    int rc = qd_file_write_all(log->fd, log->buffer, log->used, log->path);
    /* The next try must begin a line, so the half of one that may have got through goes. */
    if (rc && ftruncate(log->fd, log->written) < 0)
        rc = qd_error_context(rc, "its last line stays torn");
    if (rc)
        return rc;
    log->written += (off_t)log->used;
    log->used = 0;
    return 0;
}

int qd_line_log_add(qd_line_log *log, const char *line, size_t length) {
    int rc = 0;
    bool full = length + 1 > sizeof log->buffer - log->used;
    if (full)
        rc = qd_line_log_flush(log);
    if (!rc && length + 1 > sizeof log->buffer)
        rc = qd_error_set(QD_EIO, "%s: a line of %zu bytes is too long", log->path, length);
    if (rc)
        return rc;
    memcpy(log->buffer + log->used, line, length);
    log->buffer[log->used + length] = '\n';
    log->used += length + 1;
    return !full && qd_deadline_passed(log->flush_at) ? qd_line_log_flush(log) : 0;
}

int qd_line_log_close(qd_line_log *log) {
    if (!log)
        return 0;
    int rc = qd_line_log_flush(log);
    if (close(log->fd) < 0 && !rc)
        rc = qd_error_set_errno(QD_EIO, errno, "%s: close", log->path);
    free(log);
    return rc;
}
