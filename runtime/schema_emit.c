#include <string.h>

#include "runtime/error.h"
#include "runtime/schema.h"
#include "runtime/schema_value.h"

static void emit(const qd_field *fields, const void *object, int level, qd_text *out) {
    for (const qd_field *f = fields; f->key; f++) {
        if (!qd_schema_applies(fields, f, object) || qd_schema_omitted(f, object))
            continue;
        qd_text_add(out, "%*s%s:", 2 * level, "", f->key);
        if (f->kind == QD_FIELD_MAPPING) {
            qd_text_add(out, "\n");
            emit(f->fields, object, level + 1, out);
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

static void write_or_unset(const qd_field *fields, const qd_field *field, const void *object,
                           qd_text *out) {
    if (qd_schema_applies(fields, field, object) && !qd_schema_omitted(field, object))
        qd_schema_value_write(field, object, out);
    else
        qd_text_add(out, "not set");
}

/* Writing is exact, so two values are equal when they are written alike. */
static int compare_field(const qd_field *fields, const qd_field *field, const char *path,
                         const void *there, const void *here) {
    qd_text a = {0}, b = {0};
    int rc = 0;
    write_or_unset(fields, field, there, &a);
    write_or_unset(fields, field, here, &b);
    if (a.failed || b.failed)
        rc = qd_error_set(QD_ENOMEM, "no memory for comparing %s%s", path, field->key);
    else if (strcmp(a.bytes, b.bytes) != 0)
        rc =
            qd_error_set(QD_ECONFIG, "%s%s: %s there, %s here", path, field->key, a.bytes, b.bytes);
    qd_text_fini(&a);
    qd_text_fini(&b);
    return rc;
}

/* path: of the mapping, ending in a point unless it is empty. */
static int compare(const qd_field *fields, const char *path, const void *there, const void *here) {
    int rc = 0;
    for (const qd_field *f = fields; f->key && !rc; f++) {
        if (f->kind == QD_FIELD_MAPPING) {
            qd_text inner = {0};
            qd_text_add(&inner, "%s%s.", path, f->key);
            rc = inner.failed ? qd_error_set(QD_ENOMEM, "no memory for comparing %s", f->key)
                              : compare(f->fields, inner.bytes, there, here);
            qd_text_fini(&inner);
        } else if (f->flags & QD_FIELD_RESULT) {
            rc = compare_field(fields, f, path, there, here);
        }
    }
    return rc;
}

int qd_schema_compare(const qd_field *fields, const void *there, const void *here) {
    return compare(fields, "", there, here);
}
