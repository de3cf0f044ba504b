/*
 * line_log.h: a file that lines are added to, by one process at a time. It holds whole lines only,
 * as long as the process that writes it lives: one that got through in part is taken back. Lines
 * wait in a buffer until they are flushed. Calls come from one thread.
 */
#ifndef QD_RUNTIME_LINE_LOG_H
#define QD_RUNTIME_LINE_LOG_H

#include <stddef.h>

typedef struct qd_line_log qd_line_log;

/* Opens path behind the lines that stand there, or makes it. QD_EIO, QD_ENOMEM. */
int qd_line_log_open(const char *path, qd_line_log **log);

const char *qd_line_log_path(const qd_line_log *log);

/*
 * Adds a line, given without its "\n". The buffer is written out when it is full, or about a second
 * after it was last. QD_EIO: it could not be written; what is in it stays for the next try, and
 * only when there is no room left, or the line is longer than the whole buffer (64 KiB), is the new
 * line lost.
 */
int qd_line_log_add(qd_line_log *log, const char *line, size_t length);

/* Hands the buffer to the operating system. QD_EIO; it stays for the next try. */
int qd_line_log_flush(qd_line_log *log);

/* Flushes and closes. NULL does nothing and returns 0. QD_EIO; the log is gone all the same. */
int qd_line_log_close(qd_line_log *log);

#endif
