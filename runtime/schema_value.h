/*
 * schema_value.h: one value between its text and its place in a struct, for each kind of field.
 * Inside of schema.h only: it knows no files, lines or paths.
 */
#ifndef QD_RUNTIME_SCHEMA_VALUE_H
#define QD_RUNTIME_SCHEMA_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/schema.h"
#include "runtime/text.h"

/*
 * Stores text (quoted: as it was written) at `at`: object + field->offset, or an element of an
 * list. QD_ECONFIG with what is wrong added to problem ("\"12x\" is not a whole number"),
 * *at untouched.
 */
int qd_schema_value_read(const qd_field *field, const char *text, bool quoted, void *at,
                         qd_text *problem);

/* The field's value as YAML. */
void qd_schema_value_write(const qd_field *field, const void *object, qd_text *out);

/* What would be accepted: "a whole number, 1 .. 64"; for a list of one entry. */
void qd_schema_value_describe(const qd_field *field, qd_text *out);

/* Whether the kind is a list of numbers, eight bytes each. */
bool qd_schema_is_list(const qd_field *field);

/* Whether field, one of fields, applies to the object (when_key, when). */
bool qd_schema_applies(const qd_field *fields, const qd_field *field, const void *object);

/* Of the rows that follow each other with field's key, field being the first, the one that applies;
 * NULL: none does. */
const qd_field *qd_schema_applying(const qd_field *fields, const qd_field *field,
                                   const void *object);

/* Whether the field, one of fields, is to be written: it applies, and its value is not a zero that
 * stands for "not given". */
bool qd_schema_written(const qd_field *fields, const qd_field *field, const void *object);

/* Of an INT_LIST or MAPPING_LIST: how many entries there are; of the latter: one of them. */
int qd_schema_count(const qd_field *list, const void *object);
const void *qd_schema_entry(const qd_field *list, const void *object, int index);

#endif
