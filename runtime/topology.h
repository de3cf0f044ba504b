/* topology.h: the machine this process runs on (hwloc), in the few numbers others need. */
#ifndef QD_RUNTIME_TOPOLOGY_H
#define QD_RUNTIME_TOPOLOGY_H

#include <stdint.h>

typedef struct qd_topology {
    int numa_node;        /* the one it is bound to, from 1; 0: to none, or to several */
    int64_t memory_bytes; /* of the machine */
    int cores;            /* physical cores this process may run on; at least 1 */
    char binding[256];    /* the processing units it is bound to, as a list: "0-3,8" */
    char processor[128];  /* model name */
} qd_topology;

/* QD_EINTERNAL when hwloc can't tell. */
int qd_topology_read(qd_topology *topology);

#endif
