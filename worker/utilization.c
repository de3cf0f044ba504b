#include "worker/utilization.h"

#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/line_log.h"
#include "runtime/resident.h"

/* Significant digits of a real: nanoseconds of intervals up to a second, microseconds beyond. */
enum { REAL_DIGITS = 9 };

struct qd_utilization {
    qd_line_log *lines;
    char *job, *host;
    int attempt, rank;
    size_t arena_bytes;
    int64_t since_ns;
};

int qd_utilization_create(const qd_utilization_config *config, qd_utilization **out) {
    char name[32], path[PATH_MAX];
    if (config->started_ns <= 0)
        return qd_error_set(QD_EINTERNAL, "the account of a rank's time has no beginning");
    qd_utilization *u = calloc(1, sizeof *u);
    if (!u)
        return qd_error_set(QD_ENOMEM, "no memory for the account of a rank's time");
    u->attempt = config->attempt;
    u->rank = config->rank;
    u->arena_bytes = config->arena_bytes;
    u->since_ns = config->started_ns;
    u->job = strdup(config->job);
    u->host = strdup(config->host);
    snprintf(name, sizeof name, "rank-%d.jsonl", config->rank);
    int rc = qd_path_join(path, sizeof path, config->run_folder, name);
    if (!rc && (!u->job || !u->host))
        rc = qd_error_set(QD_ENOMEM, "%s: no memory", path);
    if (!rc)
        rc = qd_line_log_open(path, &u->lines);
    if (rc) {
        qd_utilization_destroy(u);
        return rc;
    }
    *out = u;
    return 0;
}

void qd_utilization_destroy(qd_utilization *u) {
    if (!u)
        return;
    qd_line_log_close(u->lines);
    free(u->job);
    free(u->host);
    free(u);
}

static int add_spans(json_t *line, const int64_t total_ns[QD_SPAN_KINDS]) {
    for (int kind = 0; kind < QD_SPAN_KINDS; kind++) {
        char key[32];
        snprintf(key, sizeof key, "%s_s", qd_span_names[kind]);
        if (json_object_set_new(line, key, json_real((double)total_ns[kind] * 1e-9)) < 0)
            return -1;
    }
    return 0;
}

static int add_line(qd_utilization *u, const json_t *line) {
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(REAL_DIGITS));
    if (!text)
        return qd_error_set(QD_ENOMEM, "%s: no memory for a line", qd_line_log_path(u->lines));
    int rc = qd_line_log_add(u->lines, text, strlen(text));
    free(text);
    return rc ? rc : qd_line_log_flush(u->lines);
}

int qd_utilization_write(qd_utilization *u, qd_span_clock *clock, int64_t step, int64_t steps,
                         int64_t samples, float loss) {
    int64_t total_ns[QD_SPAN_KINDS];
    char time[32];
    qd_span_take(clock, total_ns);
    int64_t now = qd_clock_now_ns();
    double wall_s = (double)(now - u->since_ns) * 1e-9;
    u->since_ns = now;
    qd_clock_utc(time, sizeof time);
    json_t *line =
        json_pack("{s:s, s:s, s:i, s:i, s:s, s:I, s:I, s:f}", "time", time, "job", u->job,
                  "attempt", u->attempt, "rank", u->rank, "host", u->host, "step", (json_int_t)step,
                  "steps", (json_int_t)steps, "wall_s", wall_s);
    if (line && add_spans(line, total_ns) == 0) {
        double rate = wall_s > 0 ? (double)samples / wall_s : 0;
        json_object_set_new(line, "samples_per_s", json_real(rate));
        json_object_set_new(line, "loss", isfinite(loss) ? json_real((double)loss) : json_null());
        json_object_set_new(line, "memory_bytes", json_integer(qd_resident_bytes()));
        json_object_set_new(line, "peak_memory_bytes", json_integer(qd_resident_peak_bytes()));
        json_object_set_new(line, "arena_bytes", json_integer((json_int_t)u->arena_bytes));
    }
    int rc = line ? add_line(u, line) : qd_error_set(QD_ENOMEM, "no memory for a line");
    json_decref(line);
    return rc;
}
