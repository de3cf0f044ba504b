#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "scheduler/trace.h"

/* Fields, counted from 0; the standard counts from 1. */
enum { SUBMIT = 1, RUN_TIME = 3, PROCESSORS = 4, REQUESTED_PROCESSORS = 7, FIELDS = 18 };

static int64_t round_down(int64_t ns) {
    return ns / 1000000000;
}

int qd_trace_swf_line(char *line, qd_trace_columns *state, qd_trace *trace) {
    (void)state;
    int64_t ns[FIELDS];
    int count = 0;
    line += strspn(line, " \t");
    if (*line == ';' || *line == '\0')
        return 0;
    for (char *word; (word = strsep(&line, " \t"));) {
        if (*word == '\0')
            continue;
        if (count == FIELDS)
            return qd_error_set(QD_EDATA, "more than the %d fields of a job", FIELDS);
        if (!qd_trace_parse_ns(word, &ns[count]))
            return qd_error_set(QD_EDATA, "field %d, '%s', is no number", count + 1, word);
        count++;
    }
    if (count < FIELDS)
        return qd_error_set(QD_EDATA, "%d fields; a job has %d", count, FIELDS);
    int64_t ranks = round_down(ns[ns[PROCESSORS] < 0 ? REQUESTED_PROCESSORS : PROCESSORS]);
    return qd_trace_add(trace, ns[SUBMIT], ns[RUN_TIME], ranks);
}
