#include "worker/data/lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/quote.h"

typedef struct reader {
    const char *path;
    const qd_sample_spec *spec;
    long long line; /* from 1 */
} reader;

/* The label begin .. end, quoted for a message. */
static const char *show(const char *begin, const char *end, char shown[QD_QUOTE_BYTES]) {
    char label[QD_QUOTE_BYTES];
    size_t length = (size_t)(end - begin);
    if (length >= sizeof label)
        length = sizeof label - 1;
    memcpy(label, begin, length);
    label[length] = '\0';
    return qd_quote(label, shown);
}

static bool is_ignored(const reader *r, const char *begin, const char *end) {
    char ignored[16];
    int length = snprintf(ignored, sizeof ignored, "%d", (int)r->spec->ignored);
    return r->spec->has_ignored && end - begin == length &&
           memcmp(begin, ignored, (size_t)length) == 0;
}

/* Digits only; what is beyond every class stays so, however long it is. */
static int take_label(const reader *r, const char *begin, const char *end, int32_t *label) {
    char shown[QD_QUOTE_BYTES];
    long long classes = (long long)r->spec->classes, value = 0;
    bool digits = begin < end;
    if (is_ignored(r, begin, end)) {
        *label = r->spec->ignored;
        return 0;
    }
    for (const char *c = begin; c < end && digits; c++) {
        digits = *c >= '0' && *c <= '9';
        if (value < classes)
            value = 10 * value + (*c - '0');
    }
    if (!digits)
        return qd_error_set(QD_EDATA,
                            "%s:%lld: label %s is no whole number; model.classes %lld allows 0 to "
                            "%lld",
                            r->path, r->line, show(begin, end, shown), classes, classes - 1);
    if (value >= classes)
        return qd_error_set(QD_EDATA, "%s:%lld: label %s; model.classes %lld allows 0 to %lld",
                            r->path, r->line, show(begin, end, shown), classes, classes - 1);
    *label = (int32_t)value;
    return 0;
}

static int check_text(const reader *r, const char *begin, const char *end) {
    long long tokens = (long long)r->spec->vocabulary;
    if (begin == end)
        return qd_error_set(QD_EDATA, "%s:%lld: the text behind the label is empty", r->path,
                            r->line);
    for (const char *c = begin; c < end; c++) {
        int token = (unsigned char)*c;
        if (token == 0)
            return qd_error_set(QD_EDATA,
                                "%s:%lld: byte %lld of the text is 0, which stands for padding",
                                r->path, r->line, (long long)(c - begin) + 1);
        if (token >= tokens)
            return qd_error_set(QD_EDATA,
                                "%s:%lld: byte %lld of the text is %d; model.vocabulary %lld "
                                "allows 1 to %lld; 256 allows all",
                                r->path, r->line, (long long)(c - begin) + 1, token, tokens,
                                tokens - 1);
    }
    return 0;
}

static int take_line(const reader *r, const char *begin, const char *end, qd_line *line) {
    const char *tab = memchr(begin, '\t', (size_t)(end - begin));
    if (!tab)
        return qd_error_set(QD_EDATA, "%s:%lld: %s; a line is a label, a tab and a text", r->path,
                            r->line, begin == end ? "the line is empty" : "there is no tab");
    int rc = take_label(r, begin, tab, &line->label);
    if (!rc)
        rc = check_text(r, tab + 1, end);
    line->text = tab + 1;
    line->length = end - line->text;
    return rc;
}

static int take_lines(reader *r, const char *text, size_t length, qd_lines *lines) {
    const char *end = text + length;
    for (const char *at = text; at < end; r->line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *behind = newline ? newline : end;
        const char *last = behind > at && behind[-1] == '\r' ? behind - 1 : behind;
        int rc = take_line(r, at, last, &lines->line[lines->count]);
        if (rc)
            return rc;
        lines->count++;
        at = newline ? newline + 1 : end;
    }
    return lines->count > 0 ? 0 : qd_error_set(QD_EDATA, "%s: holds no sample", r->path);
}

/* Lines, whole or not. */
static size_t most_lines(const char *text, size_t length) {
    size_t count = 1;
    for (const char *at = text; (at = memchr(at, '\n', (size_t)(text + length - at))); at++)
        count++;
    return count;
}

int qd_lines_parse(const char *path, const char *text, size_t length, const qd_sample_spec *spec,
                   qd_lines *out) {
    reader r = {.path = path, .spec = spec, .line = 1};
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        return qd_error_set(QD_EDATA, "%s:1: begins with a byte order mark; save it without", path);
    size_t most = most_lines(text, length);
    qd_lines lines = {.line = calloc(most, sizeof *lines.line)};
    if (!lines.line)
        return qd_error_set(QD_ENOMEM, "%s: no memory for %zu samples", path, most);
    int rc = take_lines(&r, text, length, &lines);
    if (rc) {
        qd_lines_fini(&lines);
        return rc;
    }
    *out = lines;
    return 0;
}

void qd_lines_fini(qd_lines *lines) {
    free(lines->line);
    *lines = (qd_lines){0};
}
