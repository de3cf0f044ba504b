#include "runtime/schema_value.h"

#include <string.h>

#include "runtime/error.h"
#include "runtime/quote.h"
#include "runtime/schema_kind.h"

static const qd_schema_kind *const kinds[] = {
    [QD_FIELD_INT] = &qd_schema_int,
    [QD_FIELD_UINT] = &qd_schema_uint,
    [QD_FIELD_REAL] = &qd_schema_real,
    [QD_FIELD_BOOL] = &qd_schema_bool,
    [QD_FIELD_NAME] = &qd_schema_name,
    [QD_FIELD_TEXT] = &qd_schema_text,
    [QD_FIELD_CHOICE] = &qd_schema_choice,
    [QD_FIELD_INT_LIST] = &qd_schema_int,
    [QD_FIELD_AUTO_INT] = &qd_schema_auto_int,
    [QD_FIELD_REAL_LIST] = &qd_schema_real,
    [QD_FIELD_INT_OR_NONE] = &qd_schema_int_or_none,
};

int qd_schema_wrong(qd_text *problem, const char *text, const char *why) {
    char shown[QD_QUOTE_BYTES];
    qd_text_add(problem, "%s %s", qd_quote(text, shown), why);
    return QD_ECONFIG;
}

int qd_schema_value_read(const qd_field *field, const char *text, bool quoted, void *at,
                         qd_text *problem) {
    const qd_schema_kind *kind = kinds[field->kind];
    if (quoted && kind->bare)
        return qd_schema_wrong(problem, text, "is in quotes; write it without them");
    return kind->read(field, text, at, problem);
}

bool qd_schema_is_list(const qd_field *field) {
    return field->kind == QD_FIELD_INT_LIST || field->kind == QD_FIELD_REAL_LIST;
}

int qd_schema_count(const qd_field *list, const void *object) {
    int count;
    memcpy(&count, (const char *)object + list->count_offset, sizeof count);
    return count;
}

static void write_list(const qd_field *field, const void *object, qd_text *out) {
    const char *bytes = object;
    qd_text_add(out, "[");
    for (int i = 0; i < qd_schema_count(field, object); i++) {
        qd_text_add(out, i ? ", " : "");
        kinds[field->kind]->write(field, bytes + field->offset + (size_t)i * sizeof(int64_t), out);
    }
    qd_text_add(out, "]");
}

void qd_schema_value_write(const qd_field *field, const void *object, qd_text *out) {
    if (qd_schema_is_list(field))
        write_list(field, object, out);
    else
        kinds[field->kind]->write(field, (const char *)object + field->offset, out);
}

void qd_schema_value_describe(const qd_field *field, qd_text *out) {
    const qd_schema_kind *kind = kinds[field->kind];
    qd_text_add(out, "%s", kind->expected);
    if (kind->accepted)
        kind->accepted(field, out);
}

/* words: separated by one blank each. */
static bool is_among(const char *words, const char *word) {
    size_t length = strlen(word);
    for (const char *w = words; *w;) {
        size_t span = strcspn(w, " ");
        if (span == length && memcmp(w, word, length) == 0)
            return true;
        w += span;
        w += *w == ' ';
    }
    return false;
}

bool qd_schema_applies(const qd_field *fields, const qd_field *field, const void *object) {
    if (!field->when_key)
        return true;
    const qd_field *decides = fields;
    while (strcmp(decides->key, field->when_key) != 0)
        decides++;
    int choice;
    memcpy(&choice, (const char *)object + decides->offset, sizeof choice);
    return is_among(field->when, decides->choices[choice]);
}

const qd_field *qd_schema_applying(const qd_field *fields, const qd_field *field,
                                   const void *object) {
    const char *key = field->key;
    for (; field->key && strcmp(field->key, key) == 0; field++)
        if (qd_schema_applies(fields, field, object))
            return field;
    return NULL;
}

static bool is_omitted(const qd_field *field, const void *object) {
    static const char zero[sizeof(int64_t)] = {0};
    return field->flags & QD_FIELD_OMIT_ZERO &&
           memcmp((const char *)object + field->offset, zero, sizeof zero) == 0;
}

bool qd_schema_written(const qd_field *fields, const qd_field *field, const void *object) {
    return qd_schema_applies(fields, field, object) && !is_omitted(field, object);
}

const void *qd_schema_entry(const qd_field *list, const void *object, int index) {
    return (const char *)object + list->offset + (size_t)index * list->entry_size;
}
