#include "runtime/schema_message.h"

#include <string.h>
#include <strings.h>

#include "runtime/error.h"
#include "runtime/nearest.h"
#include "runtime/quote.h"
#include "runtime/schema_value.h"

int qd_schema_report(const qd_schema_place *at, int line, qd_text *problem) {
    int rc = problem->failed
                 ? qd_error_set(QD_ENOMEM, "%s: no memory for a message", at->file)
                 : qd_error_set(QD_ECONFIG, "%s:%d: %s", at->file, line, problem->bytes);
    qd_text_fini(problem);
    return rc;
}

/* "optimizer", "model.layers[3]": the mapping itself. */
static void add_place(const qd_schema_place *at, qd_text *out) {
    qd_schema_add_path(at->above, at->key, out);
    if (at->entry)
        qd_text_add(out, "[%d]", at->entry - 1);
}

void qd_schema_add_path(const qd_schema_place *at, const char *key, qd_text *out) {
    if (at->above)
        add_place(at, out);
    qd_text_add(out, at->above ? ".%s" : "%s", key);
}

/* " in optimizer"; nothing for the file itself. */
static void add_in_mapping(const qd_schema_place *at, qd_text *out) {
    if (!at->above)
        return;
    qd_text_add(out, " in ");
    add_place(at, out);
}

bool qd_schema_is_required(const qd_field *field) {
    if (field->flags & QD_FIELD_REQUIRED)
        return true;
    if (field->kind == QD_FIELD_MAPPING)
        for (const qd_field *f = field->fields; f->key; f++)
            if (qd_schema_is_required(f))
                return true;
    return false;
}

bool qd_schema_is_null(const qd_yaml_node *node) {
    static const char *const words[] = {"", "~", "null"};
    if (node->kind != QD_YAML_SCALAR || node->quoted)
        return false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(node->text, words[i]) == 0)
            return true;
    return false;
}

static bool is_listed(const qd_field *field, bool only_required) {
    return !only_required || qd_schema_is_required(field);
}

/* Each key once. */
static void add_keys(const qd_field *fields, bool only_required, qd_text *out) {
    const char *comma = "", *before = "";
    for (const qd_field *f = fields; f->key; f++) {
        if (!is_listed(f, only_required) || strcmp(f->key, before) == 0)
            continue;
        qd_text_add(out, "%s%s", comma, f->key);
        comma = ", ";
        before = f->key;
    }
}

/* Adds the path of the first mapping below `at` that knows key; false when there is none. */
static bool find_elsewhere(const qd_schema_place *at, const char *key, qd_text *out) {
    for (const qd_field *f = at->fields; f->key; f++) {
        if (strcmp(f->key, key) == 0) {
            qd_schema_add_path(at, key, out);
            return true;
        }
        qd_schema_place inner = {.above = at, .key = f->key, .fields = f->fields};
        if (f->kind == QD_FIELD_MAPPING && find_elsewhere(&inner, key, out))
            return true;
    }
    return false;
}

static const char *nearest_key(const qd_field *fields, const char *key) {
    const char *nearest = NULL;
    for (const qd_field *f = fields; f->key; f++) {
        const char *pair[2] = {nearest, f->key};
        const char *nearer = qd_nearest(key, pair, 2);
        nearest = nearer ? nearer : nearest;
    }
    return nearest;
}

int qd_schema_unknown_key(const qd_schema_place *at, const qd_yaml_node *node) {
    char shown[QD_QUOTE_BYTES];
    qd_text problem = {0}, elsewhere = {0};
    const qd_schema_place *file = at;
    while (file->above)
        file = file->above;
    qd_text_add(&problem, "unknown key %s", qd_quote(node->key, shown));
    add_in_mapping(at, &problem);
    const char *nearest = nearest_key(at->fields, node->key);
    if (nearest)
        qd_text_add(&problem, "; did you mean \"%s\"?", nearest);
    else if (find_elsewhere(file, node->key, &elsewhere) && !elsewhere.failed)
        qd_text_add(&problem, "; did you mean %s?", elsewhere.bytes);
    qd_text_add(&problem, " (accepted: ");
    add_keys(at->fields, false, &problem);
    qd_text_add(&problem, ")");
    qd_text_fini(&elsewhere);
    return qd_schema_report(at, node->line, &problem);
}

/* Of a list of mappings. */
static void add_expected_entry(const qd_field *fields, qd_text *out) {
    if (fields->kind == QD_FIELD_CHOICE)
        qd_text_add(out, "a mapping {%s: %s, ...}", fields->key, fields->choices[0]);
    else
        qd_text_add(out, "a mapping {%s: ...}", fields->key);
}

static void add_expected(const qd_field *field, qd_text *out) {
    if (field->kind == QD_FIELD_MAPPING) {
        qd_text_add(out, "a mapping with the keys ");
        add_keys(field->fields, qd_schema_is_required(field), out);
        return;
    }
    if (field->kind == QD_FIELD_MAPPING_LIST) {
        qd_text_add(out, "a list, each entry ");
        add_expected_entry(field->fields, out);
        return;
    }
    if (qd_schema_is_list(field))
        qd_text_add(out, "a list [A, B, ...], each entry ");
    qd_schema_value_describe(field, out);
}

static void add_found(const qd_yaml_node *node, qd_text *out) {
    char shown[QD_QUOTE_BYTES];
    if (qd_schema_is_null(node))
        qd_text_add(out, "; found nothing");
    else if (node->kind == QD_YAML_SCALAR)
        qd_text_add(out, "; found %s", qd_quote(node->text, shown));
    else
        qd_text_add(out, node->kind == QD_YAML_LIST ? "; found a list" : "; found a mapping");
}

int qd_schema_missing_key(const qd_schema_place *at, const qd_field *field) {
    qd_text problem = {0};
    qd_text_add(&problem, "missing key \"%s\"", field->key);
    add_in_mapping(at, &problem);
    qd_text_add(&problem, "; expected ");
    add_expected(field, &problem);
    return qd_schema_report(at, at->line, &problem);
}

int qd_schema_missing_all(const qd_schema_place *file) {
    qd_text problem = {0};
    qd_text_add(&problem, "the file is empty; expected the keys ");
    add_keys(file->fields, true, &problem);
    return qd_schema_report(file, file->line, &problem);
}

int qd_schema_wrong_kind(const qd_schema_place *at, const qd_field *field,
                         const qd_yaml_node *node) {
    qd_text problem = {0};
    qd_schema_add_path(at, field->key, &problem);
    qd_text_add(&problem, ": expected ");
    add_expected(field, &problem);
    add_found(node, &problem);
    return qd_schema_report(at, node->line, &problem);
}

int qd_schema_wrong_entry(const qd_schema_place *at, const qd_field *field,
                          const qd_yaml_node *node, int index) {
    qd_text problem = {0};
    qd_schema_add_path(at, field->key, &problem);
    qd_text_add(&problem, ": entry %d: expected ", index + 1);
    qd_schema_value_describe(field, &problem);
    add_found(node, &problem);
    return qd_schema_report(at, node->line, &problem);
}

int qd_schema_wrong_mapping_entry(const qd_schema_place *at) {
    qd_text problem = {0};
    add_place(at, &problem);
    qd_text_add(&problem, ": expected ");
    add_expected_entry(at->fields, &problem);
    add_found(at->node, &problem);
    return qd_schema_report(at, at->line, &problem);
}

int qd_schema_too_many(const qd_schema_place *at, const qd_field *field, const qd_yaml_node *node) {
    qd_text problem = {0};
    qd_schema_add_path(at, field->key, &problem);
    qd_text_add(&problem, ": too many entries; at most %zu are accepted", field->size);
    return qd_schema_report(at, node->line, &problem);
}

/* "sgd", "adam or adamw", "a, b or c": the words, with blanks between them, of the rows of one
 * key. */
static void add_words(const qd_field *row, qd_text *out) {
    const char *key = row->key, *before = "";
    for (const char *w = row->when; w;) {
        int span = (int)strcspn(w, " ");
        const char *next = w[span] ? w + span + 1 : NULL;
        if (!next && row[1].key && strcmp(row[1].key, key) == 0)
            next = (++row)->when;
        qd_text_add(out, "%s%.*s", !next && *before ? " or " : before, span, w);
        before = ", ";
        w = next;
    }
}

int qd_schema_does_not_apply(const qd_schema_place *at, const qd_field *field,
                             const qd_yaml_node *node, const void *object) {
    qd_text problem = {0};
    const qd_field *decides = at->fields;
    while (strcmp(decides->key, field->when_key) != 0)
        decides++;
    qd_schema_add_path(at, field->key, &problem);
    qd_text_add(&problem, ": only for %s ", field->when_key);
    add_words(field, &problem);
    qd_text_add(&problem, ", and here %s is ", field->when_key);
    qd_schema_value_write(decides, object, &problem);
    qd_text_add(&problem, "; remove %s", field->key);
    return qd_schema_report(at, node->line, &problem);
}
