#include "runtime/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/quote.h"

typedef struct reader {
    const char *file;
    const char *text;
    size_t length;
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
} reader;

static int event_line(const reader *r) {
    return (int)r->event.start_mark.line + 1;
}

static int no_memory(const reader *r) {
    return qd_error_set(QD_ENOMEM, "%s: no memory for the parsed file", r->file);
}

static int too_long(const char *file) {
    return qd_error_set(QD_ECONFIG, "%s:1: the file is too long; at most %zu bytes are accepted",
                        file, QD_YAML_MAX_BYTES);
}

/* libyaml gives a byte offset, but no line, for bytes that are no text. */
static int not_text(const reader *r) {
    const yaml_parser_t *p = &r->parser;
    int line = 1;
    for (size_t i = 0; i < p->problem_offset && i < r->length; i++)
        line += r->text[i] == '\n';
    char value[24] = "";
    if (p->problem_value >= 0)
        snprintf(value, sizeof value, " (0x%02x)", (unsigned)p->problem_value);
    return qd_error_set(QD_ECONFIG,
                        "%s:%d: %s%s; the file must be UTF-8 text without control characters",
                        r->file, line, p->problem, value);
}

static bool tab_indents(const reader *r, size_t line) {
    const char *at = r->text, *end = r->text + r->length;
    for (; line > 0 && at < end; at++)
        line -= *at == '\n';
    while (at < end && *at == ' ')
        at++;
    return at < end && *at == '\t';
}

/* libyaml's words say what its scanner met, not what the usual reason is. */
static const char *hint(const reader *r) {
    if (tab_indents(r, r->parser.problem_mark.line))
        return "; indent with spaces, not tabs";
    if (strstr(r->parser.problem, "mapping values are not allowed"))
        return "; check the indentation of this line and the colon in the line before";
    return "";
}

static int syntax_error(const reader *r) {
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return no_memory(r);
    if (p->error == YAML_READER_ERROR)
        return not_text(r);
    size_t line = p->problem_mark.line, context_line = p->context_mark.line;
    char context[160] = "";
    if (p->context && context_line != line)
        snprintf(context, sizeof context, " (%s begun in line %zu)", p->context, context_line + 1);
    else if (p->context)
        snprintf(context, sizeof context, " (%s)", p->context);
    return qd_error_set(QD_ECONFIG, "%s:%zu: not valid YAML: %s%s%s", r->file, line + 1, p->problem,
                        context, hint(r));
}

static int next_event(reader *r) {
    yaml_event_delete(&r->event);
    return yaml_parser_parse(&r->parser, &r->event) ? 0 : syntax_error(r);
}

void qd_yaml_destroy(qd_yaml_node *root) {
    while (root) {
        qd_yaml_node *next = root->next;
        qd_yaml_destroy(root->first);
        free(root->key);
        free(root->text);
        free(root);
        root = next;
    }
}

const qd_yaml_node *qd_yaml_get(const qd_yaml_node *mapping, const char *key) {
    if (!mapping || mapping->kind != QD_YAML_MAPPING)
        return NULL;
    for (const qd_yaml_node *child = mapping->first; child; child = child->next)
        if (strcmp(child->key, key) == 0)
            return child;
    return NULL;
}

/* Refuses what makes a file mean something else than it shows. */
static int check_properties(const reader *r, const yaml_char_t *anchor, const yaml_char_t *tag) {
    if (anchor)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: anchors (&NAME) are not accepted; write the value out where it "
                            "is needed, and in quotes where it begins with &",
                            r->file, event_line(r));
    if (tag)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: tags (!NAME) are not accepted; write the value alone, and in "
                            "quotes where it begins with !",
                            r->file, event_line(r));
    return 0;
}

/* A copy of the scalar at the current event, as a C string. */
static int copy_scalar(const reader *r, char **copy) {
    const char *value = (const char *)r->event.data.scalar.value;
    size_t length = r->event.data.scalar.length;
    int rc = check_properties(r, r->event.data.scalar.anchor, r->event.data.scalar.tag);
    if (rc)
        return rc;
    if (memchr(value, '\0', length))
        return qd_error_set(QD_ECONFIG, "%s:%d: a text holds the character NUL; leave out the \\0",
                            r->file, event_line(r));
    *copy = strdup(value);
    return *copy ? 0 : no_memory(r);
}

static int read_node(reader *r, int depth, qd_yaml_node **out);

/* The children of a list or mapping whose start is the current event; ends at its end event. */
static int read_list(reader *r, int depth, qd_yaml_node *list) {
    qd_yaml_node **tail = &list->first;
    int rc;
    while (!(rc = next_event(r)) && r->event.type != YAML_SEQUENCE_END_EVENT) {
        rc = read_node(r, depth + 1, tail);
        if (rc)
            return rc;
        tail = &(*tail)->next;
    }
    return rc;
}

static int read_key(reader *r, const qd_yaml_node *mapping, char **key) {
    char shown[QD_QUOTE_BYTES];
    if (r->event.type != YAML_SCALAR_EVENT)
        return qd_error_set(QD_ECONFIG, "%s:%d: a key must be a single word", r->file,
                            event_line(r));
    int rc = copy_scalar(r, key);
    if (rc)
        return rc;
    const qd_yaml_node *earlier = qd_yaml_get(mapping, *key);
    if (earlier)
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: duplicate key %s; it was given in line %d already; keep one",
                            r->file, event_line(r), qd_quote(*key, shown), earlier->line);
    return 0;
}

static int read_mapping(reader *r, int depth, qd_yaml_node *mapping) {
    qd_yaml_node **tail = &mapping->first;
    char *key = NULL;
    int keys = 0, rc;
    while (!(rc = next_event(r)) && r->event.type != YAML_MAPPING_END_EVENT) {
        int line = event_line(r);
        if (++keys > QD_YAML_MAX_KEYS) {
            rc = qd_error_set(QD_ECONFIG, "%s:%d: more than %d keys in one mapping", r->file, line,
                              QD_YAML_MAX_KEYS);
            break;
        }
        if ((rc = read_key(r, mapping, &key)) || (rc = next_event(r)) ||
            (rc = read_node(r, depth + 1, tail)))
            break;
        (*tail)->key = key;
        (*tail)->line = line;
        tail = &(*tail)->next;
        key = NULL;
    }
    free(key);
    return rc;
}

static int read_scalar(reader *r, qd_yaml_node *node) {
    node->quoted = r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return copy_scalar(r, &node->text);
}

static int read_content(reader *r, int depth, qd_yaml_node *node) {
    const yaml_event_t *e = &r->event;
    int rc;
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(r, node);
    case YAML_SEQUENCE_START_EVENT:
        node->kind = QD_YAML_LIST;
        rc = check_properties(r, e->data.sequence_start.anchor, e->data.sequence_start.tag);
        return rc ? rc : read_list(r, depth, node);
    case YAML_MAPPING_START_EVENT:
        node->kind = QD_YAML_MAPPING;
        rc = check_properties(r, e->data.mapping_start.anchor, e->data.mapping_start.tag);
        return rc ? rc : read_mapping(r, depth, node);
    default: /* nothing but an alias can stand where a node is expected */
        return qd_error_set(QD_ECONFIG,
                            "%s:%d: aliases (*NAME) are not accepted; write the value out, and in "
                            "quotes where it begins with *",
                            r->file, event_line(r));
    }
}

/* The node whose first event is the current one; its last event is current afterwards. A mapping
 * hands the key over to the node only when this has succeeded, so that *out stays NULL else. */
static int read_node(reader *r, int depth, qd_yaml_node **out) {
    if (depth > QD_YAML_MAX_DEPTH)
        return qd_error_set(QD_ECONFIG, "%s:%d: more than %d levels of nesting", r->file,
                            event_line(r), QD_YAML_MAX_DEPTH);
    qd_yaml_node *node = calloc(1, sizeof *node);
    if (!node)
        return no_memory(r);
    node->line = event_line(r);
    int rc = read_content(r, depth, node);
    if (rc) {
        qd_yaml_destroy(node);
        return rc;
    }
    *out = node;
    return 0;
}

static bool is_blank(const qd_yaml_node *node) {
    return node->kind == QD_YAML_SCALAR && !node->quoted && node->text[0] == '\0';
}

static int read_document(reader *r, qd_yaml_node **root) {
    int rc;
    if ((rc = next_event(r)) || (rc = next_event(r))) /* the stream's start, then a document's */
        return rc;
    if (r->event.type == YAML_STREAM_END_EVENT)
        return 0;
    if ((rc = next_event(r)) || (rc = read_node(r, 1, root)))
        return rc;
    if ((rc = next_event(r)) || (rc = next_event(r))) /* this document's end, then what follows */
        return rc;
    if (r->event.type != YAML_STREAM_END_EVENT)
        return qd_error_set(QD_ECONFIG, "%s:%d: a second document begins; a file holds only one",
                            r->file, event_line(r));
    if (is_blank(*root)) {
        qd_yaml_destroy(*root);
        *root = NULL;
    }
    return 0;
}

int qd_yaml_parse(const char *file, const char *text, size_t length, qd_yaml_node **root) {
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    if (length > QD_YAML_MAX_BYTES)
        return too_long(file);
    if (length >= 3 && memcmp(text, byte_order_mark, 3) == 0) {
        text += 3;
        length -= 3;
    }
    reader r = {.file = file, .text = text, .length = length};
    if (!yaml_parser_initialize(&r.parser))
        return no_memory(&r);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, length);
    qd_yaml_node *document = NULL;
    int rc = read_document(&r, &document);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    if (rc)
        qd_yaml_destroy(document);
    else
        *root = document;
    return rc;
}

int qd_yaml_read_file(const char *file, char **text, size_t *length) {
    int rc = qd_file_read(file, QD_YAML_MAX_BYTES, text, length);
    return rc == QD_EDATA ? too_long(file) : rc;
}
