/*
 * trace.h: recorded jobs, read from a file: when each came, how long it ran, on how many ranks.
 * Two formats, told apart by the file's name without ".gz", each plain or gzipped:
 *
 * NAME.csv   a line of column names, among them submit_s, duration_s and ranks in any order (others
 *            are not looked at, but for importance, -100 .. 100, which is 0 where there is none,
 *            and ranks_max, on up to how many it could have run, with time inverse to ranks,
 *            where there is none: on those alone, and account, whose job it is), then a line a job,
 *            fields without quotes;
 * NAME.swf   Standard Workload Format (Feitelson, cs.huji.ac.il/labs/parallel/workload/swf.html):
 * 18 numbers a line, of which 2 (submit), 4 (run time) and 5 (processors; 8 where 5 is -1) are
 * taken; comments begin with ';'.
 *
 * Jobs whose run time or width is unknown (-1) or width is 0 cannot be simulated and are left out.
 */
#ifndef QD_SCHEDULER_TRACE_H
#define QD_SCHEDULER_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/text.h"

typedef struct qd_trace_job {
    int64_t submit_ns, duration_ns; /* >= 0 */
    int ranks;                      /* >= 1 */
    int ranks_max;                  /* it could have up to so many; 0: ranks */
    int importance;                 /* class, as in qd_submission */
    int account;                    /* index into the trace's accounts */
} qd_trace_job;

enum { QD_TRACE_ACCOUNTS = 512, QD_TRACE_ACCOUNT_BYTES = 32 };

typedef struct qd_trace {
    qd_trace_job *jobs; /* by submission; equal ones in the order of the file */
    int count, capacity;
    int left_out;
    int widest;    /* ranks */
    char name[64]; /* of the file, without folder and endings */
    char accounts[QD_TRACE_ACCOUNTS][QD_TRACE_ACCOUNT_BYTES]; /* [account_count] */
    int account_count;                                        /* 0: the file names none */
} qd_trace;

/* QD_EIO; QD_EDATA with "FILE:LINE: ..."; QD_ENOMEM. *trace belongs to the caller (fini). */
int qd_trace_load(const char *path, qd_trace *trace);
void qd_trace_fini(qd_trace *trace);

/* ---- for the formats (trace_csv.c, trace_swf.c) ---- */

/* Takes one line, its line feed taken off; may write to it. state: {0} before the first line.
 * QD_EDATA, its message without file and line. */
typedef struct qd_trace_columns {
    bool known;
    int submit, duration, ranks, importance, ranks_max,
        account; /* column numbers from 0; -1: there is none */
} qd_trace_columns;

typedef int qd_trace_line(char *line, qd_trace_columns *state, qd_trace *trace);
qd_trace_line qd_trace_csv_line;
qd_trace_line qd_trace_swf_line;

/* "12.5" as ns, exactly: at most nine decimals. False when the word is no such number, or beyond
 * 290 years either way. */
bool qd_trace_parse_ns(const char *word, int64_t *ns);

/* Adds a job, or counts it as left out. QD_ENOMEM. */
int qd_trace_add(qd_trace *trace, int64_t submit_ns, int64_t duration_ns, int64_t ranks);

#endif
