#include <stdio.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/log.h"
#include "scheduler/server_internal.h"

/* From workers' messages to events and to the observer: one function for each kind of message. */

static const qd_observer *observer(const qd_server *server) {
    return server->config->observer;
}

/* A host's number is that of the first rank on it. */
static int host_of(const qd_server *server, int rank) {
    const qd_world *world = server->config->world;
    int first = 1;
    while (strcmp(world->host[first], world->host[rank]) != 0)
        first++;
    return first;
}

static int hear_hello(qd_server *server, int from, const Quadrille__Envelope *m) {
    const qd_observer *o = observer(server);
    server->workers[from].ready = true;
    if (o->worker_ready)
        o->worker_ready(o->context, from, m->hello);
    int rc = qd_server_send_welcome(server, from);
    qd_event event = {.kind = QD_EVENT_WORKER_READY, .rank = from};
    event.place = (qd_place){.host = host_of(server, from),
                             .island = m->hello->numa_node,
                             .memory_bytes = m->hello->memory_bytes};
    return rc ? rc : qd_server_feed(server, &event);
}

/* The job that a message speaks of, if it speaks of its present attempt; NULL for a late word. */
static const qd_job *present_job(const qd_server *server, int64_t job, int attempt,
                                 uint32_t epoch) {
    if (job < 1 || job > server->config->job_count)
        return NULL;
    const qd_server_job *known = &server->jobs[job - 1];
    bool present = known->attempt == attempt && known->epoch == epoch;
    return present ? &server->config->jobs[job - 1] : NULL;
}

/* Often enough for predictions, seldom enough for the journal; of its first steps at once. */
static const double tell_every_s = 10;

static int tell_core(qd_server *server, int64_t number, int attempt) {
    qd_server_job *job = &server->jobs[number - 1];
    qd_event event = {.kind = QD_EVENT_PROGRESS,
                      .job = number,
                      .attempt = attempt,
                      .step = job->step > job->saved ? job->step : job->saved,
                      .saved = job->saved,
                      .steps = job->steps};
    job->told = true;
    job->next_told = qd_deadline_in(tell_every_s);
    return qd_server_feed(server, &event);
}

static int hear_progress(qd_server *server, int from, const Quadrille__Envelope *m) {
    (void)from;
    const Quadrille__Progress *p = m->progress;
    const qd_job *job = present_job(server, p->job, p->attempt, p->epoch);
    if (job && observer(server)->progress)
        observer(server)->progress(observer(server)->context, job, p);
    if (!job)
        return 0;
    qd_server_job *known = &server->jobs[p->job - 1];
    known->step = p->step;
    known->steps = p->total_steps;
    bool due = !known->told || qd_deadline_passed(known->next_told);
    return due ? tell_core(server, p->job, p->attempt) : 0;
}

static int hear_evaluation(qd_server *server, int from, const Quadrille__Envelope *m) {
    (void)from;
    const Quadrille__Evaluation *e = m->evaluation;
    const qd_job *job = present_job(server, e->job, e->attempt, e->epoch);
    if (job && observer(server)->evaluation)
        observer(server)->evaluation(observer(server)->context, job, e);
    return 0;
}

static int hear_saved(qd_server *server, int from, const Quadrille__Envelope *m) {
    (void)from;
    const Quadrille__Saved *s = m->saved;
    const qd_job *job = present_job(server, s->job, s->attempt, s->epoch);
    if (job && observer(server)->saved)
        observer(server)->saved(observer(server)->context, job, s);
    if (!job)
        return 0;
    server->jobs[s->job - 1].saved = s->step;
    return tell_core(server, s->job, s->attempt);
}

/* Nobody else asks how fast a rank is: not every second into every journal. */
static int hear_pace(qd_server *server, int from, const Quadrille__Envelope *m) {
    const Quadrille__Pace *p = m->pace;
    if (!server->config->cluster->scheduling.swap || p->busy_ns <= 0 ||
        !present_job(server, p->job, p->attempt, p->epoch))
        return 0;
    qd_event event = {.kind = QD_EVENT_RANK_TIME,
                      .job = p->job,
                      .attempt = p->attempt,
                      .rank = from,
                      .busy_ns = p->busy_ns};
    return qd_server_feed(server, &event);
}

static int hear_ended(qd_server *server, int from, const Quadrille__Envelope *m) {
    const Quadrille__Ended *e = m->ended;
    if (!present_job(server, e->job, e->attempt, e->epoch)) {
        qd_log(QD_LOG_WARN, "rank %d ended attempt %d of job %lld, which is over: ignored", from,
               e->attempt, (long long)e->job);
        return 0;
    }
    qd_event event = {
        .kind = QD_EVENT_MEMBER_ENDED,
        .job = e->job,
        .attempt = e->attempt,
        .rank = from,
        .outcome = (qd_outcome)e->outcome,
        .exit_code = e->code,
    };
    snprintf(event.text, sizeof event.text, "%s", e->text);
    return qd_server_feed(server, &event);
}

static int hear_heartbeat(qd_server *server, int from, const Quadrille__Envelope *m) {
    (void)server;
    (void)from;
    (void)m;
    return 0;
}

static const struct {
    Quadrille__Envelope__BodyCase body;
    int (*hear)(qd_server *server, int from, const Quadrille__Envelope *message);
} ears[] = {
    {QUADRILLE__ENVELOPE__BODY_HELLO, hear_hello},
    {QUADRILLE__ENVELOPE__BODY_HEARTBEAT, hear_heartbeat},
    {QUADRILLE__ENVELOPE__BODY_PROGRESS, hear_progress},
    {QUADRILLE__ENVELOPE__BODY_EVALUATION, hear_evaluation},
    {QUADRILLE__ENVELOPE__BODY_SAVED, hear_saved},
    {QUADRILLE__ENVELOPE__BODY_PACE, hear_pace},
    {QUADRILLE__ENVELOPE__BODY_ENDED, hear_ended},
};

int qd_server_hear(qd_server *server, int from, const Quadrille__Envelope *message) {
    server->workers[from].silence = qd_deadline_in(server->config->cluster->worker_timeout_s);
    for (size_t i = 0; i < sizeof ears / sizeof ears[0]; i++)
        if (ears[i].body == message->body_case)
            return ears[i].hear(server, from, message);
    qd_log(QD_LOG_WARN, "rank %d sent a message that is not for the scheduler (kind %d): ignored",
           from, (int)message->body_case);
    return 0;
}
