/*
 * checksum.h: XXH3-64 of stored bytes, written as 16 lower-case hex digits. It finds damage by
 * disks and networks; it does not protect against someone who forges a file.
 */
#ifndef QD_WORKER_CHECKSUM_H
#define QD_WORKER_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QD_CHECKSUM_TEXT_BYTES 17

uint64_t qd_checksum(const void *bytes, size_t length);

/* 16 hex digits and a NUL into text. */
void qd_checksum_text(uint64_t checksum, char text[QD_CHECKSUM_TEXT_BYTES]);

/* The inverse; false for anything but 16 lower-case hex digits. */
bool qd_checksum_parse(const char *text, uint64_t *checksum);

#endif
