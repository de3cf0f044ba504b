/* schema_lines.h: how qd_schema_parse makes what qd_schema_line reads. Inside of schema.h only. */
#ifndef QD_RUNTIME_SCHEMA_LINES_H
#define QD_RUNTIME_SCHEMA_LINES_H

#include "runtime/schema.h"
#include "runtime/yaml.h"

/* Takes over root (which may be NULL) when it succeeds. QD_ENOMEM. */
int qd_schema_lines_create(qd_yaml_node *root, qd_schema_lines **lines);

#endif
