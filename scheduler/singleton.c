#include "scheduler/singleton.h"

#include <stddef.h>
#include <string.h>

#include "scheduler/core_internal.h"

static qd_job_record *job_of(const qd_tree_node *node) {
    return node ? (qd_job_record *)((char *)node - offsetof(qd_job_record, in_names)) : NULL;
}

static int compare_names(const qd_job_record *x, const qd_job_record *y) {
    if (x->submit.account != y->submit.account)
        return x->submit.account < y->submit.account ? -1 : 1;
    return strcmp(x->submit.name, y->submit.name);
}

static int compare(const qd_tree_node *a, const qd_tree_node *b) {
    const qd_job_record *x = job_of(a), *y = job_of(b);
    int order = compare_names(x, y);
    if (order != 0)
        return order;
    bool waits_x = x->state == QD_STATE_PENDING, waits_y = y->state == QD_STATE_PENDING;
    if (waits_x != waits_y)
        return waits_x ? 1 : -1;
    return (x->job > y->job) - (x->job < y->job);
}

void qd_names_init(qd_names *names) {
    *names = (qd_names){.jobs = {.compare = compare}};
}

static void insert(qd_core *core, qd_job_record *job) {
    job->is_named = true;
    qd_tree_insert(&core->names.jobs, &job->in_names, (uint64_t)job->job);
}

/* From now on names are kept. */
static void insert_all(qd_core *core) {
    const qd_job_list *lists[] = {&core->jobs.pending, &core->jobs.blocked, &core->jobs.active};
    core->names.kept = true;
    for (int i = 0; i < 3; i++)
        for (qd_job_record *job = lists[i]->first; job; job = job->next)
            insert(core, job);
}

void qd_singleton_add(qd_core *core, qd_job_record *job) {
    if (core->names.kept)
        insert(core, job);
    else if (job->is_singleton)
        insert_all(core);
}

void qd_singleton_take_over(qd_core *core, qd_job_record *job) {
    if (job->is_named)
        insert(core, job);
}

void qd_singleton_leave(qd_core *core, qd_job_record *job) {
    if (job->is_named)
        qd_tree_remove(&core->names.jobs, &job->in_names);
}

void qd_singleton_return(qd_core *core, qd_job_record *job) {
    if (job->is_named && !qd_job_has_ended(job->state))
        insert(core, job);
    else
        job->is_named = false;
}

const qd_job_record *qd_singleton_first(const qd_core *core, const qd_job_record *job) {
    const qd_job_record *first = NULL;
    for (const qd_tree_node *at = core->names.jobs.root; at;) {
        int order = compare_names(job_of(at), job);
        if (order == 0)
            first = job_of(at);
        at = order < 0 ? at->right : at->left;
    }
    return first;
}

const qd_job_record *qd_singleton_next(const qd_core *core, const qd_job_record *job) {
    const qd_job_record *next = job_of(qd_tree_after(&core->names.jobs, &job->in_names));
    return next && compare_names(next, job) == 0 ? next : NULL;
}

const qd_job_record *qd_singleton_waits_for(const qd_core *core, const qd_job_record *job) {
    if (!job->is_singleton)
        return NULL;
    const qd_job_record *first = qd_singleton_first(core, job);
    return first == job ? NULL : first;
}

void qd_singleton_started(qd_core *core, const qd_job_record *job) {
    if (!core->names.kept)
        return;
    const qd_job_record *other = qd_singleton_next(core, job);
    while (other && other->state != QD_STATE_PENDING)
        other = qd_singleton_next(core, other);
    if (other && other->is_singleton)
        qd_job_reconsider(core, (qd_job_record *)other);
}

void qd_singleton_settle(qd_core *core, const qd_job_record *job) {
    if (!core->names.kept)
        return;
    qd_job_record *first = (qd_job_record *)qd_singleton_first(core, job);
    if (first && first->is_singleton && first->state == QD_STATE_PENDING)
        qd_job_reconsider(core, first);
}
