#include "worker/agent.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/clock.h"
#include "runtime/error.h"
#include "runtime/isa.h"
#include "runtime/log.h"
#include "runtime/topology.h"
#include "worker/trainer.h"

enum { SCHEDULER_RANK = 0, IDLE_SLEEP_US = 2000 };

/* Before the scheduler has said how often it speaks. */
static const double first_timeout_s = 60;

/* The present attempt; job is 0 when there is none. */
typedef struct attempt {
    int64_t job;
    int number;
    uint32_t epoch;
    int64_t step;
    bool stop_asked, aborted;
} attempt;

typedef struct qd_agent {
    const qd_world *world;
    qd_wire *wire;
    double heartbeat_s;
    double timeout_s;
    qd_deadline next_heartbeat;
    qd_deadline silence; /* the scheduler must have spoken by then */
    attempt now;
    Quadrille__Envelope *start; /* a Start that waits to be carried out */
    bool leaving;
    int broken; /* why the conversation ended: an error code; its text was logged */
} qd_agent;

/* ---- speaking ---- */

static void send_to_scheduler(qd_agent *agent, Quadrille__Envelope *envelope) {
    int rc = qd_wire_send(agent->wire, SCHEDULER_RANK, envelope);
    if (rc && !agent->broken) {
        agent->broken = rc;
        qd_log(QD_LOG_ERROR, "%s", qd_error_message());
    }
}

/* Of the ranks on this host that train. */
static int ranks_on_host(const qd_world *world) {
    int count = 0;
    for (int rank = 0; rank < world->size; rank++)
        count += rank != SCHEDULER_RANK && strcmp(world->host[rank], world->host[world->rank]) == 0;
    return count;
}

static int say_hello(qd_agent *agent) {
    qd_topology topology;
    int rc = qd_topology_read(&topology);
    if (rc)
        return rc;
    Quadrille__Hello hello = QUADRILLE__HELLO__INIT;
    hello.pid = (int32_t)getpid();
    hello.host = agent->world->host[agent->world->rank];
    hello.processor = topology.processor;
    hello.cores = topology.cores;
    hello.binding = topology.binding;
    hello.isa = (char *)qd_isa_in_use_name();
    hello.numa_node = topology.numa_node;
    hello.memory_bytes = topology.memory_bytes / ranks_on_host(agent->world);
    Quadrille__Envelope envelope = QUADRILLE__ENVELOPE__INIT;
    envelope.body_case = QUADRILLE__ENVELOPE__BODY_HELLO;
    envelope.hello = &hello;
    send_to_scheduler(agent, &envelope);
    return agent->broken;
}

static void send_heartbeat_when_due(qd_agent *agent) {
    if (!qd_deadline_passed(agent->next_heartbeat))
        return;
    agent->next_heartbeat = qd_deadline_in(agent->heartbeat_s);
    Quadrille__Heartbeat heartbeat = QUADRILLE__HEARTBEAT__INIT;
    heartbeat.job = agent->now.job;
    heartbeat.attempt = agent->now.number;
    heartbeat.epoch = agent->now.epoch;
    heartbeat.step = agent->now.step;
    Quadrille__Envelope envelope = QUADRILLE__ENVELOPE__INIT;
    envelope.body_case = QUADRILLE__ENVELOPE__BODY_HEARTBEAT;
    envelope.heartbeat = &heartbeat;
    send_to_scheduler(agent, &envelope);
}

static void send_bye(qd_agent *agent) {
    Quadrille__Bye bye = QUADRILLE__BYE__INIT;
    Quadrille__Envelope envelope = QUADRILLE__ENVELOPE__INIT;
    envelope.body_case = QUADRILLE__ENVELOPE__BODY_BYE;
    envelope.bye = &bye;
    send_to_scheduler(agent, &envelope);
}

/* ---- listening ---- */

static bool is_present(const qd_agent *agent, int64_t job, int number, uint32_t epoch) {
    return agent->now.job == job && agent->now.number == number && agent->now.epoch == epoch;
}

static void on_welcome(qd_agent *agent, Quadrille__Envelope *m) {
    agent->heartbeat_s = m->welcome->heartbeat_s;
    agent->timeout_s = m->welcome->timeout_s;
}

static void on_start(qd_agent *agent, Quadrille__Envelope *m) {
    if (agent->now.job != 0) {
        qd_log(QD_LOG_WARN, "told to start job %lld while job %lld runs: ignored",
               (long long)m->start->job, (long long)agent->now.job);
        return;
    }
    agent->now =
        (attempt){.job = m->start->job, .number = m->start->attempt, .epoch = m->start->epoch};
    agent->start = m;
}

static void on_stop(qd_agent *agent, Quadrille__Envelope *m) {
    if (is_present(agent, m->stop->job, m->stop->attempt, m->stop->epoch))
        agent->now.stop_asked = true;
}

static void on_abort(qd_agent *agent, Quadrille__Envelope *m) {
    if (is_present(agent, m->abort->job, m->abort->attempt, m->abort->epoch))
        agent->now.aborted = true;
}

static void on_bye(qd_agent *agent, Quadrille__Envelope *m) {
    (void)m;
    agent->leaving = true;
    agent->now.aborted = true;
}

static void on_heartbeat(qd_agent *agent, Quadrille__Envelope *m) {
    (void)agent;
    (void)m;
}

static const struct {
    Quadrille__Envelope__BodyCase body;
    void (*handle)(qd_agent *agent, Quadrille__Envelope *message);
} handlers[] = {
    {QUADRILLE__ENVELOPE__BODY_WELCOME, on_welcome},
    {QUADRILLE__ENVELOPE__BODY_START, on_start},
    {QUADRILLE__ENVELOPE__BODY_STOP, on_stop},
    {QUADRILLE__ENVELOPE__BODY_ABORT, on_abort},
    {QUADRILLE__ENVELOPE__BODY_BYE, on_bye},
    {QUADRILLE__ENVELOPE__BODY_HEARTBEAT, on_heartbeat},
};

static void handle(qd_agent *agent, Quadrille__Envelope *message, int from) {
    size_t i = 0, count = sizeof handlers / sizeof handlers[0];
    while (i < count && handlers[i].body != message->body_case)
        i++;
    if (from != SCHEDULER_RANK || i == count) {
        qd_log(QD_LOG_WARN, "rank %d sent a message that is not for a worker (kind %d): ignored",
               from, (int)message->body_case);
    } else {
        agent->silence = qd_deadline_in(agent->timeout_s);
        handlers[i].handle(agent, message);
    }
    if (agent->start != message)
        quadrille__envelope__free_unpacked(message, NULL);
}

/* Takes what has arrived, and says what is due. Non-zero when the present attempt is over. */
static int listen_to_scheduler(void *context) {
    qd_agent *agent = context;
    Quadrille__Envelope *message;
    int from, got;
    while ((got = qd_wire_poll(agent->wire, &message, &from)) > 0)
        handle(agent, message, from);
    if (got < 0 && !agent->broken) {
        agent->broken = got;
        qd_log(QD_LOG_ERROR, "%s", qd_error_message());
    }
    send_heartbeat_when_due(agent);
    if (!agent->broken && qd_deadline_passed(agent->silence)) {
        agent->broken = QD_ELOST;
        qd_log(QD_LOG_ERROR, "no word from the scheduler for %g s: leaving", agent->timeout_s);
    }
    return agent->broken || agent->now.aborted;
}

/* ---- the trainer's hooks ---- */

static bool stop_asked(void *context) {
    const qd_agent *agent = context;
    return agent->now.stop_asked;
}

static void at_step(void *context, int64_t step) {
    qd_agent *agent = context;
    agent->now.step = step;
}

static void send_progress(void *context, int64_t step, int64_t total_steps, float loss,
                          double samples_per_s, bool line) {
    qd_agent *agent = context;
    Quadrille__Progress progress = QUADRILLE__PROGRESS__INIT;
    progress.job = agent->now.job;
    progress.attempt = agent->now.number;
    progress.epoch = agent->now.epoch;
    progress.step = step;
    progress.total_steps = total_steps;
    progress.loss = loss;
    progress.samples_per_s = samples_per_s;
    progress.line = line;
    Quadrille__Envelope envelope = QUADRILLE__ENVELOPE__INIT;
    envelope.body_case = QUADRILLE__ENVELOPE__BODY_PROGRESS;
    envelope.progress = &progress;
    send_to_scheduler(agent, &envelope);
}

static void send_evaluation(void *context, int64_t step, qd_split split, double loss,
                            double accuracy, int64_t samples) {
    qd_agent *agent = context;
    Quadrille__Evaluation evaluation = QUADRILLE__EVALUATION__INIT;
    evaluation.job = agent->now.job;
    evaluation.attempt = agent->now.number;
    evaluation.epoch = agent->now.epoch;
    evaluation.step = step;
    evaluation.split = (char *)qd_split_names[split];
    evaluation.loss = loss;
    evaluation.accuracy = accuracy;
    evaluation.samples = samples;
    Quadrille__Envelope envelope = QUADRILLE__ENVELOPE__INIT;
    envelope.body_case = QUADRILLE__ENVELOPE__BODY_EVALUATION;
    envelope.evaluation = &evaluation;
    send_to_scheduler(agent, &envelope);
}

static void send_saved(void *context, int64_t step) {
    qd_agent *agent = context;
    Quadrille__Saved saved = QUADRILLE__SAVED__INIT;
    saved.job = agent->now.job;
    saved.attempt = agent->now.number;
    saved.epoch = agent->now.epoch;
    saved.step = step;
    Quadrille__Envelope envelope = QUADRILLE__ENVELOPE__INIT;
    envelope.body_case = QUADRILLE__ENVELOPE__BODY_SAVED;
    envelope.saved = &saved;
    send_to_scheduler(agent, &envelope);
}

static void send_pace(void *context, int64_t busy_ns) {
    qd_agent *agent = context;
    Quadrille__Pace pace = QUADRILLE__PACE__INIT;
    pace.job = agent->now.job;
    pace.attempt = agent->now.number;
    pace.epoch = agent->now.epoch;
    pace.busy_ns = busy_ns;
    Quadrille__Envelope envelope = QUADRILLE__ENVELOPE__INIT;
    envelope.body_case = QUADRILLE__ENVELOPE__BODY_PACE;
    envelope.pace = &pace;
    send_to_scheduler(agent, &envelope);
}

static void send_ended(qd_agent *agent, Quadrille__Ended__Outcome outcome, int code) {
    Quadrille__Ended ended = QUADRILLE__ENDED__INIT;
    ended.job = agent->now.job;
    ended.attempt = agent->now.number;
    ended.epoch = agent->now.epoch;
    ended.outcome = outcome;
    ended.code = code;
    ended.text = (char *)(code ? qd_error_message() : "");
    Quadrille__Envelope envelope = QUADRILLE__ENVELOPE__INIT;
    envelope.body_case = QUADRILLE__ENVELOPE__BODY_ENDED;
    envelope.ended = &ended;
    send_to_scheduler(agent, &envelope);
}

/* ---- an attempt ---- */

static int run_attempt(qd_agent *agent, const Quadrille__Start *start, qd_trained *how) {
    qd_job job;
    int rc = qd_job_parse("job", start->job_text, strlen(start->job_text), &job);
    if (rc)
        return rc;
    qd_assignment assignment = {
        .world = agent->world,
        .job = &job,
        .attempt = start->attempt,
        .epoch = start->epoch,
        .ranks = start->ranks,
        .rank_count = (int)start->n_ranks,
        .run_folder = start->run_folder,
        .resume = start->resume,
        .threads = start->threads,
        .deadline_s = start->deadline_s,
    };
    rc = qd_transport_by_name(start->transport, &assignment.transport);
    if (rc)
        return rc;
    qd_trainer_hooks hooks = {
        .context = agent,
        .poll = listen_to_scheduler,
        .stop_asked = stop_asked,
        .at_step = at_step,
        .progress = send_progress,
        .evaluated = send_evaluation,
        .saved = send_saved,
        .pace = send_pace,
    };
    return qd_trainer_run(&assignment, &hooks, how);
}

static void carry_out_start(qd_agent *agent) {
    Quadrille__Envelope *start = agent->start;
    agent->start = NULL;
    qd_trained how = QD_TRAINED_ALL;
    int rc = run_attempt(agent, start->start, &how);
    if (rc == QD_ECANCELLED || (rc && agent->now.aborted))
        send_ended(agent, QUADRILLE__ENDED__OUTCOME__ABORTED, 0);
    else if (rc)
        send_ended(agent, QUADRILLE__ENDED__OUTCOME__FAILED, rc);
    else if (how == QD_TRAINED_STOPPED)
        send_ended(agent, QUADRILLE__ENDED__OUTCOME__SAVED, 0);
    else
        send_ended(agent, QUADRILLE__ENDED__OUTCOME__DONE, 0);
    quadrille__envelope__free_unpacked(start, NULL);
    agent->now = (attempt){0};
}

int qd_agent_run(const qd_world *world, qd_wire *wire) {
    qd_agent agent = {
        .world = world,
        .wire = wire,
        .heartbeat_s = 1,
        .timeout_s = first_timeout_s,
        .next_heartbeat = qd_deadline_in(1),
        .silence = qd_deadline_in(first_timeout_s),
    };
    int rc = say_hello(&agent);
    qd_backoff backoff = {0};
    while (!rc && !agent.broken && !agent.leaving) {
        listen_to_scheduler(&agent);
        if (agent.start) {
            carry_out_start(&agent);
            backoff = (qd_backoff){0};
        } else {
            qd_backoff_pause(&backoff, IDLE_SLEEP_US);
        }
    }
    if (agent.start)
        quadrille__envelope__free_unpacked(agent.start, NULL);
    if (rc || agent.broken)
        return rc ? rc : agent.broken;
    send_bye(&agent);
    return qd_wire_flush(wire, qd_deadline_in(agent.timeout_s));
}
