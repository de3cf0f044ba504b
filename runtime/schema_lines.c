#include "runtime/schema_lines.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"

/* The tree of the file knows where everything stood. */
struct qd_schema_lines {
    qd_yaml_node *root;
};

int qd_schema_lines_create(qd_yaml_node *root, qd_schema_lines **lines) {
    qd_schema_lines *created = malloc(sizeof *created);
    if (!created)
        return qd_error_set(QD_ENOMEM, "no memory for the line numbers of a file");
    created->root = root;
    *lines = created;
    return 0;
}

void qd_schema_lines_destroy(qd_schema_lines *lines) {
    if (!lines)
        return;
    qd_yaml_destroy(lines->root);
    free(lines);
}

/* The child of mapping whose key are the first letters of path. */
static const qd_yaml_node *find_key(const qd_yaml_node *mapping, const char *path, size_t length) {
    if (!mapping || mapping->kind != QD_YAML_MAPPING)
        return NULL;
    for (const qd_yaml_node *child = mapping->first; child; child = child->next)
        if (strlen(child->key) == length && memcmp(child->key, path, length) == 0)
            return child;
    return NULL;
}

static const qd_yaml_node *find_entry(const qd_yaml_node *list, long index) {
    if (!list || list->kind != QD_YAML_LIST)
        return NULL;
    const qd_yaml_node *entry = list->first;
    for (; entry && index > 0; index--)
        entry = entry->next;
    return entry;
}

/* The node that the first part of path, KEY or [INDEX], leads to; *path is what follows it. */
static const qd_yaml_node *step(const qd_yaml_node *node, const char **path) {
    if (**path == '[') {
        char *end;
        long index = strtol(*path + 1, &end, 10);
        *path = end + strspn(end, "].");
        return find_entry(node, index);
    }
    size_t length = strcspn(*path, ".[");
    const qd_yaml_node *child = find_key(node, *path, length);
    *path += length;
    *path += **path == '.';
    return child;
}

/* The node at the end of path, and the line of the last one that was there on the way. */
static const qd_yaml_node *follow(const qd_schema_lines *lines, const char *path, int *line) {
    const qd_yaml_node *node = lines->root;
    *line = 1;
    while (*path) {
        node = step(node, &path);
        if (!node)
            return NULL;
        *line = node->line;
    }
    return node;
}

int qd_schema_line(const qd_schema_lines *lines, const char *path) {
    int line;
    follow(lines, path, &line);
    return line;
}

bool qd_schema_given(const qd_schema_lines *lines, const char *path) {
    int line;
    return follow(lines, path, &line) != NULL;
}
