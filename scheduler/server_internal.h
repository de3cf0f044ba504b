/* server_internal.h: what the files of the server share; for scheduler/server*.c only. */
#ifndef QD_SCHEDULER_SERVER_INTERNAL_H
#define QD_SCHEDULER_SERVER_INTERNAL_H

#include "runtime/clock.h"
#include "scheduler/journal.h"
#include "scheduler/run_folder.h"
#include "scheduler/server.h"

/* What the server keeps of a job beside the core's own view. Job number i + 1 is jobs[i]. */
typedef struct qd_server_job {
    qd_run_folder folder;
    char *text; /* resolved, as sent to the workers */
    int attempt;
    uint32_t epoch;
    qd_job_state state;
    int exit_code;              /* QD_E code of a failure */
    int64_t step, saved, steps; /* as far as it has told */
    bool told;                  /* the core knows that this attempt has made a step */
    qd_deadline next_told;      /* before that, the core is not told of more */
} qd_server_job;

typedef struct qd_server_worker {
    bool ready, lost;
    qd_deadline silence; /* it must have spoken by then */
} qd_server_worker;

typedef struct qd_server {
    const qd_server_config *config;
    qd_core *core;
    qd_journal *journal;
    qd_server_job *jobs;
    qd_server_worker *workers; /* [world size]; entry 0 unused */
    qd_deadline next_heartbeat, next_tick;
    bool draining;
    qd_deadline grace; /* when draining: everything must be saved by then */
    bool shutdown;     /* the core has nothing left to do */
} qd_server;

/* Gives an event to the core, writes it down, and carries out what follows. An event that the core
 * finds impossible is logged and forgotten. */
int qd_server_feed(qd_server *server, qd_event *event);

/* Carries out one action. */
int qd_server_act(qd_server *server, const qd_action *action);

/* Takes one message of a worker. */
int qd_server_hear(qd_server *server, int from, const Quadrille__Envelope *message);

/* Sends to a worker, in the few kinds the server has. */
int qd_server_send_welcome(qd_server *server, int rank);
int qd_server_send_heartbeats(qd_server *server);

#endif
