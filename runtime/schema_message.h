/*
 * schema_message.h: what is said about a key or value that the table does not accept. Inside of
 * schema.h only. Each function sets "FILE:LINE: ..." and returns QD_ECONFIG (or QD_ENOMEM).
 */
#ifndef QD_RUNTIME_SCHEMA_MESSAGE_H
#define QD_RUNTIME_SCHEMA_MESSAGE_H

#include "runtime/schema.h"
#include "runtime/text.h"
#include "runtime/yaml.h"

/* A mapping of the table, and where it stands in the file. */
typedef struct qd_schema_place {
    const char *file;
    const struct qd_schema_place *above; /* NULL: this is the whole file */
    const char *key;                     /* what it stands under in `above` */
    int entry;                           /* which entry of the list there, from 1; 0: no list */
    const qd_field *fields;
    const qd_yaml_node *node; /* NULL: not given */
    int line;                 /* of the node, or of the nearest mapping above that was given */
} qd_schema_place;

/* Sets the message "FILE:LINE: PROBLEM" and ends problem (qd_text_fini). */
int qd_schema_report(const qd_schema_place *at, int line, qd_text *problem);

/* Adds "optimizer.kind" for a key of a mapping, "model.layers[3].kind" for one of an entry. */
void qd_schema_add_path(const qd_schema_place *at, const char *key, qd_text *out);

/* Whether the field has to be given, or one inside it. */
bool qd_schema_is_required(const qd_field *field);

/* Whether a value was left out, or is one of the words that YAML has for "nothing". */
bool qd_schema_is_null(const qd_yaml_node *node);

int qd_schema_unknown_key(const qd_schema_place *at, const qd_yaml_node *node);
int qd_schema_missing_key(const qd_schema_place *at, const qd_field *field);
int qd_schema_missing_all(const qd_schema_place *file);
int qd_schema_wrong_kind(const qd_schema_place *at, const qd_field *field,
                         const qd_yaml_node *node);
int qd_schema_wrong_entry(const qd_schema_place *at, const qd_field *field,
                          const qd_yaml_node *node, int index);
/* at: the entry. */
int qd_schema_wrong_mapping_entry(const qd_schema_place *at);
int qd_schema_too_many(const qd_schema_place *at, const qd_field *field, const qd_yaml_node *node);

/* No row of the field's key applies. object: holds the value of field->when_key. */
int qd_schema_does_not_apply(const qd_schema_place *at, const qd_field *field,
                             const qd_yaml_node *node, const void *object);

#endif
