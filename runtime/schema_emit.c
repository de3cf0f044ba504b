#include "runtime/schema.h"
#include "runtime/schema_value.h"

/* Whether an entry is emitted as its choice's word alone. */
static bool is_word(const qd_field *fields, const void *object) {
    bool word = fields->kind == QD_FIELD_CHOICE;
    for (const qd_field *f = fields + 1; word && f->key; f++)
        word = !qd_schema_written(fields, f, object);
    return word;
}

static void emit_entry(const qd_field *fields, const void *object, qd_text *out) {
    if (is_word(fields, object)) {
        qd_schema_value_write(fields, object, out);
        return;
    }
    const char *before = "";
    qd_text_add(out, "{");
    for (const qd_field *f = fields; f->key; f++) {
        if (!qd_schema_written(fields, f, object))
            continue;
        qd_text_add(out, "%s%s: ", before, f->key);
        qd_schema_value_write(f, object, out);
        before = ", ";
    }
    qd_text_add(out, "}");
}

static void emit_entries(const qd_field *list, const void *object, int level, qd_text *out) {
    int count = qd_schema_count(list, object);
    qd_text_add(out, count ? "\n" : " []\n");
    for (int i = 0; i < count; i++) {
        qd_text_add(out, "%*s- ", 2 * level, "");
        emit_entry(list->fields, qd_schema_entry(list, object, i), out);
        qd_text_add(out, "\n");
    }
}

static void emit(const qd_field *fields, const void *object, int level, qd_text *out) {
    for (const qd_field *f = fields; f->key; f++) {
        if (!qd_schema_written(fields, f, object))
            continue;
        qd_text_add(out, "%*s%s:", 2 * level, "", f->key);
        if (f->kind == QD_FIELD_MAPPING) {
            qd_text_add(out, "\n");
            emit(f->fields, object, level + 1, out);
            continue;
        }
        if (f->kind == QD_FIELD_MAPPING_LIST) {
            emit_entries(f, object, level + 1, out);
            continue;
        }
        qd_text_add(out, " ");
        qd_schema_value_write(f, object, out);
        qd_text_add(out, "\n");
    }
}

void qd_schema_emit(const qd_field *fields, const void *object, qd_text *out) {
    emit(fields, object, 0, out);
}
