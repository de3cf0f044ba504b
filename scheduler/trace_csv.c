#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "scheduler/trace.h"

enum { SUBMIT, DURATION, RANKS, COLUMNS };
static const char *const names[COLUMNS] = {"submit_s", "duration_s", "ranks"};

static int read_names(char *line, int *columns[COLUMNS]) {
    int found[COLUMNS] = {-1, -1, -1}, column = 0;
    for (char *name; (name = strsep(&line, ",")); column++)
        for (int i = 0; i < COLUMNS; i++)
            if (strcmp(name, names[i]) == 0)
                found[i] = column;
    for (int i = 0; i < COLUMNS; i++) {
        if (found[i] < 0)
            return qd_error_set(QD_EDATA,
                                "no column %s; the first line names the columns, among them "
                                "submit_s, duration_s and ranks",
                                names[i]);
        *columns[i] = found[i];
    }
    return 0;
}

static int parse_ranks(const char *word, int64_t *ranks) {
    char *end;
    *ranks = strtoll(word, &end, 10);
    if (*word == '\0' || *end != '\0')
        return qd_error_set(QD_EDATA, "ranks '%s' is no whole number", word);
    return 0;
}

int qd_trace_csv_line(char *line, qd_trace_columns *state, qd_trace *trace) {
    int *columns[COLUMNS] = {&state->submit, &state->duration, &state->ranks};
    const char *words[COLUMNS] = {0};
    int64_t ns[COLUMNS] = {0}, ranks = 0;
    if (*line == '\0')
        return 0;
    if (!state->known) {
        state->known = true;
        return read_names(line, columns);
    }
    int count = 0;
    for (char *word; (word = strsep(&line, ",")); count++)
        for (int i = 0; i < COLUMNS; i++)
            if (*columns[i] == count)
                words[i] = word;
    for (int i = 0; i < COLUMNS; i++)
        if (!words[i])
            return qd_error_set(QD_EDATA, "%d fields, no %s", count, names[i]);
    for (int i = SUBMIT; i <= DURATION; i++)
        if (!qd_trace_parse_ns(words[i], &ns[i]))
            return qd_error_set(QD_EDATA, "%s '%s' is no number of seconds", names[i], words[i]);
    int rc = parse_ranks(words[RANKS], &ranks);
    return rc ? rc : qd_trace_add(trace, ns[SUBMIT], ns[DURATION], ranks);
}
