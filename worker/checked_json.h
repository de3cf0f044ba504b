/*
 * checked_json.h: a JSON file that carries a checksum of what it says:
 * {"format": 1, "xxh3": "16 hex digits", "content": ...}. For files a run must be able to trust
 * after a crash, not for exchange with others.
 */
#ifndef QD_WORKER_CHECKED_JSON_H
#define QD_WORKER_CHECKED_JSON_H

#include <jansson.h>

/* Replaces the file at path (runtime/file.h). Takes over content; NULL (it could not be made,
 * because a text is not UTF-8 or memory ran out) is an error. QD_EIO, QD_EDATA, QD_ENOMEM. */
int qd_checked_json_write(const char *path, json_t *content);

/* *content is a new reference, untouched on error. QD_EIO, QD_EDATA, QD_ENOMEM. */
int qd_checked_json_read(const char *path, json_t **content);

#endif
