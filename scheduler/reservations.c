#include "scheduler/reservations.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>

#include "runtime/error.h"
#include "scheduler/core_internal.h"
#include "scheduler/placement.h"
#include "scheduler/prediction.h"
#include "scheduler/preemption.h"
#include "scheduler/room.h"

static qd_job_record *waiter_of(const qd_tree_node *node) {
    return node ? (qd_job_record *)((char *)node - offsetof(qd_job_record, in_reservation)) : NULL;
}

static const qd_job_record *due_of(const qd_tree_node *node) {
    return node ? (const qd_job_record *)((const char *)node - offsetof(qd_job_record, due)) : NULL;
}

/* The most important first, then in order of their numbers. */
static int compare_waiters(const qd_tree_node *a, const qd_tree_node *b) {
    const qd_job_record *x = waiter_of(a), *y = waiter_of(b);
    if (x->submit.importance != y->submit.importance)
        return x->submit.importance > y->submit.importance ? -1 : 1;
    return (x->job > y->job) - (x->job < y->job);
}

/* ---- what is claimed of the profile ---- */

static void lay(const qd_booking *b, qd_profile *profile, int sign) {
    qd_profile_add(profile, b->is.from_ns, -sign * (b->is.ranks - b->has));
    qd_profile_add(profile, b->is.until_ns, sign * b->is.ranks);
}

void qd_reservations_lay(const qd_core *core, qd_profile *profile, int sign) {
    for (int i = 0; i < core->book.count; i++)
        lay(&core->book.bookings[i], profile, sign);
}

static void lay_one(qd_core *core, const qd_booking *b, int sign) {
    lay(b, &core->timetable.profile, sign);
    core->timetable.stale = true;
}

static void change_has(qd_core *core, qd_booking *b, int change) {
    b->has += change;
    qd_profile_add(&core->timetable.profile, b->is.from_ns, change);
    core->timetable.stale = true;
}

/* ---- who waits for one ---- */

int qd_reservations_check(const qd_core *core, const qd_submission *s) {
    if (s->reservation == 0)
        return 0;
    const qd_booking *b = qd_book_find((qd_book *)&core->book, s->reservation);
    if (!b)
        return qd_error_set(QD_EPROTO, "SUBMIT: job %lld: there is no reservation %lld",
                            (long long)s->job, (long long)s->reservation);
    if (b->is.kind == QD_RESERVATION_MAINTENANCE)
        return qd_error_set(QD_EPROTO, "SUBMIT: job %lld: reservation %s is for maintenance",
                            (long long)s->job, b->is.name);
    if (s->ranks_min > b->is.ranks)
        return qd_error_set(QD_EPROTO, "SUBMIT: job %lld: needs %d ranks, reservation %s has %d",
                            (long long)s->job, s->ranks_min, b->is.name, b->is.ranks);
    if (b->is.account >= 0 &&
        qd_teams_common(core->teams, s->account, b->is.account) != b->is.account)
        return qd_error_set(QD_EPROTO,
                            "SUBMIT: job %lld: reservation %s is for account %d, not for %d",
                            (long long)s->job, b->is.name, b->is.account, s->account);
    return 0;
}

bool qd_reservations_keep_out(const qd_core *core, const qd_job_record *job) {
    return job->submit.reservation > 0 &&
           qd_book_find((qd_book *)&core->book, job->submit.reservation);
}

void qd_reservations_wait(qd_core *core, qd_job_record *job) {
    qd_booking *b = qd_book_find(&core->book, job->submit.reservation);
    job->waits_inside = true;
    qd_tree_insert(&b->waiting, &job->in_reservation, (uint64_t)job->job);
}

void qd_reservations_stop_waiting(qd_core *core, qd_job_record *job) {
    if (!job->waits_inside)
        return;
    job->waits_inside = false;
    qd_tree_remove(&qd_book_find(&core->book, job->submit.reservation)->waiting,
                   &job->in_reservation);
}

/* ---- the book changes ---- */

static void see_who_yields(qd_core *core) {
    for (qd_job_record *job = core->jobs.pending.first; job; job = job->next)
        qd_queue_set_yields(&core->queue, &job->entry, qd_room_yields(core, job));
}

void qd_reservations_add(qd_core *core, const qd_reservation *reservation) {
    qd_book_add(&core->book, reservation, core->ranks.count, core->now_ns, 0);
    qd_booking *b = &core->book.bookings[core->book.count - 1];
    b->waiting.compare = compare_waiters;
    lay_one(core, b, 1);
    see_who_yields(core);
}

/* Its jobs hold their ranks as others do. */
static void let_go(qd_core *core, qd_job_record *job) {
    for (int i = 0; i < job->gang.size; i++) {
        int rank = job->ranks[i];
        if (!qd_ranks_held_by(&core->ranks, rank, job->job, job->attempt) ||
            core->ranks.rank[rank].reservation != job->inside)
            continue;
        qd_ranks_reserve(&core->ranks, rank, 0);
        qd_job_rank_drained(core, job, false);
    }
    job->inside = 0;
}

static void give_ranks_back(qd_core *core, qd_booking *b) {
    for (qd_job_record *job = core->jobs.active.first; job; job = job->next)
        if (job->inside == b->is.number)
            let_go(core, job);
    for (int rank = 1; rank <= core->ranks.count && b->running; rank++)
        if (core->ranks.rank[rank].reservation == b->is.number)
            qd_ranks_reserve(&core->ranks, rank, 0);
    b->running = false;
    b->has = 0;
}

static void forget(qd_core *core, qd_booking *b) {
    qd_booking gone = *b;
    qd_book_remove(&core->book, b);
    see_who_yields(core);
    for (const qd_tree_node *node; (node = qd_tree_first(&gone.waiting));) {
        qd_job_record *job = waiter_of(node);
        qd_tree_remove(&gone.waiting, &job->in_reservation);
        job->waits_inside = false;
        qd_job_reconsider(core, job);
    }
}

void qd_reservations_remove(qd_core *core, int64_t number) {
    qd_booking *b = qd_book_find(&core->book, number);
    lay_one(core, b, -1);
    give_ranks_back(core, b);
    forget(core, b);
}

/* ---- edges ---- */

/* False: it does not come again. */
static bool come_again(qd_core *core, qd_booking *b) {
    lay_one(core, b, -1);
    give_ranks_back(core, b);
    if (b->is.every_ns == 0) {
        forget(core, b);
        return false;
    }
    int64_t times = (core->now_ns - b->is.until_ns) / b->is.every_ns + 1;
    b->is.from_ns += times * b->is.every_ns;
    b->is.until_ns += times * b->is.every_ns;
    lay_one(core, b, 1);
    return true;
}

static void pass_edges(qd_core *core) {
    for (int i = 0; i < core->book.count;) {
        qd_booking *b = &core->book.bookings[i];
        i += b->is.until_ns > core->now_ns || come_again(core, b);
    }
    for (int i = 0; i < core->book.count; i++) {
        qd_booking *b = &core->book.bookings[i];
        b->running = b->is.from_ns <= core->now_ns;
    }
}

/* Free ranks go to those that run and have too few, first of all; but nobody needs any before it is
 * known which ones are together. */
static void repair(qd_core *core) {
    if (!core->ranks.places.known)
        return;
    for (int i = 0; i < core->book.count; i++) {
        qd_booking *b = &core->book.bookings[i];
        int lacks = b->is.ranks - b->has, idle = core->ranks.in_state[QD_RANK_FREE];
        int count = lacks < idle ? lacks : idle;
        if (!b->running || count == 0)
            continue;
        qd_placement_choose(&core->ranks, &(qd_demand){0}, count, core->members);
        for (int k = 0; k < count; k++)
            qd_ranks_reserve(&core->ranks, core->members[k], b->is.number);
        change_has(core, b, count);
    }
}

static bool some_lack_ranks(const qd_core *core) {
    bool lack = false;
    for (int i = 0; i < core->book.count; i++)
        lack = lack || (core->book.bookings[i].running &&
                        core->book.bookings[i].has < core->book.bookings[i].is.ranks);
    return lack;
}

void qd_reservations_rank_gone(qd_core *core, int64_t reservation) {
    change_has(core, qd_book_find(&core->book, reservation), -1);
}

/* ---- who has to save ---- */

static int64_t freed_by(const qd_job_record *job, int64_t at_ns) {
    if (qd_prediction_is_overdue(job))
        return 0;
    /* A gang that is short of a rank ends at once, and then lets go what is kept together. */
    bool back = job->kept_ns <= at_ns || job->gang.regroups;
    return job->planned_ranks + (back ? job->kept_ranks : 0);
}

/* Free ranks at at_ns, if nobody starts any more; < 0: so many are lacking. */
static int64_t free_at(const qd_core *core, int64_t at_ns) {
    int64_t ranks = core->ranks.in_state[QD_RANK_FREE];
    const qd_tree *ends = &core->timetable.ends;
    for (const qd_tree_node *node = qd_tree_first(ends); node && due_of(node)->due_ns <= at_ns;
         node = qd_tree_after(ends, node))
        ranks += freed_by(due_of(node), at_ns);
    for (int i = 0; i < core->book.count; i++) {
        const qd_booking *b = &core->book.bookings[i];
        ranks -= b->is.from_ns <= at_ns ? b->is.ranks - b->has : 0;
        ranks += b->is.until_ns <= at_ns ? b->is.ranks : 0;
    }
    return ranks;
}

/* The next to begin after after_ns, of those that begin within a grace. */
static const qd_booking *next_to_begin(const qd_core *core, int64_t after_ns) {
    const qd_booking *next = NULL;
    for (int i = 0; i < core->book.count; i++) {
        const qd_booking *b = &core->book.bookings[i];
        if (b->is.from_ns > after_ns &&
            b->is.from_ns - qd_preemption_grace_ns(core) <= core->now_ns &&
            (!next || b->is.from_ns < next->is.from_ns))
            next = b;
    }
    return next;
}

static void clear_the_way(qd_core *core) {
    const qd_booking *b;
    char text[QD_REASON_WORDS_BYTES];
    for (int64_t at = core->now_ns; (b = next_to_begin(core, at)); at = b->is.from_ns) {
        int64_t ranks = free_at(core, b->is.from_ns);
        snprintf(text, sizeof text, "makes room for reservation %.32s", b->is.name);
        if (ranks < 0)
            qd_preemption_clear(core, -ranks, b->is.from_ns, text);
    }
}

int64_t qd_reservations_grace_ns(const qd_core *core) {
    const qd_booking *b = next_to_begin(core, core->now_ns);
    return b ? b->is.from_ns - core->now_ns : qd_preemption_grace_ns(core);
}

bool qd_reservations_meet_narrower(const qd_core *core, const qd_job_record *job) {
    int64_t rest_ns = qd_predicted_rest_ns(job, job->submit.ranks_min, core->now_ns);
    int64_t saved_ns = qd_time_after(core->now_ns, qd_preemption_grace_ns(core));
    int64_t end_ns = qd_time_after(saved_ns, rest_ns);
    const qd_booking *b;
    for (int64_t at = core->now_ns; (b = next_to_begin(core, at)); at = b->is.from_ns)
        if (job->due_ns <= b->is.from_ns && end_ns > b->is.from_ns)
            return true;
    return false;
}

bool qd_reservations_spare(const qd_core *core, const qd_job_record *job) {
    int64_t end_ns = qd_time_after(core->now_ns, job->entry.run_ns);
    int64_t needed = job->entry.ranks - job->claimed; /* those are not free already */
    const qd_booking *b;
    for (int64_t at = core->now_ns; (b = next_to_begin(core, at)); at = b->is.from_ns)
        if (end_ns > b->is.from_ns && free_at(core, b->is.from_ns) < needed)
            return false;
    return true;
}

static bool ends_soon(const qd_core *core, const qd_booking *b) {
    return b->running && b->is.until_ns - qd_preemption_grace_ns(core) <= core->now_ns;
}

static void save_inside(qd_core *core) {
    for (int i = 0; i < core->book.count; i++) {
        const qd_booking *b = &core->book.bookings[i];
        for (qd_job_record *job = core->jobs.active.first; job && ends_soon(core, b);
             job = job->next)
            if (job->inside == b->is.number && job->state == QD_STATE_RUNNING &&
                job->due_ns > b->is.until_ns && !job->submit.keeps_ranks)
                qd_job_make_way(core, job, 0, b->is.until_ns, "its reservation ends");
    }
}

void qd_reservations_keep(qd_core *core) {
    if (core->book.count == 0)
        return;
    pass_edges(core);
    qd_preemption_settle(core);
    repair(core);
    clear_the_way(core);
    save_inside(core);
    repair(core); /* one that does not go on any more leaves what was kept for it */
    if (some_lack_ranks(core) && core->ranks.in_state[QD_RANK_CLAIMED] > 0) {
        qd_preemption_leave_places(core); /* who makes room for them is late */
        repair(core);
    }
}

int64_t qd_reservations_wake_ns(const qd_core *core) {
    int64_t first = QD_NEVER;
    for (int i = 0; i < core->book.count; i++) {
        const qd_booking *b = &core->book.bookings[i];
        int64_t edge = b->running ? b->is.until_ns : b->is.from_ns;
        bool soon = edge - qd_preemption_grace_ns(core) <= core->now_ns;
        const qd_job_record *job = soon ? qd_timetable_first_end(&core->timetable) : NULL;
        int64_t at = soon ? edge : edge - qd_preemption_grace_ns(core);
        /* Who outruns his prediction is in the way after all. */
        at = job && job->due_ns < at ? job->due_ns : at;
        first = at < first ? at : first;
    }
    return first;
}

static int64_t idle_reserved(const qd_core *core) {
    return core->ranks.in_state[QD_RANK_RESERVED];
}

const qd_booking *qd_reservations_in_the_way(const qd_core *core, const qd_job_record *job) {
    int64_t idle = core->ranks.in_state[QD_RANK_FREE], ranks = job->entry.ranks;
    bool counts = !job->entry.yields && core->policy->passing != QD_PASSING_BLIND;
    int64_t run_ns = counts ? job->entry.run_ns : qd_room_least_ns(core);
    int64_t end = qd_time_after(core->now_ns, run_ns);
    const qd_booking *last = NULL;
    for (int i = 0; i < core->book.count; i++) {
        const qd_booking *b = &core->book.bookings[i];
        bool now = b->running && idle < ranks && idle + idle_reserved(core) >= ranks;
        bool soon = !b->running && idle >= ranks && b->is.from_ns < end &&
                    free_at(core, b->is.from_ns) < ranks;
        if ((now || soon) && (!last || b->is.until_ns > last->is.until_ns))
            last = b;
    }
    return last;
}

/* ---- starts ---- */

/* Its ranks that nobody holds, into core->members; returns how many. */
static int find_idle(const qd_core *core, const qd_booking *b) {
    int count = 0;
    for (int rank = 1; rank <= core->ranks.count; rank++)
        if (core->ranks.rank[rank].state == QD_RANK_RESERVED &&
            core->ranks.rank[rank].reservation == b->is.number)
            core->members[count++] = rank;
    return count;
}

static void hide_free(qd_core *core, bool hidden) {
    for (int rank = 1; rank <= core->ranks.count; rank++)
        if (core->ranks.rank[rank].state == QD_RANK_FREE)
            qd_places_hide(&core->ranks.places, rank, hidden);
}

static void reserve_members(qd_core *core, int count, int64_t reservation) {
    for (int i = 0; i < count; i++)
        qd_ranks_reserve(&core->ranks, core->members[i], reservation);
}

/* Chooses ranks for it as if no others than the idle ones of the reservation were free; false: they
 * are too few, or not together as it demands. */
static bool choose_ranks(qd_core *core, const qd_booking *b, qd_job_record *job) {
    const qd_demand *demand = &job->submit.demand;
    int ranks = job->submit.ranks_min, idle = find_idle(core, b);
    if (idle < ranks)
        return false;
    hide_free(core, true);
    reserve_members(core, idle, 0);
    bool fits = qd_placement_fits(&core->ranks, demand, ranks);
    if (fits)
        qd_placement_choose(&core->ranks, demand, ranks, job->ranks);
    reserve_members(core, idle, b->is.number);
    hide_free(core, false);
    return fits;
}

/* Whether it would be out in time. Who was told to save already, or has outrun what was predicted
 * of it, does not come in again for the last moments. */
static bool has_time(const qd_core *core, const qd_booking *b, const qd_job_record *job) {
    int64_t run_ns = qd_predicted_run_ns(job);
    bool fits = qd_time_after(core->now_ns, run_ns) <= b->is.until_ns;
    if (fits && (job->attempt == 0 || !ends_soon(core, b)))
        return true;
    return !job->submit.keeps_ranks &&
           qd_time_after(core->now_ns, qd_room_least_ns(core)) <= b->is.until_ns;
}

static void start_waiters(qd_core *core, qd_booking *b) {
    for (;;) {
        qd_job_record *job = waiter_of(qd_tree_first(&b->waiting));
        if (!job || !has_time(core, b, job) || !choose_ranks(core, b, job))
            return;
        qd_reservations_stop_waiting(core, job);
        qd_job_start_inside(core, job, b->is.number, "its reservation runs");
    }
}

void qd_reservations_start(qd_core *core) {
    for (int i = 0; i < core->book.count; i++)
        if (core->book.bookings[i].running)
            start_waiters(core, &core->book.bookings[i]);
}
