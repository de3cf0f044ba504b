#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "scheduler/trace.h"

enum { SUBMIT, DURATION, RANKS, IMPORTANCE, RANKS_MAX, ACCOUNT, COLUMNS, NEEDED = IMPORTANCE };
static const char *const names[COLUMNS] = {"submit_s",   "duration_s", "ranks",
                                           "importance", "ranks_max",  "account"};

static int read_names(char *line, int *columns[COLUMNS]) {
    int found[COLUMNS] = {-1, -1, -1, -1, -1, -1}, column = 0;
    for (char *name; (name = strsep(&line, ",")); column++)
        for (int i = 0; i < COLUMNS; i++)
            if (strcmp(name, names[i]) == 0)
                found[i] = column;
    for (int i = 0; i < COLUMNS; i++) {
        if (found[i] < 0 && i < NEEDED)
            return qd_error_set(QD_EDATA,
                                "no column %s; the first line names the columns, among them "
                                "submit_s, duration_s and ranks",
                                names[i]);
        *columns[i] = found[i];
    }
    return 0;
}

static int parse_whole(int column, const char *word, int64_t *number) {
    char *end;
    *number = strtoll(word, &end, 10);
    if (*word == '\0' || *end != '\0')
        return qd_error_set(QD_EDATA, "%s '%s' is no whole number", names[column], word);
    return 0;
}

/* NULL: there is no such column. */
static int parse_importance(const char *word, int64_t *importance) {
    *importance = 0;
    int rc = word ? parse_whole(IMPORTANCE, word, importance) : 0;
    if (!rc && (*importance < -100 || *importance > 100))
        rc = qd_error_set(QD_EDATA, "importance %s; accepted: -100 .. 100", word);
    return rc;
}

/* NULL: there is no such column, and every job is rigid. */
static int parse_ranks_max(const char *word, int64_t ranks, int64_t *ranks_max) {
    *ranks_max = 0;
    if (!word)
        return 0;
    int rc = parse_whole(RANKS_MAX, word, ranks_max);
    if (!rc && (*ranks_max < ranks || *ranks_max > INT_MAX))
        rc = qd_error_set(QD_EDATA, "ranks_max %s; accepted: as many as ranks, %lld, or more", word,
                          (long long)ranks);
    return rc;
}

/* NULL: there is no such column, and all is one account's. */
static int find_account(qd_trace *trace, const char *word, int *account) {
    *account = 0;
    if (!word)
        return 0;
    if (!*word || strlen(word) >= QD_TRACE_ACCOUNT_BYTES)
        return qd_error_set(QD_EDATA, "account '%s'; accepted: 1 .. %d letters", word,
                            QD_TRACE_ACCOUNT_BYTES - 1);
    while (*account < trace->account_count && strcmp(trace->accounts[*account], word) != 0)
        ++*account;
    if (*account == QD_TRACE_ACCOUNTS)
        return qd_error_set(QD_EDATA, "account %s is one too many; accepted: up to %d", word,
                            QD_TRACE_ACCOUNTS);
    if (*account == trace->account_count)
        memcpy(trace->accounts[trace->account_count++], word, strlen(word) + 1);
    return 0;
}

static int add(qd_trace *trace, const int64_t ns[], int64_t ranks, int64_t ranks_max,
               int64_t importance, int account) {
    int before = trace->count;
    int rc = qd_trace_add(trace, ns[SUBMIT], ns[DURATION], ranks);
    if (trace->count > before)
        trace->jobs[before].importance = (int)importance;
    if (trace->count > before)
        trace->jobs[before].ranks_max = (int)ranks_max;
    if (trace->count > before)
        trace->jobs[before].account = account;
    return rc;
}

int qd_trace_csv_line(char *line, qd_trace_columns *state, qd_trace *trace) {
    int *columns[COLUMNS] = {&state->submit,     &state->duration,  &state->ranks,
                             &state->importance, &state->ranks_max, &state->account};
    const char *words[COLUMNS] = {0};
    int64_t ns[COLUMNS] = {0}, ranks = 0, ranks_max = 0, importance = 0;
    int account = 0;
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
        if (!words[i] && *columns[i] >= 0)
            return qd_error_set(QD_EDATA, "%d fields, no %s", count, names[i]);
    for (int i = SUBMIT; i <= DURATION; i++)
        if (!qd_trace_parse_ns(words[i], &ns[i]))
            return qd_error_set(QD_EDATA, "%s '%s' is no number of seconds", names[i], words[i]);
    int rc = parse_whole(RANKS, words[RANKS], &ranks);
    if (!rc)
        rc = parse_importance(words[IMPORTANCE], &importance);
    if (!rc)
        rc = parse_ranks_max(words[RANKS_MAX], ranks, &ranks_max);
    if (!rc)
        rc = find_account(trace, words[ACCOUNT], &account);
    return rc ? rc : add(trace, ns, ranks, ranks_max, importance, account);
}
