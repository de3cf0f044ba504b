/*
 * yaml.h: the part of YAML that configuration needs, as a tree with line numbers: one document of
 * mappings, lists and scalars. Anchors, aliases, tags, duplicate keys and further documents are
 * refused. What the scalars mean is not decided here (schema.h).
 */
#ifndef QD_RUNTIME_YAML_H
#define QD_RUNTIME_YAML_H

#include <stdbool.h>
#include <stddef.h>

#define QD_YAML_MAX_BYTES ((size_t)1 << 20)
#define QD_YAML_MAX_DEPTH 16
/* Keys of one mapping: looking for duplicates takes the square of their number. */
#define QD_YAML_MAX_KEYS 256

typedef enum { QD_YAML_SCALAR, QD_YAML_LIST, QD_YAML_MAPPING } qd_yaml_kind;

typedef struct qd_yaml_node {
    qd_yaml_kind kind;
    int line;    /* of its key, or of itself where it has none; the first line is 1 */
    char *key;   /* what it stands under in a mapping; else NULL */
    char *text;  /* SCALAR: without a NUL inside; else NULL */
    bool quoted; /* SCALAR: written in quotes or as a block */
    struct qd_yaml_node *first, *next; /* first child; next child of the same parent */
} qd_yaml_node;

/*
 * Parses UTF-8 text. file is for messages. *root belongs to the caller (qd_yaml_destroy) and is
 * NULL where the text is empty but for comments. QD_ECONFIG "FILE:LINE: ...", QD_ENOMEM.
 */
int qd_yaml_parse(const char *file, const char *text, size_t length, qd_yaml_node **root);

void qd_yaml_destroy(qd_yaml_node *root);

/* The node under key in a mapping; NULL where there is none, or mapping is NULL or no mapping. */
const qd_yaml_node *qd_yaml_get(const qd_yaml_node *mapping, const char *key);

/* Reads a file that is to be parsed; *text (free) is NUL-terminated. QD_ECONFIG when it is longer
 * than QD_YAML_MAX_BYTES, QD_EIO, QD_ENOMEM. */
int qd_yaml_read_file(const char *file, char **text, size_t *length);

#endif
