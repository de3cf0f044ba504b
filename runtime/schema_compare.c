#include <string.h>

#include "runtime/error.h"
#include "runtime/schema.h"
#include "runtime/schema_value.h"

static void write_or_unset(const qd_field *fields, const qd_field *field, const void *object,
                           qd_text *out) {
    if (qd_schema_written(fields, field, object))
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

static int compare(const qd_field *fields, const char *path, const void *there, const void *here);

/* Compares what stands under field; inner: its path, "KEY." or "KEY[3].", is ended here. */
static int compare_inner(const qd_field *field, qd_text *inner, const void *there,
                         const void *here) {
    int rc = inner->failed ? qd_error_set(QD_ENOMEM, "no memory for comparing %s", field->key)
                           : compare(field->fields, inner->bytes, there, here);
    qd_text_fini(inner);
    return rc;
}

/* Entries before the number of them, so that the first that differs is named. */
static int compare_lists(const qd_field *list, const char *path, const void *there,
                         const void *here) {
    int a = qd_schema_count(list, there), b = qd_schema_count(list, here), rc = 0;
    for (int i = 0; i < a && i < b && !rc; i++) {
        qd_text inner = {0};
        qd_text_add(&inner, "%s%s[%d].", path, list->key, i);
        rc = compare_inner(list, &inner, qd_schema_entry(list, there, i),
                           qd_schema_entry(list, here, i));
    }
    if (!rc && a != b && list->flags & QD_FIELD_RESULT)
        rc = qd_error_set(QD_ECONFIG, "%s%s: %d entries there, %d here", path, list->key, a, b);
    return rc;
}

/* path: of the mapping, ending in a point unless it is empty. */
static int compare(const qd_field *fields, const char *path, const void *there, const void *here) {
    int rc = 0;
    for (const qd_field *f = fields; f->key && !rc; f++) {
        if (f->kind == QD_FIELD_MAPPING) {
            qd_text inner = {0};
            qd_text_add(&inner, "%s%s.", path, f->key);
            rc = compare_inner(f, &inner, there, here);
        } else if (f->kind == QD_FIELD_MAPPING_LIST) {
            rc = compare_lists(f, path, there, here);
        } else if (f->flags & QD_FIELD_RESULT) {
            rc = compare_field(fields, f, path, there, here);
        }
    }
    return rc;
}

int qd_schema_compare(const qd_field *fields, const void *there, const void *here) {
    return compare(fields, "", there, here);
}
