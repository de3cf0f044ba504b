/*
 * quote.h: foreign text (a key or a value out of a file) inside a message: short, on one line and
 * harmless to a terminal. Not for writing YAML or JSON.
 */
#ifndef QD_RUNTIME_QUOTE_H
#define QD_RUNTIME_QUOTE_H

#include <stddef.h>

#define QD_QUOTE_BYTES 72

/*
 * Bytes of the UTF-8 character at `at` (a NUL-terminated string); 0 when it is one that people
 * can't see (control characters, line separators, byte order mark) or no UTF-8.
 */
size_t qd_printable(const char *at);

/* Writes text in double quotes to out: what is not printable as \xNN, and "..." in place of what
 * does not fit. Returns out. */
const char *qd_quote(const char *text, char out[QD_QUOTE_BYTES]);

#endif
