/*
 * lines.h: reads a text of labelled lines, LABEL<TAB>TEXT: one sample a line, each byte of the text
 * a token. The text may be anything but empty, tabs included; no byte is 0, which is what padding
 * is made of. Lines end in LF or CRLF.
 */
#ifndef QD_WORKER_DATA_LINES_H
#define QD_WORKER_DATA_LINES_H

#include <stddef.h>
#include <stdint.h>

#include "models/family.h"

typedef struct qd_line {
    const char *text; /* in the file's text */
    int64_t length;   /* at least 1 */
    int32_t label;
} qd_line;

typedef struct qd_lines {
    qd_line *line;
    int64_t count; /* at least 1 */
} qd_lines;

/*
 * Parses a whole file's text, which must outlive *lines. path: for messages, which name the line
 * (from 1). Labels are spec's classes, bytes its tokens. *lines belongs to the caller
 * (qd_lines_fini) and is untouched on error. QD_EDATA, QD_ENOMEM.
 */
int qd_lines_parse(const char *path, const char *text, size_t length, const qd_sample_spec *spec,
                   qd_lines *lines);

void qd_lines_fini(qd_lines *lines);

#endif
