/*
 * schema_kind.h: what differs between the kinds of fields, one row each. Inside of schema.h only:
 * numbers are in schema_number.c, words in schema_word.c, both looked up in schema_value.c.
 */
#ifndef QD_RUNTIME_SCHEMA_KIND_H
#define QD_RUNTIME_SCHEMA_KIND_H

#include <stdbool.h>

#include "runtime/schema.h"
#include "runtime/text.h"

typedef struct qd_schema_kind {
    const char *expected; /* "a whole number, "; what `accepted` adds follows it */
    bool bare;            /* a value in quotes would be a text, and is refused */
    /* Stores text at `at`; or QD_ECONFIG, with what is wrong added to problem. */
    int (*read)(const qd_field *field, const char *text, void *at, qd_text *problem);
    void (*write)(const qd_field *field, const void *at, qd_text *out);
    void (*accepted)(const qd_field *field, qd_text *out); /* NULL: `expected` says it all */
} qd_schema_kind;

extern const qd_schema_kind qd_schema_int, qd_schema_auto_int, qd_schema_int_or_none;
extern const qd_schema_kind qd_schema_uint, qd_schema_real;
extern const qd_schema_kind qd_schema_bool, qd_schema_choice, qd_schema_name, qd_schema_text;

/* Adds "\"TEXT\" WHY" to problem. Returns QD_ECONFIG. */
int qd_schema_wrong(qd_text *problem, const char *text, const char *why);

#endif
