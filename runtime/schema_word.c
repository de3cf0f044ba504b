#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "runtime/error.h"
#include "runtime/nearest.h"
#include "runtime/quote.h"
#include "runtime/schema_kind.h"

static int read_bool(const qd_field *field, const char *text, void *at, qd_text *problem) {
    (void)field;
    bool value = strcmp(text, "true") == 0;
    if (!value && strcmp(text, "false") != 0)
        return qd_schema_wrong(problem, text, "is neither true nor false");
    memcpy(at, &value, sizeof value);
    return 0;
}

static void write_bool(const qd_field *field, const void *at, qd_text *out) {
    (void)field;
    bool value;
    memcpy(&value, at, sizeof value);
    qd_text_add(out, value ? "true" : "false");
}

static void accepted_choice(const qd_field *field, qd_text *out) {
    for (size_t i = 0; field->choices[i]; i++)
        qd_text_add(out, "%s%s", i ? ", " : "", field->choices[i]);
}

static int read_choice(const qd_field *field, const char *text, void *at, qd_text *problem) {
    size_t count = 0;
    for (; field->choices[count]; count++) {
        if (strcmp(field->choices[count], text) != 0)
            continue;
        int value = (int)count;
        memcpy(at, &value, sizeof value);
        return 0;
    }
    qd_schema_wrong(problem, text, "is not known; ");
    const char *nearest = qd_nearest(text, field->choices, count);
    if (nearest)
        qd_text_add(problem, "did you mean \"%s\"? (", nearest);
    qd_text_add(problem, "accepted: ");
    accepted_choice(field, problem);
    qd_text_add(problem, nearest ? ")" : "");
    return QD_ECONFIG;
}

static void write_choice(const qd_field *field, const void *at, qd_text *out) {
    int value;
    memcpy(&value, at, sizeof value);
    qd_text_add(out, "%s", field->choices[value]);
}

static int read_text(const qd_field *field, const char *text, void *at, qd_text *problem) {
    size_t length = strlen(text);
    if (length == 0) {
        qd_text_add(problem, "the text is empty; expected 1 to %zu bytes", field->size - 1);
        return QD_ECONFIG;
    }
    if (length >= field->size) {
        qd_text_add(problem, "%zu bytes are too many; at most %zu are accepted", length,
                    field->size - 1);
        return QD_ECONFIG;
    }
    for (const char *c = text; *c; c += qd_printable(c))
        if (!qd_printable(c))
            return qd_schema_wrong(problem, text, "holds a character that is not printable");
    memcpy(at, text, length + 1);
    return 0;
}

/* Whether every reader of YAML takes the bare text for a text. */
static bool is_plain(const char *text) {
    static const char *const other[] = {"true", "false", "yes", "no",  "on",
                                        "off",  "y",     "n",   "null"};
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        if (strcasecmp(text, other[i]) == 0)
            return false;
    if (!isalpha((unsigned char)text[0]) && text[0] != '/' && text[0] != '_')
        return false;
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && !strchr("_./+-", *text))
            return false;
    return true;
}

static void write_text(const qd_field *field, const void *at, qd_text *out) {
    (void)field;
    const char *text = at;
    if (is_plain(text)) {
        qd_text_add(out, "%s", text);
        return;
    }
    qd_text_add(out, "\"");
    for (; *text; text++)
        qd_text_add(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    qd_text_add(out, "\"");
}

static int read_name(const qd_field *field, const char *text, void *at, qd_text *problem) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
    if (text[0] == '.' || text[0] == '_' || text[0] == '-' || text[strspn(text, letters)] != '\0')
        return qd_schema_wrong(
            problem, text,
            "is not a name; use a-z, 0-9, \".\", \"_\" and \"-\", and begin with a letter "
            "or a digit");
    return read_text(field, text, at, problem);
}

const qd_schema_kind qd_schema_bool = {"true or false", true, read_bool, write_bool, NULL};
const qd_schema_kind qd_schema_choice = {"one of ", false, read_choice, write_choice,
                                         accepted_choice};
const qd_schema_kind qd_schema_name = {"a name of a-z, 0-9, \".\", \"_\" and \"-\"", false,
                                       read_name, write_text, NULL};
const qd_schema_kind qd_schema_text = {"a text", false, read_text, write_text, NULL};
