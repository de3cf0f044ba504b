/*
 * mapping.h: a whole file in memory, read-only, shared by all ranks of a host. The file must not
 * be changed while it is mapped: what was checked is read again later.
 */
#ifndef QD_WORKER_DATA_MAPPING_H
#define QD_WORKER_DATA_MAPPING_H

#include <stddef.h>
#include <stdint.h>

typedef struct qd_mapping {
    const uint8_t *bytes; /* NULL for an empty file */
    size_t size;
} qd_mapping;

/* *mapping is untouched on error. QD_EIO. */
int qd_mapping_open(const char *path, qd_mapping *mapping);

/* Does nothing to one that is all zero. */
void qd_mapping_close(qd_mapping *mapping);

#endif
