/*
 * A core in the state of another one: all values as they are, all pointers to the copies of what
 * they point to, all trees built anew (their shape follows from what is in them: tree.h).
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "scheduler/core_internal.h"
#include "scheduler/reservations.h"

/* With room for so many ranks, if that is more than it could ever hold. */
static qd_job_record *copy_record(const qd_core *from, const qd_job_record *job, int room) {
    size_t has =
        (size_t)qd_jobs_room(&job->submit, from->ranks.count, qd_may_move(&from->scheduling));
    size_t wanted = (size_t)room > has ? (size_t)room : has;
    qd_job_record *copy = malloc(sizeof *job + wanted * sizeof job->ranks[0]);
    return copy ? memcpy(copy, job, sizeof *job + has * sizeof job->ranks[0]) : NULL;
}

static int copy_records(const qd_core *from, int64_t wide, int room, qd_core *to) {
    size_t count = (size_t)from->jobs.count;
    to->jobs.all = calloc(count + 1, sizeof *to->jobs.all);
    if (!to->jobs.all)
        return QD_ENOMEM;
    to->jobs.capacity = (int)count;
    for (; to->jobs.count < from->jobs.count; to->jobs.count++) {
        const qd_job_record *job = from->jobs.all[to->jobs.count];
        qd_job_record *copy = copy_record(from, job, job->job == wide ? room : 0);
        if (!copy)
            return QD_ENOMEM;
        to->jobs.all[to->jobs.count] = copy;
    }
    return 0;
}

static qd_job_record *in(const qd_core *core, const qd_job_record *job) {
    return job ? qd_jobs_find(&core->jobs, job->job) : NULL;
}

static qd_after_link *link_in(const qd_core *core, const qd_after_link *link) {
    return link ? &in(core, link->waiter)->after[link - link->waiter->after] : NULL;
}

static void turn_pointers(const qd_core *to, qd_job_record *job) {
    job->never = in(to, job->never);
    job->array = in(to, job->array);
    job->previous = in(to, job->previous);
    job->next = in(to, job->next);
    job->dependants = link_in(to, job->dependants);
    for (int i = 0; i < QD_AFTER_MOST; i++) {
        job->after[i].waiter = in(to, job->after[i].waiter);
        job->after[i].next = link_in(to, job->after[i].next);
    }
    job->array_waiters.root = NULL;
}

static qd_job_list list_in(const qd_core *to, const qd_job_list *list) {
    return (qd_job_list){in(to, list->first), in(to, list->last), list->count};
}

static void plant(qd_core *to, qd_job_record *job) {
    bool queued = job->state == QD_STATE_PENDING && job->gate == QD_GATE_OPEN;
    int64_t move_ns = job->move_ns;
    job->move_ns = QD_NEVER;
    qd_moves_set(queued ? &to->moves : &to->alarms, job, move_ns);
    if (queued)
        qd_queue_add(&to->queue, &job->entry);
    if (job->state == QD_STATE_PENDING && job->gate == QD_GATE_ARRAY)
        qd_tree_insert(&job->array->array_waiters, &job->in_array, (uint64_t)job->job);
    if (job->waits_inside)
        qd_reservations_wait(to, job);
    qd_limits_take_over(to, job);
    qd_quotas_take_over(to, job);
    qd_singleton_take_over(to, job);
    qd_timetable_take_over(&to->timetable, job);
}

static void copy_jobs(const qd_core *from, qd_core *to) {
    to->jobs.pending = list_in(to, &from->jobs.pending);
    to->jobs.blocked = list_in(to, &from->jobs.blocked);
    to->jobs.active = list_in(to, &from->jobs.active);
    for (int i = 0; i < to->jobs.count; i++)
        turn_pointers(to, to->jobs.all[i]);
    for (int i = 0; i < to->jobs.count; i++)
        plant(to, to->jobs.all[i]);
}

static void copy_ranks(const qd_rank_table *from, qd_rank_table *to) {
    for (int i = 1; i <= from->count; i++) {
        const qd_rank *rank = &from->rank[i];
        if (rank->state != QD_RANK_ABSENT)
            qd_ranks_ready(to, i, from->place[i]);
        if (rank->state == QD_RANK_LOST)
            qd_ranks_lose(to, i);
        if (rank->state == QD_RANK_HELD)
            qd_ranks_hold(to, i, rank->job, rank->attempt);
        if (rank->kept)
            qd_ranks_keep(to, i, rank->job);
        if (rank->reservation > 0)
            qd_ranks_reserve(to, i, rank->reservation);
        if (rank->drained)
            qd_ranks_drain(to, i, true);
        if (rank->claimed_by)
            qd_ranks_claim(to, i, rank->claimed_by);
    }
}

static void copy_values(const qd_core *from, qd_core *to) {
    for (int i = 0; i < from->queue.lane_count; i++) {
        to->queue.lanes[i].offset = from->queue.lanes[i].offset;
        to->queue.lanes[i].most_ranks = from->queue.lanes[i].most_ranks;
    }
    to->timetable.stale = from->timetable.stale;
    to->timetable.profile.now_free = from->timetable.profile.now_free;
    to->now_ns = from->now_ns;
    to->shares = from->shares;
    to->shares.teams = to->teams;
    to->names.kept = from->names.kept;
    memcpy(to->paces, from->paces, ((size_t)from->ranks.count + 1) * sizeof *to->paces);
    to->saving_ranks = from->saving_ranks;
    to->claimed_ranks = from->claimed_ranks;
    to->claims = from->claims;
    to->next_room_ns = from->next_room_ns;
    to->choosy = from->choosy;
    to->next_growth_ns = from->next_growth_ns;
    to->migrated_since_ns = from->migrated_since_ns;
    to->migrated = from->migrated;
    to->planned_up_to = from->planned_up_to;
    to->next_look_ns = from->next_look_ns;
    to->epoch = from->epoch;
    to->closed = from->closed;
    to->draining = from->draining;
    to->shut_down = from->shut_down;
    to->fault = from->fault;
    to->book = from->book;
    for (int i = 0; i < to->book.count; i++)
        to->book.bookings[i].waiting.root = NULL;
    qd_reservations_lay(to, &to->timetable.profile, 1);
    memcpy(to->drain_reason, from->drain_reason, sizeof to->drain_reason);
}

int qd_core_copy(const qd_core *core, qd_core **copy) {
    return qd_core_copy_for(core, 0, 0, copy);
}

int qd_core_copy_for(const qd_core *core, int64_t job, int ranks, qd_core **out) {
    qd_core *copy = NULL;
    size_t open = (size_t)core->jobs.pending.count + (size_t)core->jobs.blocked.count +
                  (size_t)core->jobs.active.count;
    int rc = qd_core_create(core->ranks.count, &core->scheduling, &copy);
    if (!rc)
        rc = copy_records(core, job, ranks, copy);
    if (!rc)
        rc = qd_timetable_reserve(&copy->timetable, open + 1);
    if (rc) {
        qd_core_destroy(copy);
        return qd_error_set(rc, "no memory for a copy of a scheduler with %d jobs",
                            core->jobs.count);
    }
    copy_values(core, copy);
    copy_ranks(&core->ranks, &copy->ranks);
    copy_jobs(core, copy);
    *out = copy;
    return 0;
}
