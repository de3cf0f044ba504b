#include "worker/data/csv.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "runtime/error.h"
#include "runtime/quote.h"

typedef struct reader {
    const char *path;
    const qd_csv_layout *layout;
    int64_t columns;
    int64_t line; /* from 1 */
    locale_t c_locale;
} reader;

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/* The field begin .. end, quoted for a message. */
static const char *show(const char *begin, const char *end, char shown[QD_QUOTE_BYTES]) {
    char field[QD_QUOTE_BYTES];
    size_t length = (size_t)(end - begin);
    if (length >= sizeof field)
        length = sizeof field - 1;
    memcpy(field, begin, length);
    field[length] = '\0';
    return qd_quote(field, shown);
}

static bool is_infinite_word(const char *begin, const char *end) {
    static const char *const words[] = {"nan", "inf", "infinity"};
    begin += begin < end && (*begin == '+' || *begin == '-');
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if ((size_t)(end - begin) == strlen(words[i]) &&
            strncasecmp(begin, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

/* Only what these letters can say is a number here: strtod alone would take hexadecimal too. */
static bool read_number(const reader *r, const char *begin, const char *end, double *number) {
    char *behind;
    for (const char *c = begin; c < end; c++)
        if (!*c || !strchr("+-.0123456789eE", *c))
            return false;
    *number = strtod_l(begin, &behind, r->c_locale);
    return behind == end;
}

static int refuse(const reader *r, int64_t column, const char *problem) {
    return qd_error_set(QD_EDATA, "%s:%lld: column %lld: %s", r->path, (long long)r->line,
                        (long long)column + 1, problem);
}

static int refuse_field(const reader *r, int64_t column, const char *begin, const char *end) {
    char shown[QD_QUOTE_BYTES], problem[2 * QD_QUOTE_BYTES];
    if (begin == end)
        return refuse(r, column, "the field is empty; expected a number");
    bool word = is_infinite_word(begin, end);
    snprintf(problem, sizeof problem, "%s is %s%s", show(begin, end, shown),
             word ? "not finite" : "no number",
             !word && r->line == 1 && !r->layout->header ? "; if this is a heading, set data.header"
                                                         : "");
    return refuse(r, column, problem);
}

/* The field begin .. end, without the blanks around it, to slot. */
static int take_field(const reader *r, int64_t column, const char *begin, const char *end,
                      char *slot) {
    char problem[QD_NUMBER_PROBLEM_BYTES];
    const qd_csv_layout *layout = r->layout;
    const qd_number_rule *rule =
        column < layout->inputs ? &layout->input_rule : &layout->target_rule;
    double number;
    while (begin < end && is_blank(*begin))
        begin++;
    while (begin < end && is_blank(end[-1]))
        end--;
    if (begin == end || !read_number(r, begin, end, &number))
        return refuse_field(r, column, begin, end);
    if (!qd_number_fits(rule, number, problem))
        return refuse(r, column, problem);
    qd_number_store(rule, number, slot);
    return 0;
}

/* Whether a line has as many fields as it must. */
static int check_fields(const reader *r, const char *begin, const char *end) {
    int64_t columns = 1;
    if (begin == end)
        return qd_error_set(QD_EDATA, "%s:%lld: the line is empty; expected %lld columns", r->path,
                            (long long)r->line, (long long)r->columns);
    for (const char *c = begin; c < end; c++)
        if (*c == '"')
            return refuse(r, columns - 1, "quotes are not accepted; write numbers without them");
        else
            columns += *c == ',';
    if (columns == r->columns)
        return 0;
    return qd_error_set(QD_EDATA,
                        "%s:%lld: column %lld: the line has %lld columns; expected %lld: %lld of "
                        "inputs, then %lld of targets",
                        r->path, (long long)r->line,
                        (long long)(columns < r->columns ? columns : r->columns + 1),
                        (long long)columns, (long long)r->columns, (long long)r->layout->inputs,
                        (long long)r->layout->targets);
}

static int take_line(const reader *r, const char *begin, const char *end, char *slots) {
    int rc = check_fields(r, begin, end);
    for (int64_t column = 0; !rc && column < r->columns; column++) {
        const char *comma = memchr(begin, ',', (size_t)(end - begin));
        const char *behind = comma ? comma : end;
        rc = take_field(r, column, begin, behind, slots + column * QD_NUMBER_BYTES);
        begin = comma ? comma + 1 : end;
    }
    return rc;
}

/* Rows that the text can hold at most, and one more, in which parsing stops at the latest: a row
 * takes two bytes a column. */
static int64_t most_rows(const char *text, size_t length, int64_t columns) {
    int64_t lines = 1, bound = ((int64_t)length + 1) / (2 * columns);
    for (const char *at = text; (at = memchr(at, '\n', (size_t)(text + length - at))); at++)
        lines++;
    return (lines < bound ? lines : bound) + 1;
}

static int take_lines(reader *r, const char *text, size_t length, qd_csv *csv) {
    const char *end = text + length;
    for (const char *at = text; at < end; r->line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *behind = newline ? newline : end;
        const char *last = behind > at && behind[-1] == '\r' ? behind - 1 : behind;
        if (r->line > 1 || !r->layout->header) {
            char *row = csv->slots + csv->rows * r->columns * QD_NUMBER_BYTES;
            int rc = take_line(r, at, last, row);
            if (rc)
                return rc;
            csv->rows++;
        }
        at = newline ? newline + 1 : end;
    }
    return csv->rows > 0 ? 0 : qd_error_set(QD_EDATA, "%s: holds no sample", r->path);
}

int qd_csv_parse(const char *path, const char *text, size_t length, const qd_csv_layout *layout,
                 qd_csv *out) {
    reader r = {
        .path = path, .layout = layout, .columns = layout->inputs + layout->targets, .line = 1};
    qd_csv csv = {0};
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        return qd_error_set(QD_EDATA, "%s:1: begins with a byte order mark; save it without", path);
    int64_t rows = most_rows(text, length, r.columns);
    csv.slots = malloc((size_t)(rows * r.columns) * QD_NUMBER_BYTES);
    r.c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    int rc = csv.slots && r.c_locale
                 ? take_lines(&r, text, length, &csv)
                 : qd_error_set(QD_ENOMEM, "%s: no memory for %lld samples", path, (long long)rows);
    if (r.c_locale)
        freelocale(r.c_locale);
    if (rc) {
        qd_csv_fini(&csv);
        return rc;
    }
    *out = csv;
    return 0;
}

void qd_csv_fini(qd_csv *csv) {
    free(csv->slots);
    *csv = (qd_csv){0};
}
