/*
 * error.h: the error codes of every fallible function, and the one place where the message of
 * the last failure is kept. Not a log: nothing is printed here (see log.h).
 *
 * Convention: a function that can fail returns int, 0 or a negative QD_E code. Where the failure
 * is known, qd_error_set() records what went wrong, where, and what would be accepted; on the
 * way up qd_error_context() puts "context: " in front. The record belongs to the calling thread.
 */
#ifndef QD_RUNTIME_ERROR_H
#define QD_RUNTIME_ERROR_H

enum {
    QD_OK = 0,
    QD_EUSAGE = -1,     /* the command line is wrong */
    QD_ECONFIG = -2,    /* a job or cluster file is wrong */
    QD_EDATA = -3,      /* a data set or checkpoint holds something unusable */
    QD_EIO = -4,        /* the operating system refused to read or write */
    QD_ENOMEM = -5,     /* memory could not be had */
    QD_ETIMEDOUT = -6,  /* a deadline passed; the message names what was awaited */
    QD_ECANCELLED = -7, /* the work was called off from outside */
    QD_EPROTO = -8,     /* a peer sent something that cannot be true */
    QD_ELOST = -9,      /* a peer is gone */
    QD_EINTERNAL = -10, /* a fault of ours or of a library beneath us */
};

/* Highest number of bytes of a message, its final NUL included; longer ones are cut. */
#define QD_ERROR_BYTES 2048

/* Records the message of a failure, replacing an earlier one. Returns code. */
int qd_error_set(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* As qd_error_set, with ": " and the text of errno_value behind the message. */
int qd_error_set_errno(int code, int errno_value, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "CONTEXT: " in front of the recorded message. Returns code, so that a caller can write
 * `return qd_error_context(rc, "...")`. */
int qd_error_context(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The calling thread's message; "" when nothing failed yet. Valid until the next call above. */
const char *qd_error_message(void);

/* "QD_EDATA" for QD_EDATA; "QD_E?" for a number that is no code. */
const char *qd_error_name(int code);

/* The exit status a process ends with for code (sysexits: 64, 65, 70, 74, 78; 0 for 0). */
int qd_error_exit_status(int code);

#endif
