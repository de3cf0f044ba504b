/*
 * csv.h: reads a text of comma separated numbers, one sample a line, the targets last. No quotes
 * and no missing values. Lines end in LF or CRLF; blanks around a number don't matter.
 */
#ifndef QD_WORKER_DATA_CSV_H
#define QD_WORKER_DATA_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/data/numbers.h"

/* What a line must hold. */
typedef struct qd_csv_layout {
    bool header; /* the first line is no sample */
    int64_t inputs, targets;
    qd_number_rule input_rule, target_rule;
} qd_csv_layout;

typedef struct qd_csv {
    int64_t rows; /* at least 1 */
    char *slots;  /* [rows, inputs + targets] of QD_NUMBER_BYTES */
} qd_csv;

/*
 * Parses a whole file's text, which a NUL must follow. path: for messages, which name line and
 * column (from 1). *csv belongs to the caller (qd_csv_fini) and is untouched on error. QD_EDATA,
 * QD_ENOMEM.
 */
int qd_csv_parse(const char *path, const char *text, size_t length, const qd_csv_layout *layout,
                 qd_csv *csv);

void qd_csv_fini(qd_csv *csv);

#endif
