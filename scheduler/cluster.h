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
#include "scheduler/reservation_book.h"
#include "scheduler/scheduling.h"

#define QD_CLUSTER_PATH_BYTES 512

/* One entry of reservations. Times count from the start of the session. */
typedef struct qd_cluster_reservation {
    int kind; /* a qd_reservation_kind */
    char name[QD_RESERVATION_NAME_BYTES];
    int64_t ranks; /* 0: all, for maintenance */
    double from_s, until_s;
    int every;                               /* a qd_cluster_every */
    char account[QD_RESERVATION_NAME_BYTES]; /* "any": anybody's */
    int line;
} qd_cluster_reservation;

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
    qd_cluster_reservation reservations[QD_RESERVATIONS]; /* reservations */
    int reservation_count;
} qd_cluster;

/* All defaults. */
void qd_cluster_defaults(qd_cluster *cluster);

/* QD_ECONFIG with file:line, *cluster untouched. */
int qd_cluster_parse(const char *file, const char *text, size_t length, qd_cluster *cluster);
int qd_cluster_load(const char *file, qd_cluster *cluster);
/* Reservation i (its number is i + 1) of a session that starts at zero_ns; account: whose jobs may
 * name it, -1: anybody's. */
qd_reservation qd_cluster_reservation_at(const qd_cluster *cluster, int i, int64_t zero_ns,
                                         int account);

/* Whether so many ranks are enough for all reservations. QD_ECONFIG with file:line, naming the
 * other reservation, the interval and the ranks short. */
int qd_cluster_check_ranks(const char *file, const qd_cluster *cluster, int ranks);
void qd_cluster_emit(const qd_cluster *cluster, qd_text *out);

#endif
