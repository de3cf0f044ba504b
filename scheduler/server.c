#include "scheduler/server.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/log.h"
#include "scheduler/after.h"
#include "scheduler/farewell.h"
#include "scheduler/server_internal.h"
#include "scheduler/teams.h"

enum { POLL_SLEEP_US = 1000 };

static const double hello_deadline_s = 60; /* a rank that has not spoken by then is lost */
static const double bye_deadline_s = 15;
static const double tick_s = 0.1;

int qd_server_feed(qd_server *server, qd_event *event) {
    qd_action_list actions;
    event->time_ns = qd_clock_now_ns();
    int rc = qd_core_handle(server->core, event, &actions);
    if (rc == QD_EPROTO) {
        qd_log(QD_LOG_WARN, "%s: ignored", qd_error_message());
        return 0;
    }
    if (!rc)
        rc = qd_journal_record(server->journal, event, &actions);
    for (int i = 0; !rc && i < actions.count; i++)
        rc = qd_server_act(server, &actions.actions[i]);
    return rc;
}

/* ---- setting up ---- */

static int open_job(qd_server *server, int i) {
    const qd_server_config *config = server->config;
    qd_server_job *job = &server->jobs[i];
    qd_text text = {0};
    qd_job_emit(&config->jobs[i], &text);
    if (text.failed)
        return qd_error_set(QD_ENOMEM, "no memory for the text of job %s", config->jobs[i].name);
    job->text = text.bytes;
    return qd_run_folder_open(config->cluster->runs, &config->jobs[i], config->plans[i],
                              config->resume, &job->folder);
}

static int open_journal(qd_server *server) {
    const qd_server_config *config = server->config;
    char path[PATH_MAX];
    int rc = qd_file_make_folders(config->cluster->runs);
    if (!rc)
        rc = qd_path_join(path, sizeof path, config->cluster->runs, "journal.sqlite");
    if (rc)
        return rc;
    return qd_journal_open(path, config->world->size - 1, &config->cluster->scheduling,
                           &server->journal);
}

/* QD_ECONFIG: the cluster file has none of that name, or it cannot take the job. */
static int find_reservation(const qd_server_config *config, const qd_job *job, int64_t *number) {
    const qd_cluster_reservation *r = config->cluster->reservations;
    int i = 0, count = config->cluster->reservation_count;
    *number = 0;
    if (strcmp(job->request_reservation, "none") == 0)
        return 0;
    while (i < count && strcmp(r[i].name, job->request_reservation) != 0)
        i++;
    if (i == count || r[i].kind == QD_RESERVATION_MAINTENANCE)
        return qd_error_set(QD_ECONFIG, "job %s: request.reservation %s: %s", job->name,
                            job->request_reservation,
                            i == count ? "the cluster file (--conf) has none of that name"
                                       : "it is for maintenance");
    if (job->ranks_min > r[i].ranks)
        return qd_error_set(QD_ECONFIG, "job %s: needs %lld ranks, reservation %s has %lld",
                            job->name, (long long)job->ranks_min, r[i].name, (long long)r[i].ranks);
    if (strcmp(r[i].account, "any") != 0 && strcmp(r[i].account, job->request_account) != 0 &&
        !qd_teams_is_within(&config->cluster->scheduling, job->request_account, r[i].account))
        return qd_error_set(QD_ECONFIG, "job %s: reservation %s is for account %s, not for %s",
                            job->name, r[i].name, r[i].account, job->request_account);
    *number = i + 1;
    return 0;
}

/* Before anything of earlier runs is touched. */
static int check_reservations(const qd_server_config *config) {
    const qd_cluster *cluster = config->cluster;
    int64_t number;
    int rc = 0;
    for (int i = 0; i < cluster->reservation_count && cluster->scheduling.team_count > 0; i++)
        if (strcmp(cluster->reservations[i].account, "any") != 0 &&
            qd_teams_named(&cluster->scheduling, cluster->reservations[i].account) == QD_NO_TEAM)
            return qd_error_set(QD_ECONFIG,
                                "reservation %s: account %s is no team of the cluster file",
                                cluster->reservations[i].name, cluster->reservations[i].account);
    for (int i = 0; !rc && i < config->job_count; i++)
        rc = find_reservation(config, &config->jobs[i], &number);
    return rc;
}

static int set_up(qd_server *server) {
    const qd_server_config *config = server->config;
    server->jobs = calloc((size_t)config->job_count, sizeof *server->jobs);
    server->workers = calloc((size_t)config->world->size, sizeof *server->workers);
    if (!server->jobs || !server->workers)
        return qd_error_set(QD_ENOMEM, "no memory for %d jobs", config->job_count);
    for (int i = 0; i < config->job_count; i++)
        server->jobs[i].folder.lock = -1;
    for (int rank = 1; rank < config->world->size; rank++)
        server->workers[rank].silence = qd_deadline_in(hello_deadline_s);
    /* Earlier runs are moved aside last, when nothing else can stand in the way. */
    int rc = check_reservations(config);
    if (!rc)
        rc = open_journal(server);
    for (int i = 0; !rc && i < config->job_count; i++)
        rc = open_job(server, i);
    if (!rc)
        rc = qd_core_create(config->world->size - 1, &config->cluster->scheduling, &server->core);
    return rc;
}

static void tear_down(qd_server *server) {
    for (int i = 0; server->jobs && i < server->config->job_count; i++) {
        qd_run_folder_close(&server->jobs[i].folder);
        free(server->jobs[i].text);
    }
    free(server->jobs);
    free(server->workers);
    qd_journal_close(server->journal);
    qd_core_destroy(server->core);
}

static int64_t ns(double seconds) {
    return llround(seconds * 1e9);
}

/* The team of that name; where the cluster file has none, an account's number is that of the first
 * job that names it. QD_ECONFIG: there is none, or too many. */
static int find_account(const qd_server_config *config, const qd_job *job, int *account) {
    int first = 0;
    if (config->cluster->scheduling.team_count > 0) {
        *account = qd_teams_find(&config->cluster->scheduling, job->request_account);
        return *account >= 0 ? 0 : qd_error_context(*account, "job %s: request.account", job->name);
    }
    while (strcmp(config->jobs[first].request_account, job->request_account) != 0)
        first++;
    if (first >= QD_ACCOUNTS)
        return qd_error_set(QD_ECONFIG, "job %s: request.account must be one of the first %d jobs'",
                            job->name, QD_ACCOUNTS);
    *account = first;
    return 0;
}

static qd_submission submission_of(const qd_job *job, int64_t number) {
    qd_submission submit = {.job = number,
                            .ranks_min = (int)job->ranks_min,
                            .ranks_max = (int)job->ranks_max,
                            .ranks_step = job->layout_dp ? 0 : (int)qd_job_copy_ranks(job),
                            .estimate_ns = ns(job->request_estimate_s),
                            .limit_ns = ns(job->request_limit_s),
                            .tells = 1,
                            .keeps_ranks = !job->request_preemptible,
                            .importance = (int)job->request_importance,
                            .nice = (int)job->request_nice};
    int64_t now_ns = qd_clock_now_ns();
    if (job->request_deadline_s > 0)
        submit.deadline_ns = now_ns + ns(job->request_deadline_s);
    if (job->request_begin_s > 0)
        submit.begin_ns = now_ns + ns(job->request_begin_s);
    submit.demand = (qd_demand){.within = (int)job->request_within,
                                .memory_bytes = llround(job->request_memory_gib * 0x1p30),
                                .peers = (int)job->layout_tp};
    memcpy(submit.name, job->name, sizeof submit.name);
    return submit;
}

/* The number of the account a reservation is for; -1: anybody's. One that no job has gets a number
 * that no job has either. */
static int reserved_account(const qd_server_config *config, const char *account) {
    if (strcmp(account, "any") == 0)
        return -1;
    if (config->cluster->scheduling.team_count > 0)
        return qd_teams_named(&config->cluster->scheduling, account);
    for (int i = 0; i < config->job_count && i < QD_ACCOUNTS; i++)
        if (strcmp(config->jobs[i].request_account, account) == 0)
            return i;
    return QD_ACCOUNTS - 1;
}

static int reserve(qd_server *server) {
    const qd_server_config *config = server->config;
    int64_t zero_ns = qd_clock_now_ns();
    int rc = 0;
    for (int i = 0; !rc && i < config->cluster->reservation_count; i++) {
        qd_event event = {.kind = QD_EVENT_RESERVE};
        int account = reserved_account(config, config->cluster->reservations[i].account);
        event.reserve = qd_cluster_reservation_at(config->cluster, i, zero_ns, account);
        rc = qd_server_feed(server, &event);
    }
    return rc;
}

static int submit_jobs(qd_server *server) {
    int rc = reserve(server);
    for (int i = 0; !rc && i < server->config->job_count; i++) {
        const qd_job *job = &server->config->jobs[i];
        qd_event event = {.kind = QD_EVENT_SUBMIT};
        event.submit = submission_of(job, i + 1);
        rc = find_account(server->config, job, &event.submit.account);
        if (!rc)
            rc = find_reservation(server->config, job, &event.submit.reservation);
        if (!rc)
            rc = qd_after_of_job(server->config->jobs, i + 1, event.submit.after);
        if (!rc)
            rc = qd_journal_record_job(server->journal, i + 1, server->jobs[i].text);
        if (!rc)
            rc = qd_server_feed(server, &event);
    }
    qd_event closed = {.kind = QD_EVENT_CLOSED};
    return rc ? rc : qd_server_feed(server, &closed);
}

/* ---- the loop ---- */

/* Returns the number of messages taken, or an error. */
static int hear_all(qd_server *server) {
    Quadrille__Envelope *message;
    int from, got, taken = 0;
    while ((got = qd_wire_poll(server->config->wire, &message, &from)) != 0) {
        if (got == QD_EPROTO) {
            qd_log(QD_LOG_WARN, "%s: ignored", qd_error_message());
            continue;
        }
        if (got < 0)
            return got;
        int rc = qd_server_hear(server, from, message);
        quadrille__envelope__free_unpacked(message, NULL);
        if (rc)
            return rc;
        taken++;
    }
    return taken;
}

static int heed_stop_signal(qd_server *server) {
    int number = *server->config->stop_signal;
    if (number == 0 || server->draining)
        return 0;
    server->draining = true;
    server->grace = qd_deadline_in(server->config->cluster->stop_grace_s);
    qd_event event = {.kind = QD_EVENT_DRAIN};
    snprintf(event.text, sizeof event.text, "stopped by signal %d (%s)", number, strsignal(number));
    return qd_server_feed(server, &event);
}

static int find_lost_workers(qd_server *server) {
    for (int rank = 1; rank < server->config->world->size; rank++) {
        qd_server_worker *worker = &server->workers[rank];
        if (worker->lost || !qd_deadline_passed(worker->silence))
            continue;
        worker->lost = true;
        qd_event event = {.kind = QD_EVENT_WORKER_LOST, .rank = rank};
        snprintf(event.text, sizeof event.text, "silent for %g s",
                 worker->ready ? server->config->cluster->worker_timeout_s : hello_deadline_s);
        qd_log(QD_LOG_ERROR, "rank %d is lost: %s", rank, event.text);
        int rc = qd_server_feed(server, &event);
        if (rc)
            return rc;
    }
    return 0;
}

/* Tells the core the time when it has asked for that. */
static int wake_core(qd_server *server) {
    if (qd_clock_now_ns() < qd_core_wake_ns(server->core))
        return 0;
    qd_event event = {.kind = QD_EVENT_TIME};
    return qd_server_feed(server, &event);
}

static int keep_time(qd_server *server) {
    const qd_observer *o = server->config->observer;
    int rc = wake_core(server);
    if (rc)
        return rc;
    if (qd_deadline_passed(server->next_tick)) {
        server->next_tick = qd_deadline_in(tick_s);
        if (o->tick)
            o->tick(o->context);
    }
    if (server->draining && qd_deadline_passed(server->grace))
        return qd_error_set(QD_ETIMEDOUT,
                            "not everything was saved within the %g s of stop.grace_s",
                            server->config->cluster->stop_grace_s);
    if (!qd_deadline_passed(server->next_heartbeat))
        return 0;
    server->next_heartbeat = qd_deadline_in(server->config->cluster->heartbeat_s);
    return qd_server_send_heartbeats(server);
}

static int serve(qd_server *server) {
    qd_backoff backoff = {QD_BACKOFF_ASLEEP};
    while (!server->shutdown) {
        int taken = hear_all(server);
        int rc = taken < 0 ? taken : heed_stop_signal(server);
        if (!rc)
            rc = find_lost_workers(server);
        if (!rc)
            rc = keep_time(server);
        if (rc)
            return rc;
        if (taken > 0)
            backoff = (qd_backoff){QD_BACKOFF_ASLEEP};
        qd_backoff_pause(&backoff, POLL_SLEEP_US);
    }
    return 0;
}

/* Lets the workers go, whatever happened before; keeps the message of what did. */
static bool say_goodbye(const qd_server *server, int rc) {
    char why[QD_ERROR_BYTES];
    memcpy(why, qd_error_message(), strlen(qd_error_message()) + 1);
    bool all_left = qd_farewell(server->config->wire, server->config->world, bye_deadline_s);
    if (rc)
        qd_error_set(rc, "%s", why);
    return all_left;
}

static int job_exit_status(const qd_server *server, const qd_server_job *job) {
    switch (job->state) {
    case QD_STATE_COMPLETED:
        return EX_OK;
    case QD_STATE_FAILED:
        return qd_error_exit_status(job->exit_code ? job->exit_code : QD_EINTERNAL);
    case QD_STATE_CANCELLED:
        return server->draining ? EX_TEMPFAIL : EX_USAGE;
    default:
        return EX_TEMPFAIL;
    }
}

/* A failure outweighs a job that was merely put off. */
static int exit_status_of_all(const qd_server *server) {
    int status = EX_OK;
    for (int i = 0; i < server->config->job_count; i++) {
        int of_job = job_exit_status(server, &server->jobs[i]);
        if (status == EX_OK || (status == EX_TEMPFAIL && of_job != EX_OK))
            status = of_job;
    }
    return status;
}

int qd_server_run(const qd_server_config *config, int *exit_status, bool *in_peace) {
    qd_server server = {.config = config};
    int rc = set_up(&server);
    if (!rc)
        rc = submit_jobs(&server);
    if (!rc)
        rc = serve(&server);
    if (!rc)
        *exit_status = exit_status_of_all(&server);
    *in_peace = say_goodbye(&server, rc);
    tear_down(&server);
    return rc;
}
