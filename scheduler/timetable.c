#include "scheduler/timetable.h"

#include <stddef.h>

static qd_job_record *job_of(const qd_tree_node *node) {
    return node ? (qd_job_record *)((char *)node - offsetof(qd_job_record, due)) : NULL;
}

static int compare(const qd_tree_node *a, const qd_tree_node *b) {
    const qd_job_record *x = job_of(a), *y = job_of(b);
    if (x->due_ns != y->due_ns)
        return x->due_ns < y->due_ns ? -1 : 1;
    return (x->job > y->job) - (x->job < y->job);
}

void qd_timetable_init(qd_timetable *table) {
    *table = (qd_timetable){.ends = {.compare = compare}, .starts = {.compare = compare}};
    qd_profile_init(&table->profile);
}

void qd_timetable_fini(qd_timetable *table) {
    qd_profile_fini(&table->profile);
}

int qd_timetable_reserve(qd_timetable *table, size_t jobs) {
    /* A start and an end each, and those of reservations; one more, since a job that moves is added
     * before it is taken off. */
    return qd_profile_reserve(&table->profile, 2 * (jobs + QD_RESERVATIONS) + 1);
}

void qd_timetable_started(qd_timetable *table, qd_job_record *job, int64_t end_ns) {
    job->due_ns = end_ns;
    /* What it frees in a reservation is nobody else's. */
    job->planned_ranks = job->inside > 0 ? 0 : job->gang.size;
    qd_tree_insert(&table->ends, &job->due, (uint64_t)job->job);
    qd_profile_add(&table->profile, end_ns, job->planned_ranks);
}

void qd_timetable_keep(qd_timetable *table, qd_job_record *job, int ranks, int64_t at_ns) {
    qd_profile_add(&table->profile, job->kept_ns, -job->kept_ranks);
    job->kept_ranks = ranks;
    job->kept_ns = at_ns;
    qd_profile_add(&table->profile, at_ns, ranks);
    table->stale = true;
}

static void add_claim(qd_timetable *table, qd_job_record *job) {
    qd_tree_insert(&table->starts, &job->due, (uint64_t)job->job);
    qd_profile_add(&table->profile, job->due_ns, -job->planned_ranks);
    qd_profile_add(&table->profile, job->planned_end_ns, job->planned_ranks);
}

void qd_timetable_take_over(qd_timetable *table, qd_job_record *job) {
    if (job->gang.live > 0) {
        qd_tree_insert(&table->ends, &job->due, (uint64_t)job->job);
        qd_profile_add(&table->profile, job->due_ns, job->planned_ranks);
        qd_profile_add(&table->profile, job->kept_ns, job->kept_ranks);
    } else if (job->state == QD_STATE_PENDING && job->due_ns != QD_NEVER) {
        add_claim(table, job);
    }
}

void qd_timetable_moved(qd_timetable *table, qd_job_record *job, int64_t end_ns) {
    qd_tree_remove(&table->ends, &job->due);
    qd_profile_add(&table->profile, job->due_ns, -job->planned_ranks);
    qd_profile_add(&table->profile, end_ns, job->planned_ranks);
    job->due_ns = end_ns;
    qd_tree_insert(&table->ends, &job->due, (uint64_t)job->job);
    table->stale = true;
}

void qd_timetable_give_back(qd_timetable *table, qd_job_record *job, int ranks) {
    qd_profile_add(&table->profile, job->due_ns, ranks);
    job->planned_ranks += ranks;
    table->stale = true;
}

void qd_timetable_rank_left(qd_timetable *table, qd_job_record *job, int64_t now_ns) {
    qd_profile_add(&table->profile, job->due_ns, -1);
    job->planned_ranks--;
    if (job->due_ns != now_ns)
        table->stale = true;
}

void qd_timetable_ended(qd_timetable *table, qd_job_record *job) {
    qd_tree_remove(&table->ends, &job->due);
    job->due_ns = QD_NEVER;
}

void qd_timetable_plan(qd_timetable *table, qd_job_record *job, int64_t start_ns) {
    job->due_ns = start_ns;
    if (start_ns == QD_NEVER)
        return;
    job->planned_ranks = job->submit.ranks_min;
    job->planned_end_ns = qd_time_after(start_ns, job->entry.run_ns);
    add_claim(table, job);
}

void qd_timetable_unplan(qd_timetable *table, qd_job_record *job) {
    if (job->due_ns == QD_NEVER)
        return;
    qd_tree_remove(&table->starts, &job->due);
    qd_profile_add(&table->profile, job->due_ns, job->planned_ranks);
    qd_profile_add(&table->profile, job->planned_end_ns, -job->planned_ranks);
    job->due_ns = QD_NEVER;
}

static void forget_starts(qd_tree_node *node) {
    if (!node)
        return;
    forget_starts(node->left);
    forget_starts(node->right);
    job_of(node)->due_ns = QD_NEVER;
}

static void add_ends(qd_timetable *table, const qd_tree_node *node) {
    if (!node)
        return;
    const qd_job_record *job = job_of(node);
    add_ends(table, node->left);
    qd_profile_add(&table->profile, job->due_ns, job->planned_ranks);
    qd_profile_add(&table->profile, job->kept_ns, job->kept_ranks);
    add_ends(table, node->right);
}

void qd_timetable_unplan_all(qd_timetable *table) {
    forget_starts(table->starts.root);
    table->starts.root = NULL;
    qd_profile_clear(&table->profile);
    add_ends(table, table->ends.root);
}

qd_job_record *qd_timetable_first_end(const qd_timetable *table) {
    return job_of(qd_tree_first(&table->ends));
}

qd_job_record *qd_timetable_first_start(const qd_timetable *table) {
    return job_of(qd_tree_first(&table->starts));
}
