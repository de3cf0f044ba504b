/* text.h: a growing string, for messages and files that are put together piece by piece. */
#ifndef QD_RUNTIME_TEXT_H
#define QD_RUNTIME_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Start with {0}. bytes is NUL-terminated once something was added, NULL before. When memory ran
 * out, failed is set and stays set, and further additions do nothing: check once, at the end. */
typedef struct qd_text {
    char *bytes;
    size_t length;
    size_t capacity;
    bool failed;
} qd_text;

void qd_text_add(qd_text *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Adds length bytes as they are. */
void qd_text_add_bytes(qd_text *text, const char *bytes, size_t length);

/* The ending of a noun that is counted: "" of one, "s" of any other number. */
const char *qd_plural(long long count);

/* Frees the bytes; text is {0} again. */
void qd_text_fini(qd_text *text);

#endif
