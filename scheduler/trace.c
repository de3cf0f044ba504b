#include "scheduler/trace.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "runtime/error.h"

enum { LINE_BYTES = 4096, NS_DIGITS = 9 };

static const struct {
    const char *ending;
    qd_trace_line *take;
} formats[] = {
    {".csv", qd_trace_csv_line},
    {".swf", qd_trace_swf_line},
};

bool qd_trace_parse_ns(const char *word, int64_t *ns) {
    bool negative = *word == '-';
    const char *at = word + (negative || *word == '+');
    int64_t value = 0;
    int digits = 0, decimals = -1; /* -1: before the point */
    for (; *at; at++) {
        if (*at == '.' && decimals < 0) {
            decimals = 0;
            continue;
        }
        if (*at < '0' || *at > '9' || decimals == NS_DIGITS || value > INT64_MAX / 10 - 1)
            return false;
        value = 10 * value + (*at - '0');
        digits++;
        decimals += decimals >= 0;
    }
    for (int i = decimals < 0 ? 0 : decimals; i < NS_DIGITS; i++)
        if (__builtin_mul_overflow(value, 10, &value))
            return false;
    *ns = negative ? -value : value;
    return digits > 0;
}

int qd_trace_add(qd_trace *trace, int64_t submit_ns, int64_t duration_ns, int64_t ranks) {
    if (submit_ns < 0)
        return qd_error_set(QD_EDATA, "a submission before time 0");
    if (ranks > INT_MAX)
        return qd_error_set(QD_EDATA, "%lld ranks; accepted: up to %d", (long long)ranks, INT_MAX);
    if (duration_ns < 0 || ranks < 1) {
        trace->left_out++;
        return 0;
    }
    if (trace->count == trace->capacity) {
        int capacity = trace->capacity ? 2 * trace->capacity : 1024;
        qd_trace_job *jobs = realloc(trace->jobs, (size_t)capacity * sizeof *jobs);
        if (!jobs)
            return qd_error_set(QD_ENOMEM, "no memory for %d jobs", capacity);
        trace->jobs = jobs;
        trace->capacity = capacity;
    }
    trace->jobs[trace->count++] = (qd_trace_job){.submit_ns = submit_ns,
                                                 .duration_ns = duration_ns,
                                                 .ranks = (int)ranks,
                                                 .ranks_max = (int)ranks};
    if ((int)ranks > trace->widest)
        trace->widest = (int)ranks;
    return 0;
}

/* Finds the format by the ending of path, and sets the trace's name. */
static qd_trace_line *find_format(const char *path, qd_trace *trace) {
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    size_t length = strlen(base);
    if (length > 3 && strcmp(base + length - 3, ".gz") == 0)
        length -= 3;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        size_t ending = strlen(formats[i].ending);
        if (length <= ending || strncmp(base + length - ending, formats[i].ending, ending) != 0)
            continue;
        snprintf(trace->name, sizeof trace->name, "%.*s", (int)(length - ending), base);
        return formats[i].take;
    }
    qd_error_set(QD_EDATA, "%s: no known kind of trace; accepted: .csv, .swf, .csv.gz, .swf.gz",
                 path);
    return NULL;
}

static int read_error(gzFile file, const char *path) {
    int code = Z_OK;
    const char *text = gzerror(file, &code);
    if (code == Z_ERRNO)
        return qd_error_set_errno(QD_EIO, errno, "%s: read", path);
    return qd_error_set(QD_EDATA, "%s: damaged or cut short: %s", path, text);
}

static bool is_damaged(gzFile file) {
    int code = Z_OK;
    gzerror(file, &code);
    return code != Z_OK && code != Z_STREAM_END;
}

static int read_lines(gzFile file, const char *path, qd_trace_line *take, qd_trace *trace) {
    char line[LINE_BYTES];
    qd_trace_columns columns = {0};
    int number = 0;
    while (gzgets(file, line, sizeof line)) {
        size_t length = strlen(line);
        number++;
        if (length == sizeof line - 1 && line[length - 1] != '\n')
            return qd_error_set(QD_EDATA, "%s:%d: a line of more than %zu bytes", path, number,
                                sizeof line - 2);
        bool last = length == 0 || line[length - 1] != '\n';
        if (last && is_damaged(file))
            break;
        line[strcspn(line, "\r\n")] = '\0';
        int rc = take(line, &columns, trace);
        if (rc)
            return qd_error_context(rc, "%s:%d", path, number);
    }
    if (is_damaged(file))
        return read_error(file, path);
    if (trace->count == 0)
        return qd_error_set(QD_EDATA, "%s: holds no job", path);
    return 0;
}

/* Merges sorted halves of jobs[0 .. count) through scratch: stable, as qsort is not. */
static void sort(qd_trace_job *jobs, int count, qd_trace_job *scratch) {
    if (count < 2)
        return;
    int half = count / 2, i = 0, j = half, n = 0;
    sort(jobs, half, scratch);
    sort(jobs + half, count - half, scratch);
    while (i < half && j < count)
        scratch[n++] = jobs[j].submit_ns < jobs[i].submit_ns ? jobs[j++] : jobs[i++];
    while (i < half)
        scratch[n++] = jobs[i++];
    memcpy(jobs, scratch, (size_t)n * sizeof *jobs);
}

static int sort_by_submission(qd_trace *trace) {
    qd_trace_job *scratch = malloc((size_t)trace->count * sizeof *scratch);
    if (!scratch)
        return qd_error_set(QD_ENOMEM, "no memory for %d jobs", trace->count);
    sort(trace->jobs, trace->count, scratch);
    free(scratch);
    return 0;
}

int qd_trace_load(const char *path, qd_trace *out) {
    qd_trace trace = {0};
    qd_trace_line *take = find_format(path, &trace);
    if (!take)
        return QD_EDATA;
    gzFile file = gzopen(path, "rb"); /* reads what is not compressed as it is */
    if (!file)
        return qd_error_set_errno(QD_EIO, errno, "%s: open", path);
    gzbuffer(file, 1 << 16);
    int rc = read_lines(file, path, take, &trace);
    gzclose(file);
    if (!rc)
        rc = sort_by_submission(&trace);
    if (rc)
        qd_trace_fini(&trace);
    else
        *out = trace;
    return rc;
}

void qd_trace_fini(qd_trace *trace) {
    free(trace->jobs);
    *trace = (qd_trace){0};
}
