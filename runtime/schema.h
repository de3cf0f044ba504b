/*
 * schema.h: strict configuration. A YAML text (libyaml; a mapping of scalars, lists and mappings,
 * without anchors, aliases or tags) is bound to a plain struct by a table; what the table does not
 * know is an error with file, line, what is wrong and what would be accepted. The same table
 * writes the struct back and compares two of them, so that the three cannot drift apart.
 *
 * It knows nothing of jobs or clusters: those are tables in models/job.c and scheduler/cluster.c.
 */
#ifndef QD_RUNTIME_SCHEMA_H
#define QD_RUNTIME_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/text.h"

typedef enum {
    QD_FIELD_INT,         /* int64_t, decimal, min..max */
    QD_FIELD_UINT,        /* uint64_t, decimal */
    QD_FIELD_REAL,        /* double, finite, min..max */
    QD_FIELD_BOOL,        /* bool: true or false */
    QD_FIELD_NAME,        /* char[size]: [a-z0-9][a-z0-9._-]* */
    QD_FIELD_TEXT,        /* char[size]: any non-empty scalar of printable characters */
    QD_FIELD_CHOICE,      /* int (an enum): one of the words in choices, value = its index */
    QD_FIELD_INT_LIST,    /* int64_t[capacity] with an int count at count_offset, each min..max */
    QD_FIELD_REAL_LIST,   /* likewise, double[capacity] */
    QD_FIELD_AUTO_INT,    /* as INT, or the word "auto", which stores 0 */
    QD_FIELD_INT_OR_NONE, /* qd_optional_int: as INT, or the word "none" */
    QD_FIELD_MAPPING,     /* a nested mapping: fields of the same struct */
    /* A list of mappings: structs of entry_size bytes [size] with an int count at count_offset.
     * Each is bound by fields, values and lists of them, with offsets within it. Where the first
     * of fields is a CHOICE, an entry that sets nothing else may be its word alone: "- relu"
     * stands for "- {kind: relu}". */
    QD_FIELD_MAPPING_LIST,
} qd_field_kind;

/* Zeroed: none. */
typedef struct qd_optional_int {
    int64_t value;
    bool given;
} qd_optional_int;

enum {
    QD_FIELD_REQUIRED = 1,  /* must be there; in a mapping, makes the mapping required too */
    QD_FIELD_RESULT = 2,    /* takes part in qd_schema_compare; of a MAPPING_LIST: its length */
    QD_FIELD_ABOVE_MIN = 4, /* REAL: min itself is not accepted */
    QD_FIELD_BELOW_MAX = 8, /* REAL: max itself is not accepted */
    QD_FIELD_WORD = 32, /* MAPPING whose first field is a CHOICE: its word alone stands for it */
    QD_FIELD_OMIT_ZERO = 16, /* INT, REAL: zero stands for "not given" and is not emitted */
};

/* Rows of one key may follow each other where at most one of them applies (when_key, the same in
 * all): what a key means, or whether it is required, may depend on a choice. */
typedef struct qd_field {
    const char *key;
    qd_field_kind kind;
    unsigned flags;
    size_t offset;                 /* in the bound struct; unused for MAPPING */
    size_t size;                   /* NAME, TEXT: bytes; lists: capacity in entries */
    size_t count_offset;           /* lists */
    size_t entry_size;             /* MAPPING_LIST: bytes of an entry */
    double min, max;               /* numbers but UINT, and lists of them */
    const char *const *choices;    /* CHOICE: NULL-terminated */
    const struct qd_field *fields; /* mappings: ends with a row whose key is NULL */
    const char *preset;            /* default, written as in YAML; NULL: field keeps its zero */
    const char *when_key;          /* of a CHOICE further up in the same mapping; NULL: always */
    const char *when;              /* the word it must have for this field to be accepted, preset,
                                      emitted and compared; or several, blanks between them */
} qd_field;

/* Where each key stood, so that rules over several keys can name a line. Opaque. */
typedef struct qd_schema_lines qd_schema_lines;

/* Fills object with zeros and the presets. */
void qd_schema_defaults(const qd_field *fields, void *object, size_t object_size);

/*
 * Parses text into object, which is filled with zeros and presets first. On success, where lines
 * is not NULL, *lines (qd_schema_lines_destroy) tells where keys stood. QD_ECONFIG with
 * "FILE:LINE: ..." or QD_ENOMEM otherwise, *object and *lines untouched. Empty text is an empty
 * mapping.
 */
int qd_schema_parse(const qd_field *fields, const char *file, const char *text, size_t length,
                    void *object, size_t object_size, qd_schema_lines **lines);

void qd_schema_lines_destroy(qd_schema_lines *lines);

/* The line of a key given as a dotted path ("train.batch", "model.layers[3].width": entries of
 * lists count from 0); where the key was not given, the line of the nearest mapping or entry that
 * was, and 1 for the file itself. */
int qd_schema_line(const qd_schema_lines *lines, const char *path);

/* Whether the file gave that key. */
bool qd_schema_given(const qd_schema_lines *lines, const char *path);

/* Writes object as YAML, two spaces of indentation a level, in table order; an entry of a list of
 * mappings takes a line, its word alone where that says it all. Reals are written so that they read
 * back equal. Texts are quoted where YAML needs it. */
void qd_schema_emit(const qd_field *fields, const void *object, qd_text *out);

/*
 * Compares the RESULT fields of two objects. 0 when all are equal; else QD_ECONFIG with
 * "KEY: A there, B here" for the first that differs (KEY as a dotted path, as above).
 */
int qd_schema_compare(const qd_field *fields, const void *there, const void *here);

#endif
