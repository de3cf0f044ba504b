#include "launch/utilization_report.h"

#include <glob.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/file.h"

enum { MOST_LOG_BYTES = 1 << 30 };

static bool add_line(qd_rank_utilization *r, json_t *line) {
    const char *host;
    json_int_t steps, memory, peak = 0;
    double wall, samples_per_s;
    if (json_unpack(line, "{s:s, s:I, s:F, s:F, s:I, s?I}", "host", &host, "steps", &steps,
                    "wall_s", &wall, "samples_per_s", &samples_per_s, "memory_bytes", &memory,
                    "peak_memory_bytes", &peak) != 0)
        return false;
    double seconds[QD_SPAN_KINDS];
    for (int k = 0; k < QD_SPAN_KINDS; k++) {
        char key[32];
        snprintf(key, sizeof key, "%s_s", qd_span_names[k]);
        const json_t *value = json_object_get(line, key);
        if (!json_is_number(value))
            return false;
        seconds[k] = json_number_value(value);
    }
    for (int k = 0; k < QD_SPAN_KINDS; k++)
        r->span_s[k] += seconds[k];
    snprintf(r->host, sizeof r->host, "%s", host);
    r->intervals++;
    r->steps += steps;
    r->wall_s += wall;
    r->samples += samples_per_s * wall;
    if (peak < memory) /* a line from before the peak was logged */
        peak = memory;
    if (peak > r->peak_memory_bytes)
        r->peak_memory_bytes = peak;
    return true;
}

static int read_log(const char *path, qd_rank_utilization *r) {
    char *bytes;
    size_t length;
    int rc = qd_file_read(path, MOST_LOG_BYTES, &bytes, &length);
    if (rc)
        return rc;
    char *at = bytes;
    for (int number = 1; !rc && *at; number++) {
        char *end = strchr(at, '\n');
        if (!end)
            break; /* its writer was killed in the middle of it */
        *end = '\0';
        json_t *line = json_loads(at, 0, NULL);
        if (!line || !add_line(r, line))
            rc = qd_error_set(QD_EDATA, "%s:%d: not a line of a utilization log", path, number);
        json_decref(line);
        at = end + 1;
    }
    free(bytes);
    return rc;
}

static int by_rank(const void *a, const void *b) {
    const qd_rank_utilization *x = a, *y = b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

static int read_all(const glob_t *found, qd_utilization_report *report) {
    report->ranks = calloc(found->gl_pathc, sizeof *report->ranks);
    if (!report->ranks)
        return qd_error_set(QD_ENOMEM, "no memory for %zu ranks", found->gl_pathc);
    for (size_t i = 0; i < found->gl_pathc; i++) {
        qd_rank_utilization *r = &report->ranks[report->rank_count];
        if (sscanf(strrchr(found->gl_pathv[i], '/'), "/rank-%d.jsonl", &r->rank) != 1)
            continue;
        int rc = read_log(found->gl_pathv[i], r);
        if (rc)
            return rc;
        report->rank_count++;
    }
    qsort(report->ranks, (size_t)report->rank_count, sizeof *report->ranks, by_rank);
    return 0;
}

int qd_utilization_report_read(const char *run_folder, qd_utilization_report *report) {
    char pattern[PATH_MAX];
    glob_t found;
    int rc = qd_path_join(pattern, sizeof pattern, run_folder, "rank-*.jsonl");
    if (rc)
        return rc;
    if (glob(pattern, 0, NULL, &found) != 0)
        return qd_error_set(QD_EIO,
                            "%s: no utilization log (rank-*.jsonl) there; name the run folder that "
                            "`quadrille run' printed",
                            run_folder);
    rc = read_all(&found, report);
    globfree(&found);
    return rc;
}

void qd_utilization_report_fini(qd_utilization_report *report) {
    free(report->ranks);
    *report = (qd_utilization_report){0};
}
