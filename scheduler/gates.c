#include "scheduler/gates.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "scheduler/core_internal.h"
#include "scheduler/reservations.h"
#include "scheduler/together.h"

/* ---- after ---- */

static const struct {
    const char *word;
    qd_after kind;
} kinds[] = {{"any:", QD_AFTER_ANY}, {"ok:", QD_AFTER_OK}, {"notok:", QD_AFTER_NOT_OK}};

static const char singleton[] = "singleton";

/* Reads one "KIND:JOB", or "singleton" as job 0, and moves *text behind it; false when there is
 * none. */
static bool read_one(const char **text, qd_after *kind, int64_t *job) {
    size_t word = sizeof singleton - 1;
    if (strncmp(*text, singleton, word) == 0) {
        const char *end = *text + word;
        *kind = QD_AFTER_ANY;
        *job = 0;
        *text = *end == ',' ? end + 1 : end;
        return *end == '\0' || (*end == ',' && end[1]);
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t length = strlen(kinds[i].word);
        if (strncmp(*text, kinds[i].word, length) != 0)
            continue;
        char *end;
        const char *number = *text + length;
        *kind = kinds[i].kind;
        *job = strtoll(number, &end, 10);
        *text = *end == ',' ? end + 1 : end;
        return *number >= '1' && *number <= '9' && (*end == '\0' || (*end == ',' && end[1]));
    }
    return false;
}

int qd_gates_check(const qd_job_table *jobs, const qd_submission *s) {
    if (!memchr(s->after, '\0', sizeof s->after))
        return qd_error_set(QD_EPROTO, "SUBMIT: job %lld: its after has no end; at most %zu bytes",
                            (long long)s->job, sizeof s->after - 1);
    const char *text = s->after;
    for (int count = 0; *text; count++) {
        qd_after kind;
        int64_t job;
        if (count == QD_AFTER_MOST || !read_one(&text, &kind, &job))
            return qd_error_set(QD_EPROTO,
                                "SUBMIT: job %lld: after '%s'; accepted: up to %d times any:JOB, "
                                "ok:JOB, notok:JOB or singleton, with commas between",
                                (long long)s->job, s->after, QD_AFTER_MOST);
        if (job != 0 && !qd_jobs_find(jobs, job))
            return qd_error_set(QD_EPROTO,
                                "SUBMIT: job %lld: after job %lld, which was never "
                                "submitted",
                                (long long)s->job, (long long)job);
    }
    return 0;
}

static bool has_ended(const qd_job_record *job) {
    return qd_job_has_ended(job->state);
}

static bool is_met(qd_after kind, const qd_job_record *ended) {
    bool ok = ended->state == QD_STATE_COMPLETED;
    return kind == QD_AFTER_ANY || (kind == QD_AFTER_OK ? ok : !ok && ended->attempt > 0);
}

static void tell(qd_job_record *waiter, qd_after kind, const qd_job_record *ended) {
    waiter->comes_after--;
    if (!is_met(kind, ended) && !waiter->never)
        waiter->never = ended;
}

static void tie_to_jobs(qd_core *core, qd_job_record *job) {
    const char *text = job->submit.after;
    for (int i = 0; *text; i++) {
        qd_after_link *link = &job->after[i];
        int64_t number = 0;
        read_one(&text, &link->kind, &number);
        if (number == 0) {
            job->is_singleton = true;
            continue;
        }
        qd_job_record *target = qd_jobs_find(&core->jobs, number);
        job->comes_after++;
        link->waiter = job;
        if (has_ended(target)) {
            tell(job, link->kind, target);
        } else {
            link->next = target->dependants;
            target->dependants = link;
        }
    }
}

int qd_gates_waits_for(const qd_core *core, const qd_job_record *job,
                       const qd_job_record *others[QD_AFTER_MOST]) {
    const char *text = job->submit.after;
    int count = 0;
    while (*text) {
        qd_after kind;
        int64_t number = 0;
        read_one(&text, &kind, &number);
        const qd_job_record *other = qd_jobs_find(&core->jobs, number);
        if (other && !has_ended(other))
            others[count++] = other;
    }
    return count;
}

/* ---- arrays ---- */

static qd_job_record *member_of(const qd_tree_node *node) {
    return node ? (qd_job_record *)((char *)node - offsetof(qd_job_record, in_array)) : NULL;
}

static int compare_members(const qd_tree_node *a, const qd_tree_node *b) {
    const qd_job_record *x = member_of(a), *y = member_of(b);
    return (x->job > y->job) - (x->job < y->job);
}

static bool throttled(const qd_job_record *job) {
    const qd_job_record *array = job->array;
    return array && array->submit.array_most > 0 && !job->counts &&
           array->array_open >= array->submit.array_most;
}

static void wait_in_array(qd_job_record *job) {
    if (!job->array || job->gate != QD_GATE_ARRAY)
        return;
    qd_tree_insert(&job->array->array_waiters, &job->in_array, (uint64_t)job->job);
}

static void stop_waiting_in_array(qd_job_record *job) {
    if (job->array && job->gate == QD_GATE_ARRAY)
        qd_tree_remove(&job->array->array_waiters, &job->in_array);
}

static void free_place(qd_core *core, qd_job_record *job) {
    if (!job->counts)
        return;
    qd_job_record *array = job->array;
    job->counts = false;
    array->array_open--;
    qd_job_record *next = member_of(qd_tree_first(&array->array_waiters));
    if (next && next != job)
        qd_job_reconsider(core, next);
}

/* ---- all of them ---- */

void qd_gates_tie(qd_core *core, qd_job_record *job) {
    job->array_waiters = (qd_tree){.compare = compare_members};
    job->held = job->submit.held;
    if (job->submit.array > 0)
        job->array = qd_jobs_find(&core->jobs, job->submit.array);
    tie_to_jobs(core, job);
    qd_singleton_add(core, job);
}

qd_gate qd_gates_of(const qd_core *core, const qd_job_record *job) {
    if (job->held)
        return QD_GATE_HELD;
    if (job->submit.begin_ns > core->now_ns)
        return QD_GATE_BEGIN;
    if (job->comes_after > 0)
        return QD_GATE_AFTER;
    if (qd_singleton_waits_for(core, job))
        return QD_GATE_SINGLETON;
    if (job->submit.ranks_min > qd_most_ranks(core, job, QD_MEASURE_IN_SERVICE) &&
        job->submit.ranks_min <= qd_most_ranks(core, job, QD_MEASURE_ALIVE))
        return QD_GATE_NODES;
    if (throttled(job))
        return QD_GATE_ARRAY;
    if (qd_reservations_keep_out(core, job))
        return QD_GATE_RESERVATION;
    return qd_limits_exceeded(core, job) ? QD_GATE_ACCOUNT : QD_GATE_OPEN;
}

void qd_gates_set(qd_core *core, qd_job_record *job, qd_gate gate) {
    stop_waiting_in_array(job);
    qd_reservations_stop_waiting(core, job);
    qd_jobs_set_gate(&core->jobs, job, gate);
    wait_in_array(job);
    if (gate == QD_GATE_RESERVATION)
        qd_reservations_wait(core, job);
    bool past_array =
        gate == QD_GATE_OPEN || gate == QD_GATE_RESERVATION || gate == QD_GATE_ACCOUNT;
    if (past_array && job->array && !job->counts) {
        job->counts = true;
        job->array->array_open++;
    } else if (!past_array) {
        free_place(core, job);
    }
    qd_limits_note_gate(core, job);
}

void qd_gates_note_end(qd_core *core, qd_job_record *job) {
    stop_waiting_in_array(job);
    qd_reservations_stop_waiting(core, job);
    qd_limits_note_end(core, job);
    job->gate = QD_GATE_OPEN;
    *(core->last_ended ? &core->last_ended->next : &core->first_ended) = job;
    core->last_ended = job;
}

static void settle(qd_core *core, qd_job_record *job) {
    free_place(core, job);
    qd_limits_settle(core, job);
    qd_singleton_settle(core, job);
    while (job->dependants) {
        qd_after_link *link = job->dependants;
        job->dependants = link->next;
        tell(link->waiter, link->kind, job);
        if (link->waiter->state == QD_STATE_PENDING)
            qd_job_reconsider(core, link->waiter);
    }
}

/* Jobs that end thereby join the list: no recursion along a chain, however long. */
void qd_gates_settle(qd_core *core) {
    for (qd_job_record *job = core->first_ended, *next; job; job = next) {
        settle(core, job);
        next = job->next;
        job->next = NULL;
    }
    core->first_ended = core->last_ended = NULL;
}
