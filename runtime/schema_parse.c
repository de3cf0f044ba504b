#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/schema.h"
#include "runtime/schema_lines.h"
#include "runtime/schema_message.h"
#include "runtime/schema_value.h"
#include "runtime/yaml.h"

/* Presets are part of the table, not of a file: one that is wrong is found by the tests. */
static void set_preset(const qd_field *field, char *object) {
    qd_text problem = {0};
    if (field->preset)
        qd_schema_value_read(field, field->preset, false, object + field->offset, &problem);
    qd_text_fini(&problem);
}

static void set_presets(const qd_field *fields, char *object) {
    for (const qd_field *f = fields; f->key; f++)
        if (f->kind == QD_FIELD_MAPPING)
            set_presets(f->fields, object);
        else if (qd_schema_applies(fields, f, object))
            set_preset(f, object);
}

void qd_schema_defaults(const qd_field *fields, void *object, size_t object_size) {
    memset(object, 0, object_size);
    set_presets(fields, object);
}

static int bind_value(const qd_schema_place *at, const qd_field *field, const qd_yaml_node *node,
                      char *object) {
    qd_text problem = {0};
    if (node->kind != QD_YAML_SCALAR || qd_schema_is_null(node))
        return qd_schema_wrong_kind(at, field, node);
    qd_schema_add_path(at, field->key, &problem);
    qd_text_add(&problem, ": ");
    char *slot = object + field->offset;
    if (qd_schema_value_read(field, node->text, node->quoted, slot, &problem))
        return qd_schema_report(at, node->line, &problem);
    qd_text_fini(&problem);
    return 0;
}

static int bind_entry(const qd_schema_place *at, const qd_field *field, const qd_yaml_node *node,
                      int index, char *object) {
    qd_text problem = {0};
    if (node->kind != QD_YAML_SCALAR || qd_schema_is_null(node))
        return qd_schema_wrong_entry(at, field, node, index);
    qd_schema_add_path(at, field->key, &problem);
    qd_text_add(&problem, ": entry %d: ", index + 1);
    char *slot = object + field->offset + (size_t)index * sizeof(int64_t);
    if (qd_schema_value_read(field, node->text, node->quoted, slot, &problem))
        return qd_schema_report(at, node->line, &problem);
    qd_text_fini(&problem);
    return 0;
}

static int bind_list(const qd_schema_place *at, const qd_field *field, const qd_yaml_node *node,
                     char *object) {
    if (node->kind != QD_YAML_LIST)
        return qd_schema_wrong_kind(at, field, node);
    int count = 0;
    for (const qd_yaml_node *entry = node->first; entry; entry = entry->next, count++) {
        if ((size_t)count == field->size)
            return qd_schema_too_many(at, field, entry);
        int rc = bind_entry(at, field, entry, count, object);
        if (rc)
            return rc;
    }
    memcpy(object + field->count_offset, &count, sizeof count);
    return 0;
}

static int bind_mapping(const qd_schema_place *at, char *object);

/* A word alone is bound as the mapping it stands for. */
static int bind_word(qd_schema_place *at, char *object) {
    const qd_field *first = at->fields;
    if (first->kind != QD_FIELD_CHOICE || at->node->kind != QD_YAML_SCALAR ||
        qd_schema_is_null(at->node))
        return qd_schema_wrong_mapping_entry(at);
    qd_yaml_node word = *at->node;
    word.key = (char *)first->key;
    word.next = NULL;
    qd_yaml_node mapping = {.kind = QD_YAML_MAPPING, .line = word.line, .first = &word};
    at->node = &mapping;
    return bind_mapping(at, object);
}

static int bind_nested(const qd_schema_place *at, const qd_field *field, const qd_yaml_node *node,
                       char *object) {
    bool word =
        (field->flags & QD_FIELD_WORD) && node->kind == QD_YAML_SCALAR && !qd_schema_is_null(node);
    if (node->kind != QD_YAML_MAPPING && !word)
        return qd_schema_wrong_kind(at, field, node);
    qd_schema_place inner = {at->file, at, field->key, 0, field->fields, node, node->line};
    return word ? bind_word(&inner, object) : bind_mapping(&inner, object);
}

static int bind_mapping_list(const qd_schema_place *at, const qd_field *field,
                             const qd_yaml_node *node, char *object) {
    if (node->kind != QD_YAML_LIST)
        return qd_schema_wrong_kind(at, field, node);
    int count = 0, rc = 0;
    char *slot = object + field->offset;
    for (const qd_yaml_node *entry = node->first; entry && !rc; entry = entry->next) {
        if ((size_t)count == field->size)
            return qd_schema_too_many(at, field, entry);
        qd_schema_place inner = {at->file,      at,    field->key, ++count,
                                 field->fields, entry, entry->line};
        rc = entry->kind == QD_YAML_MAPPING ? bind_mapping(&inner, slot) : bind_word(&inner, slot);
        slot += field->entry_size;
    }
    memcpy(object + field->count_offset, &count, sizeof count);
    return rc;
}

static int bind_node(const qd_schema_place *at, const qd_field *field, const qd_yaml_node *node,
                     char *object) {
    if (field->kind == QD_FIELD_MAPPING)
        return bind_nested(at, field, node, object);
    if (field->kind == QD_FIELD_MAPPING_LIST)
        return bind_mapping_list(at, field, node, object);
    return qd_schema_is_list(field) ? bind_list(at, field, node, object)
                                    : bind_value(at, field, node, object);
}

/* first: of the rows of its key. */
static int bind_field(const qd_schema_place *at, const qd_field *first, char *object) {
    const qd_yaml_node *node = qd_yaml_get(at->node, first->key);
    const qd_field *field = qd_schema_applying(at->fields, first, object);
    if (!field)
        return node ? qd_schema_does_not_apply(at, first, node, object) : 0;
    if (node)
        return bind_node(at, field, node, object);
    if (qd_schema_is_required(field))
        return qd_schema_missing_key(at, field);
    if (field->kind == QD_FIELD_MAPPING)
        set_presets(field->fields, object);
    else
        set_preset(field, object);
    return 0;
}

static bool knows(const qd_field *fields, const char *key) {
    for (const qd_field *f = fields; f->key; f++)
        if (strcmp(f->key, key) == 0)
            return true;
    return false;
}

/* Unknown keys first: one misspelt key is better called unknown than another one missing. */
static int bind_mapping(const qd_schema_place *at, char *object) {
    const qd_yaml_node *child = at->node ? at->node->first : NULL;
    for (; child; child = child->next)
        if (!knows(at->fields, child->key))
            return qd_schema_unknown_key(at, child);
    const char *bound = "";
    int rc = 0;
    for (const qd_field *f = at->fields; f->key && !rc; bound = f->key, f++)
        if (strcmp(f->key, bound) != 0)
            rc = bind_field(at, f, object);
    return rc;
}

static int bind_file(const qd_schema_place *file, char *object) {
    if (file->node && file->node->kind != QD_YAML_MAPPING) {
        qd_text problem = {0};
        qd_text_add(&problem, "the file must be a mapping, lines of KEY: VALUE; found a %s",
                    file->node->kind == QD_YAML_LIST ? "list" : "text");
        return qd_schema_report(file, file->node->line, &problem);
    }
    if (!file->node)
        for (const qd_field *f = file->fields; f->key; f++)
            if (qd_schema_is_required(f))
                return qd_schema_missing_all(file);
    return bind_mapping(file, object);
}

int qd_schema_parse(const qd_field *fields, const char *file, const char *text, size_t length,
                    void *object, size_t object_size, qd_schema_lines **lines) {
    qd_yaml_node *root = NULL;
    char *bound = calloc(1, object_size);
    if (!bound)
        return qd_error_set(QD_ENOMEM, "%s: no memory for the parsed file", file);
    int rc = qd_yaml_parse(file, text, length, &root);
    if (rc)
        goto out;
    qd_schema_place whole = {.file = file, .fields = fields, .node = root, .line = 1};
    rc = bind_file(&whole, bound);
    if (rc)
        goto out;
    if (lines) {
        rc = qd_schema_lines_create(root, lines);
        if (rc)
            goto out;
        root = NULL;
    }
    memcpy(object, bound, object_size);
out:
    qd_yaml_destroy(root);
    free(bound);
    return rc;
}
