#include "worker/steps_log.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/line_log.h"

enum { LINE_BYTES = 256 };

struct qd_steps_log {
    qd_line_log *lines;
    int64_t opened_at;
    bool has[QD_SPLITS]; /* evaluations of step opened_at that an earlier attempt has logged */
};

/* ---- opening: keeping the lines of an earlier attempt ---- */

static void note_evaluation(qd_steps_log *log, const json_t *line) {
    const char *name = json_string_value(json_object_get(line, "split"));
    for (int split = 0; name && split < QD_SPLITS; split++)
        log->has[split] = log->has[split] || strcmp(name, qd_split_names[split]) == 0;
}

/* Whether a line is one of ours, whole, and of a step up to that of opening. */
static bool stays(qd_steps_log *log, const char *line, size_t length) {
    if (length == 0 || line[length - 1] != '\n')
        return false;
    json_t *json = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
    json_t *of = json_object_get(json, "step");
    bool yes = json_is_integer(of) && json_integer_value(of) <= log->opened_at;
    if (yes && json_integer_value(of) == log->opened_at)
        note_evaluation(log, json);
    json_decref(json);
    return yes;
}

static int copy_lines(qd_steps_log *log, const char *path, FILE *from, FILE *to) {
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    int rc = 0;
    while (!rc && (length = getline(&line, &capacity, from)) >= 0)
        if (stays(log, line, (size_t)length) &&
            fwrite(line, 1, (size_t)length, to) != (size_t)length)
            rc = qd_error_set_errno(QD_EIO, errno, "%s.tmp", path);
    if (!rc && ferror(from))
        rc = qd_error_set_errno(QD_EIO, errno, "%s", path);
    free(line);
    return rc;
}

/* Writes PATH.tmp with the lines that stay, and puts it in place of PATH. */
static int keep_lines(qd_steps_log *log, const char *path) {
    char aside[PATH_MAX];
    int rc = 0;
    if (snprintf(aside, sizeof aside, "%s.tmp", path) >= (int)sizeof aside)
        return qd_error_set(QD_EIO, "%s: path too long", path);
    FILE *from = fopen(path, "re");
    if (!from)
        return errno == ENOENT ? 0 : qd_error_set_errno(QD_EIO, errno, "%s", path);
    FILE *to = fopen(aside, "we");
    if (to)
        rc = copy_lines(log, path, from, to);
    else
        rc = qd_error_set_errno(QD_EIO, errno, "%s", aside);
    if (!rc && (fflush(to) != 0 || fsync(fileno(to)) < 0))
        rc = qd_error_set_errno(QD_EIO, errno, "%s", aside);
    if (to && fclose(to) != 0 && !rc)
        rc = qd_error_set_errno(QD_EIO, errno, "%s", aside);
    fclose(from);
    if (!rc && rename(aside, path) < 0)
        rc = qd_error_set_errno(QD_EIO, errno, "%s: rename", path);
    if (rc)
        unlink(aside);
    return rc;
}

int qd_steps_log_open(const char *run_folder, int64_t step, qd_steps_log **out) {
    char path[PATH_MAX];
    qd_steps_log *log = calloc(1, sizeof *log);
    if (!log)
        return qd_error_set(QD_ENOMEM, "no memory for the log of steps");
    log->opened_at = step;
    int rc = qd_path_join(path, sizeof path, run_folder, "steps.jsonl");
    if (!rc)
        rc = keep_lines(log, path);
    if (!rc)
        rc = qd_line_log_open(path, &log->lines);
    if (rc) {
        free(log);
        return rc;
    }
    *out = log;
    return 0;
}

static void visit_validation(const char *line, size_t length,
                             void (*visit)(void *context, int64_t step, double loss),
                             void *context) {
    json_t *json = json_loadb(line, length, 0, NULL);
    const char *split = json_string_value(json_object_get(json, "split"));
    const json_t *loss = json_object_get(json, "loss");
    if (split && strcmp(split, qd_split_names[QD_SPLIT_VALIDATION]) == 0)
        visit(context, json_integer_value(json_object_get(json, "step")),
              json_is_number(loss) ? json_number_value(loss) : (double)NAN);
    json_decref(json);
}

int qd_steps_log_validations(const qd_steps_log *log,
                             void (*visit)(void *context, int64_t step, double loss),
                             void *context) {
    const char *path = qd_line_log_path(log->lines);
    FILE *from = fopen(path, "re");
    if (!from)
        return qd_error_set_errno(QD_EIO, errno, "%s", path);
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    while ((length = getline(&line, &capacity, from)) >= 0)
        visit_validation(line, (size_t)length, visit, context);
    int rc = ferror(from) ? qd_error_set_errno(QD_EIO, errno, "%s", path) : 0;
    free(line);
    fclose(from);
    return rc;
}

/* ---- adding lines ---- */

/* A JSON number of that many significant digits, or null. */
static const char *number(char *text, size_t size, int digits, double value) {
    if (isfinite(value))
        snprintf(text, size, "%.*g", digits, value);
    else
        snprintf(text, size, "null");
    return text;
}

enum { FLOAT_DIGITS = 9, DOUBLE_DIGITS = 17, NUMBER_BYTES = 32 };

int qd_steps_log_step(qd_steps_log *log, int64_t step, float loss, double gradient_norm) {
    char line[LINE_BYTES], value[NUMBER_BYTES], norm[NUMBER_BYTES];
    int length =
        snprintf(line, sizeof line, "{\"step\":%lld,\"loss\":%s,\"grad_norm\":%s,\"bits\":\"%a\"}",
                 (long long)step, number(value, sizeof value, FLOAT_DIGITS, (double)loss),
                 number(norm, sizeof norm, FLOAT_DIGITS, gradient_norm), (double)loss);
    return qd_line_log_add(log->lines, line, (size_t)length);
}

int qd_steps_log_evaluation(qd_steps_log *log, int64_t step, qd_split split, double loss,
                            double accuracy, int64_t samples) {
    if (step == log->opened_at && log->has[split])
        return 0;
    char line[LINE_BYTES], value[NUMBER_BYTES], part[NUMBER_BYTES];
    int length = snprintf(
        line, sizeof line,
        "{\"step\":%lld,\"split\":\"%s\",\"loss\":%s,\"accuracy\":%s,\"samples\":%lld}",
        (long long)step, qd_split_names[split], number(value, sizeof value, DOUBLE_DIGITS, loss),
        number(part, sizeof part, DOUBLE_DIGITS, accuracy), (long long)samples);
    return qd_line_log_add(log->lines, line, (size_t)length);
}

int qd_steps_log_flush(qd_steps_log *log) {
    return qd_line_log_flush(log->lines);
}

int qd_steps_log_close(qd_steps_log *log) {
    if (!log)
        return 0;
    int rc = qd_line_log_close(log->lines);
    free(log);
    return rc;
}
