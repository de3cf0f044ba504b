#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/schema_kind.h"

/* The fewest digits, 15 or more, that read back equal: 0.1 stays "0.1". The point is for readers
 * that take 1e-08 for a word (YAML 1.1). */
static void write_double(double value, qd_text *out) {
    char digits[40];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    const char *exponent = strchr(digits, 'e');
    if (exponent && !strchr(digits, '.'))
        qd_text_add(out, "%.*s.0%s", (int)(exponent - digits), digits, exponent);
    else
        qd_text_add(out, "%s", digits);
}

static void accepted_int(const qd_field *field, qd_text *out) {
    qd_text_add(out, "%.0f .. %.0f", field->min, field->max);
}

static void accepted_auto_int(const qd_field *field, qd_text *out) {
    qd_text_add(out, "auto, or ");
    accepted_int(field, out);
}

static void accepted_uint(const qd_field *field, qd_text *out) {
    (void)field;
    qd_text_add(out, "0 .. %" PRIu64, UINT64_MAX);
}

static void accepted_real(const qd_field *field, qd_text *out) {
    qd_text_add(out, field->flags & QD_FIELD_ABOVE_MIN ? "above " : "");
    write_double(field->min, out);
    qd_text_add(out, field->flags & QD_FIELD_BELOW_MAX ? " .. below " : " .. ");
    write_double(field->max, out);
}

/* A value that is no number of the kind: what would be one is said along. */
static int no_number(qd_text *problem, const qd_field *field, const char *text, const char *why,
                     void (*accepted)(const qd_field *, qd_text *)) {
    int rc = qd_schema_wrong(problem, text, why);
    qd_text_add(problem, "; accepted: ");
    accepted(field, problem);
    return rc;
}

static int out_of_range(qd_text *problem, const qd_field *field, const char *text,
                        void (*accepted)(const qd_field *, qd_text *)) {
    qd_text_add(problem, "%.40s is out of range; accepted: ", text);
    accepted(field, problem);
    return QD_ECONFIG;
}

static bool in_range(const qd_field *field, double value) {
    if (value < field->min || (field->flags & QD_FIELD_ABOVE_MIN && value <= field->min))
        return false;
    return !(value > field->max || (field->flags & QD_FIELD_BELOW_MAX && value >= field->max));
}

/* Whether text is [-]DIGITS. 010 would be eight to some readers of YAML and ten to others. */
static int check_whole(const qd_field *field, const char *text, qd_text *problem,
                       void (*accepted)(const qd_field *, qd_text *)) {
    const char *digits = text + (*text == '-');
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || digits[count] != '\0')
        return no_number(problem, field, text, "is not a whole number", accepted);
    if (count > 1 && digits[0] == '0')
        return qd_schema_wrong(problem, text, "starts with a zero; write the number without it");
    return 0;
}

static int read_whole(const qd_field *field, const char *text, void *at, qd_text *problem,
                      void (*accepted)(const qd_field *, qd_text *)) {
    int rc = check_whole(field, text, problem, accepted);
    if (rc)
        return rc;
    errno = 0;
    int64_t value = strtoll(text, NULL, 10);
    if (errno || !in_range(field, (double)value))
        return out_of_range(problem, field, text, accepted);
    memcpy(at, &value, sizeof value);
    return 0;
}

static int read_int(const qd_field *field, const char *text, void *at, qd_text *problem) {
    return read_whole(field, text, at, problem, accepted_int);
}

static void write_int(const qd_field *field, const void *at, qd_text *out) {
    (void)field;
    int64_t value;
    memcpy(&value, at, sizeof value);
    qd_text_add(out, "%" PRId64, value);
}

static int read_auto_int(const qd_field *field, const char *text, void *at, qd_text *problem) {
    if (strcmp(text, "auto") == 0) {
        memset(at, 0, sizeof(int64_t));
        return 0;
    }
    if (text[strspn(text, "-0123456789")] != '\0')
        return no_number(problem, field, text, "is neither a whole number nor auto",
                         accepted_auto_int);
    return read_whole(field, text, at, problem, accepted_auto_int);
}

static void write_auto_int(const qd_field *field, const void *at, qd_text *out) {
    int64_t value;
    memcpy(&value, at, sizeof value);
    if (value)
        write_int(field, at, out);
    else
        qd_text_add(out, "auto");
}

static void accepted_int_or_none(const qd_field *field, qd_text *out) {
    qd_text_add(out, "none, or ");
    accepted_int(field, out);
}

static int read_int_or_none(const qd_field *field, const char *text, void *at, qd_text *problem) {
    qd_optional_int *to = at;
    if (strcmp(text, "none") == 0) {
        to->value = 0;
        to->given = false;
        return 0;
    }
    if (text[strspn(text, "-0123456789")] != '\0')
        return no_number(problem, field, text, "is neither a whole number nor none",
                         accepted_int_or_none);
    int rc = read_whole(field, text, &to->value, problem, accepted_int_or_none);
    to->given = to->given || !rc;
    return rc;
}

static void write_int_or_none(const qd_field *field, const void *at, qd_text *out) {
    const qd_optional_int *from = at;
    if (from->given)
        write_int(field, &from->value, out);
    else
        qd_text_add(out, "none");
}

static int read_uint(const qd_field *field, const char *text, void *at, qd_text *problem) {
    int rc = check_whole(field, text, problem, accepted_uint);
    if (rc)
        return rc;
    errno = 0;
    uint64_t value = strtoull(text, NULL, 10);
    if (errno || text[0] == '-')
        return out_of_range(problem, field, text, accepted_uint);
    memcpy(at, &value, sizeof value);
    return 0;
}

static void write_uint(const qd_field *field, const void *at, qd_text *out) {
    (void)field;
    uint64_t value;
    memcpy(&value, at, sizeof value);
    qd_text_add(out, "%" PRIu64, value);
}

/* Whether text is [-]DIGITS[.DIGITS][e[+-]DIGITS], with a digit on either side of the point at
 * least: strtod alone would take inf, nan and hexadecimal too. */
static bool is_real(const char *text) {
    static const char digits[] = "0123456789";
    text += *text == '-';
    size_t whole = strspn(text, digits), fraction = 0;
    text += whole;
    if (*text == '.') {
        fraction = strspn(++text, digits);
        text += fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (*text == 'e' || *text == 'E') {
        text++;
        text += *text == '-' || *text == '+';
        size_t exponent = strspn(text, digits);
        if (exponent == 0)
            return false;
        text += exponent;
    }
    return *text == '\0';
}

static int read_real(const qd_field *field, const char *text, void *at, qd_text *problem) {
    if (!is_real(text))
        return no_number(problem, field, text, "is not a number", accepted_real);
    double value = strtod(text, NULL);
    if (!in_range(field, value))
        return out_of_range(problem, field, text, accepted_real);
    memcpy(at, &value, sizeof value);
    return 0;
}

static void write_real(const qd_field *field, const void *at, qd_text *out) {
    (void)field;
    double value;
    memcpy(&value, at, sizeof value);
    write_double(value, out);
}

const qd_schema_kind qd_schema_int = {"a whole number, ", true, read_int, write_int, accepted_int};
const qd_schema_kind qd_schema_auto_int = {"", true, read_auto_int, write_auto_int,
                                           accepted_auto_int};
const qd_schema_kind qd_schema_int_or_none = {"", true, read_int_or_none, write_int_or_none,
                                              accepted_int_or_none};
const qd_schema_kind qd_schema_uint = {"a whole number, ", true, read_uint, write_uint,
                                       accepted_uint};
const qd_schema_kind qd_schema_real = {"a number, ", true, read_real, write_real, accepted_real};
