/*
 * cluster.h: the cluster file (conf/cluster.yaml): how workers run, how long one waits for them,
 * by which policy jobs are scheduled. Everything has a default; no file at all is fine.
 */
#ifndef QD_SCHEDULER_CLUSTER_H
#define QD_SCHEDULER_CLUSTER_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/text.h"
#include "runtime/transport_kind.h"
#include "scheduler/scheduling.h"

#define QD_CLUSTER_PATH_BYTES 512

typedef struct qd_cluster {
    qd_scheduling scheduling;         /* scheduler: policy and its settings; first, since its
                                         schema (scheduling.h) is bound to it alone, too */
    int64_t worker_threads;           /* workers.threads: threads of each worker, 1 .. 1024 */
    qd_transport_kind transport;      /* collectives.transport: auto, shm, mpi */
    double peer_deadline_s;           /* collectives.deadline_s: longest wait for a peer */
    double heartbeat_s;               /* liveness.heartbeat_s */
    double worker_timeout_s;          /* liveness.timeout_s: silence after which a worker is lost */
    double stop_grace_s;              /* stop.grace_s: time to save in after a signal */
    char runs[QD_CLUSTER_PATH_BYTES]; /* runs: folder of the run folders */
} qd_cluster;

/* All defaults. */
void qd_cluster_defaults(qd_cluster *cluster);

/* QD_ECONFIG with file:line, *cluster untouched. */
int qd_cluster_parse(const char *file, const char *text, size_t length, qd_cluster *cluster);
int qd_cluster_load(const char *file, qd_cluster *cluster);
void qd_cluster_emit(const qd_cluster *cluster, qd_text *out);

#endif
