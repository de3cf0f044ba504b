#include "runtime/error.h"
#include "runtime/log.h"
#include "scheduler/server_internal.h"

/* From the core's decisions to messages: one function for each kind of action. */

static int send_to_each(qd_server *server, const qd_action *action, Quadrille__Envelope *envelope) {
    for (int i = 0; i < action->rank_count; i++) {
        int rc = qd_wire_send(server->config->wire, action->ranks[i], envelope);
        if (rc)
            return rc;
    }
    return 0;
}

static int act_start(qd_server *server, const qd_action *action) {
    const qd_server_config *config = server->config;
    qd_server_job *job = &server->jobs[action->job - 1];
    job->attempt = action->attempt;
    job->epoch = action->epoch;
    job->told = false;
    Quadrille__Start start = QUADRILLE__START__INIT;
    start.job = action->job;
    start.attempt = action->attempt;
    start.epoch = action->epoch;
    start.n_ranks = (size_t)action->rank_count;
    start.ranks = (int32_t *)action->ranks;
    start.job_text = job->text;
    start.run_folder = job->folder.path;
    start.resume = config->resume || action->attempt > 1;
    start.threads = (int32_t)config->cluster->worker_threads;
    start.transport = (char *)qd_transport_names[config->cluster->transport];
    start.deadline_s = config->cluster->peer_deadline_s;
    Quadrille__Envelope envelope = QUADRILLE__ENVELOPE__INIT;
    envelope.body_case = QUADRILLE__ENVELOPE__BODY_START;
    envelope.start = &start;
    int rc = send_to_each(server, action, &envelope);
    const qd_observer *o = config->observer;
    if (!rc && o->job_started)
        o->job_started(o->context, &config->jobs[action->job - 1], action, job->folder.path);
    return rc;
}

static int act_stop(qd_server *server, const qd_action *action) {
    Quadrille__Stop stop = QUADRILLE__STOP__INIT;
    stop.job = action->job;
    stop.attempt = action->attempt;
    stop.epoch = server->jobs[action->job - 1].epoch;
    stop.reason = (char *)action->reason;
    Quadrille__Envelope envelope = QUADRILLE__ENVELOPE__INIT;
    envelope.body_case = QUADRILLE__ENVELOPE__BODY_STOP;
    envelope.stop = &stop;
    return send_to_each(server, action, &envelope);
}

static int act_abort(qd_server *server, const qd_action *action) {
    Quadrille__Abort abort = QUADRILLE__ABORT__INIT;
    abort.job = action->job;
    abort.attempt = action->attempt;
    abort.epoch = server->jobs[action->job - 1].epoch;
    abort.reason = (char *)action->reason;
    Quadrille__Envelope envelope = QUADRILLE__ENVELOPE__INIT;
    envelope.body_case = QUADRILLE__ENVELOPE__BODY_ABORT;
    envelope.abort = &abort;
    return send_to_each(server, action, &envelope);
}

static int act_job_state(qd_server *server, const qd_action *action) {
    qd_server_job *job = &server->jobs[action->job - 1];
    job->state = action->state;
    job->exit_code = action->exit_code;
    const qd_observer *o = server->config->observer;
    if (o->job_state)
        o->job_state(o->context, &server->config->jobs[action->job - 1], action->state,
                     action->reason);
    return 0;
}

/* The workers hear of it as a stop, and then as a start. */
static int act_resize(qd_server *server, const qd_action *action) {
    (void)server;
    (void)action;
    return 0;
}

static int act_shutdown(qd_server *server, const qd_action *action) {
    (void)action;
    server->shutdown = true;
    return 0;
}

static int (*const acts[QD_ACTIONS])(qd_server *server, const qd_action *action) = {
    [QD_ACTION_START] = act_start,       [QD_ACTION_STOP] = act_stop,
    [QD_ACTION_ABORT] = act_abort,       [QD_ACTION_JOB_STATE] = act_job_state,
    [QD_ACTION_SHUTDOWN] = act_shutdown, [QD_ACTION_RESIZE] = act_resize,
};

int qd_server_act(qd_server *server, const qd_action *action) {
    return acts[action->kind](server, action);
}

int qd_server_send_welcome(qd_server *server, int rank) {
    Quadrille__Welcome welcome = QUADRILLE__WELCOME__INIT;
    welcome.heartbeat_s = server->config->cluster->heartbeat_s;
    welcome.timeout_s = server->config->cluster->worker_timeout_s;
    Quadrille__Envelope envelope = QUADRILLE__ENVELOPE__INIT;
    envelope.body_case = QUADRILLE__ENVELOPE__BODY_WELCOME;
    envelope.welcome = &welcome;
    return qd_wire_send(server->config->wire, rank, &envelope);
}

int qd_server_send_heartbeats(qd_server *server) {
    Quadrille__Heartbeat heartbeat = QUADRILLE__HEARTBEAT__INIT;
    Quadrille__Envelope envelope = QUADRILLE__ENVELOPE__INIT;
    envelope.body_case = QUADRILLE__ENVELOPE__BODY_HEARTBEAT;
    envelope.heartbeat = &heartbeat;
    int rc = 0;
    for (int rank = 1; !rc && rank < server->config->world->size; rank++)
        if (!server->workers[rank].lost)
            rc = qd_wire_send(server->config->wire, rank, &envelope);
    return rc;
}
