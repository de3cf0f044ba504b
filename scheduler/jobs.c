#include "scheduler/jobs.h"

#include <stdlib.h>

#include "runtime/error.h"

enum { FIRST_CAPACITY = 16 };

const char *const qd_job_state_names[QD_STATES] = {
    [QD_STATE_PENDING] = "PENDING",     [QD_STATE_RUNNING] = "RUNNING",
    [QD_STATE_RESIZING] = "RESIZING",   [QD_STATE_COMPLETING] = "COMPLETING",
    [QD_STATE_COMPLETED] = "COMPLETED", [QD_STATE_FAILED] = "FAILED",
    [QD_STATE_CANCELLED] = "CANCELLED", [QD_STATE_PREEMPTED] = "PREEMPTED",
    [QD_STATE_TIMEOUT] = "TIMEOUT",
};

#define BIT(state) (1u << (state))
enum {
    ENDS = BIT(QD_STATE_COMPLETED) | BIT(QD_STATE_FAILED) | BIT(QD_STATE_CANCELLED) |
           BIT(QD_STATE_PREEMPTED)
};

/* What a state may become. A gang whose last members end in one event skips COMPLETING. */
static const unsigned successors[QD_STATES] = {
    [QD_STATE_PENDING] = BIT(QD_STATE_RUNNING) | BIT(QD_STATE_CANCELLED) |
                         BIT(QD_STATE_TIMEOUT), /* its limit was lowered */
    [QD_STATE_RUNNING] = BIT(QD_STATE_RESIZING) | BIT(QD_STATE_COMPLETING) | ENDS |
                         BIT(QD_STATE_PENDING), /* not launched: back into the queue */
    [QD_STATE_RESIZING] = BIT(QD_STATE_RUNNING) | BIT(QD_STATE_COMPLETING) |
                          (ENDS & ~BIT(QD_STATE_PREEMPTED)) | BIT(QD_STATE_TIMEOUT) |
                          BIT(QD_STATE_PENDING), /* too few are left */
    [QD_STATE_COMPLETING] =
        ENDS | BIT(QD_STATE_TIMEOUT) | BIT(QD_STATE_PENDING), /* back into the queue */
};

bool qd_job_holds_ranks(qd_job_state state) {
    return state == QD_STATE_RUNNING || state == QD_STATE_RESIZING || state == QD_STATE_COMPLETING;
}

bool qd_job_has_ended(qd_job_state state) {
    return state != QD_STATE_PENDING && !qd_job_holds_ranks(state);
}

bool qd_job_may_become(qd_job_state from, qd_job_state to) {
    return successors[from] & BIT(to);
}

void qd_jobs_fini(qd_job_table *table) {
    for (int i = 0; i < table->count; i++)
        free(table->all[i]);
    free(table->all);
    free(table->spare);
    *table = (qd_job_table){0};
}

int qd_jobs_room(const qd_submission *submission, int ranks, bool moves) {
    bool twice = moves || submission->ranks_max > submission->ranks_min;
    int64_t most = submission->ranks_max * (twice ? INT64_C(2) : 1);
    return (int)(most < ranks ? most : ranks);
}

int qd_jobs_reserve(qd_job_table *table, int max_ranks) {
    if (table->count == table->capacity) {
        int capacity = table->capacity ? 2 * table->capacity : FIRST_CAPACITY;
        qd_job_record **all = realloc(table->all, (size_t)capacity * sizeof(qd_job_record *));
        if (!all)
            return qd_error_set(QD_ENOMEM, "no memory for a table of %d jobs", capacity);
        table->all = all;
        table->capacity = capacity;
    }
    qd_job_record *spare = calloc(1, sizeof *spare + (size_t)max_ranks * sizeof spare->ranks[0]);
    if (!spare)
        return qd_error_set(QD_ENOMEM, "no memory for a job of %d ranks", max_ranks);
    free(table->spare);
    table->spare = spare;
    return 0;
}

/* The list in which jobs of that state are; NULL for those that have ended. */
static qd_job_list *list_of(qd_job_table *table, qd_job_state state, qd_gate gate) {
    if (state == QD_STATE_PENDING)
        return gate == QD_GATE_OPEN ? &table->pending : &table->blocked;
    return qd_job_holds_ranks(state) ? &table->active : NULL;
}

static void link_last(qd_job_list *list, qd_job_record *job) {
    job->previous = list->last;
    job->next = NULL;
    *(list->last ? &list->last->next : &list->first) = job;
    list->last = job;
    list->count++;
}

static void unlink_job(qd_job_list *list, qd_job_record *job) {
    *(job->previous ? &job->previous->next : &list->first) = job->next;
    *(job->next ? &job->next->previous : &list->last) = job->previous;
    job->previous = job->next = NULL;
    list->count--;
}

qd_job_record *qd_jobs_add(qd_job_table *table, const qd_submission *submission) {
    qd_job_record *job = table->spare;
    table->spare = NULL;
    job->job = submission->job;
    job->submit = *submission;
    job->submit.ranks_step = submission->ranks_step > 0 ? submission->ranks_step : 1;
    job->limit_ns = submission->limit_ns;
    job->most_ranks = submission->ranks_max;
    job->state = QD_STATE_PENDING;
    job->due_ns = job->move_ns = QD_NEVER;
    table->all[table->count++] = job;
    link_last(&table->pending, job);
    return job;
}

static int compare_numbers(const void *key, const void *element) {
    int64_t number = *(const int64_t *)key;
    const qd_job_record *job = *(qd_job_record *const *)element;
    return (number > job->job) - (number < job->job);
}

qd_job_record *qd_jobs_find(const qd_job_table *table, int64_t job) {
    if (table->count == 0)
        return NULL;
    /* Numbers mostly come without gaps. */
    int64_t guess = job - table->all[0]->job;
    if (guess >= 0 && guess < table->count && table->all[guess]->job == job)
        return table->all[guess];
    qd_job_record **found =
        bsearch(&job, table->all, (size_t)table->count, sizeof(qd_job_record *), compare_numbers);
    return found ? *found : NULL;
}

int64_t qd_jobs_last_number(const qd_job_table *table) {
    return table->count > 0 ? table->all[table->count - 1]->job : 0;
}

bool qd_job_is_member(const qd_job_record *job, int rank) {
    for (int i = 0; i < job->gang.size; i++)
        if (job->ranks[i] == rank)
            return true;
    return false;
}

int qd_jobs_set_state(qd_job_table *table, qd_job_record *job, qd_job_state state) {
    if (!qd_job_may_become(job->state, state))
        return qd_error_set(QD_EINTERNAL, "job %lld cannot go from %s to %s", (long long)job->job,
                            qd_job_state_names[job->state], qd_job_state_names[state]);
    qd_job_list *from = list_of(table, job->state, job->gate);
    qd_job_list *to = list_of(table, state, job->gate);
    job->state = state;
    if (from == to)
        return 0;
    unlink_job(from, job);
    if (to)
        link_last(to, job);
    return 0;
}

void qd_jobs_set_gate(qd_job_table *table, qd_job_record *job, qd_gate gate) {
    qd_job_list *from = list_of(table, job->state, job->gate);
    job->gate = gate;
    qd_job_list *to = list_of(table, job->state, gate);
    if (from == to)
        return;
    unlink_job(from, job);
    link_last(to, job);
}
