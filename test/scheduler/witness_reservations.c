#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core_witness_internal.h"

witness_reservation *find_reservation(const witness *w, int64_t number) {
    for (int i = 0; i < w->reservation_count; i++)
        if (w->reservations[i].is.number == number && !w->reservations[i].over)
            return (witness_reservation *)&w->reservations[i];
    return NULL;
}

static int reserved_ranks(const witness *w, const qd_reservation *r) {
    return r->kind == QD_RESERVATION_MAINTENANCE ? w->worker_ranks : r->ranks;
}

static bool covers(const qd_reservation *r, int64_t at) {
    int64_t since = at - r->from_ns;
    if (r->every_ns > 0 && since >= 0)
        since %= r->every_ns;
    return since >= 0 && since < r->until_ns - r->from_ns;
}

/* All drawn times are multiples of a tick, and all has come again within so many of them. */
enum { TICKS = 160, TICK_NS = 200000000 };

bool expects_reserve(const witness *w, const qd_event *e) {
    const qd_reservation *r = &e->reserve;
    bool maintenance = r->kind == QD_RESERVATION_MAINTENANCE;
    int64_t last = w->reservation_count ? w->reservations[w->reservation_count - 1].is.number : 0;
    int open = 0;
    for (int i = 0; i < w->reservation_count; i++)
        open += !w->reservations[i].over;
    if ((r->kind != QD_RESERVATION_ADVANCE && !maintenance) || !r->name[0] || r->number <= last ||
        open == QD_RESERVATIONS || r->until_ns <= r->from_ns || r->until_ns <= e->time_ns ||
        (maintenance ? r->ranks != 0 : r->ranks < 1 || r->ranks > w->worker_ranks) ||
        (r->every_ns > 0 && r->every_ns < r->until_ns - r->from_ns))
        return false;
    for (int64_t at = r->from_ns; at < r->from_ns + TICKS * (int64_t)TICK_NS; at += TICK_NS) {
        int sum = covers(r, at) ? reserved_ranks(w, r) : 0;
        for (int i = 0; sum > 0 && i < w->reservation_count; i++)
            if (!w->reservations[i].over && covers(&w->reservations[i].is, at))
                sum += reserved_ranks(w, &w->reservations[i].is);
        if (sum > w->worker_ranks)
            return false;
    }
    return true;
}

bool reservation_takes(const witness *w, const qd_submission *s) {
    const witness_reservation *r = find_reservation(w, s->reservation);
    return s->reservation == 0 ||
           (r && r->is.kind == QD_RESERVATION_ADVANCE && s->ranks_min <= r->is.ranks &&
            (r->is.account < 0 || is_below(w, s->account, r->is.account)));
}

/* At the end of an instant. */
void outstay(witness *w, const witness_reservation *r) {
    for (int i = 0; i < w->job_count; i++)
        if (w->jobs[i].inside == r->is.number)
            w->jobs[i].inside = WITNESS_OUTSTAYED;
}

void pass_edges(witness *w) {
    for (int i = 0; i < w->reservation_count; i++) {
        witness_reservation *r = &w->reservations[i];
        if (r->is.until_ns <= w->time_ns)
            outstay(w, r);
        while (r->is.every_ns > 0 && r->is.until_ns <= w->time_ns) {
            r->is.from_ns += r->is.every_ns;
            r->is.until_ns += r->is.every_ns;
        }
        r->over = r->over || r->is.until_ns <= w->time_ns;
        r->running = !r->over && r->is.from_ns <= w->time_ns;
    }
}

/* By when it has to be out of the way of a reservation, or of its own; 0: no reason for that. */
int64_t way_by(const witness *w, const witness_job *job, const char *reason) {
    const witness_reservation *in = find_reservation(w, job->inside);
    int64_t number = 0;
    if (job->submit.keeps_ranks && (in || strcmp(w->policy, "attained") != 0))
        return 0;
    if (in && in->running && strcmp(reason, "its reservation ends") == 0 &&
        w->time_ns >= in->is.until_ns - w->reservation_grace_ns)
        return in->is.until_ns;
    const char *makes_room = strstr(reason, "makes room for reservation r");
    if (in || !makes_room ||
        sscanf(makes_room, "makes room for reservation r%" SCNd64, &number) != 1)
        return 0;
    const witness_reservation *r = find_reservation(w, number);
    bool soon = r && !r->running && w->time_ns >= r->is.from_ns - w->reservation_grace_ns;
    return soon ? r->is.from_ns : 0;
}

int64_t grace_from_now(const witness *w) {
    int64_t grace = w->grace_ns;
    for (int i = 0; i < w->reservation_count; i++) {
        const witness_reservation *r = &w->reservations[i];
        bool ahead = !r->over && r->is.from_ns > w->time_ns;
        grace = ahead && r->is.from_ns - w->time_ns < grace ? r->is.from_ns - w->time_ns : grace;
    }
    return grace;
}

/* ---- what reservations promise ---- */

static int held_inside(const witness *w, const witness_reservation *r) {
    int count = 0;
    for (int i = 0; i < w->job_count; i++)
        if (w->jobs[i].live > 0 && w->jobs[i].inside == r->is.number)
            count += live_in_service(w, &w->jobs[i]);
    return count;
}

/* Whoever runs has what it needs, or all that is free; jobs outside take only of the rest. */
bool running_reservations_have_their_ranks(witness *w, const qd_core *core) {
    int unused = count_ranks(w, is_free);
    bool degraded = false;
    qd_reservation_view view;
    for (int i = 0; qd_core_reservation(core, i, &view); i++) {
        const witness_reservation *r = find_reservation(w, view.is.number);
        if (!r || r->running != view.running || r->is.from_ns != view.is.from_ns)
            return broken(w, "the view of reservation %s is wrong", view.is.name);
        int held = r->running ? held_inside(w, r) : 0;
        if (held > view.has || view.has > reserved_ranks(w, &r->is))
            return broken(w, "reservation %s has %d ranks, %d of them held", r->is.name, view.has,
                          held);
        degraded = degraded || (r->running && view.has < reserved_ranks(w, &r->is));
        unused -= view.has - held;
    }
    if (unused < 0)
        return broken(w, "reservations have %d ranks that are not free", -unused);
    if (degraded && unused > 0 && count_ranks(w, is_on_its_way) == 0)
        return broken(w, "a reservation lacks ranks beside %d free ones", unused);
    return true;
}

/* Held to its run time, since that is known, or since it is not to be told to save. */
static bool counts(const witness_job *job) {
    int64_t run = run_on(job, job->submit.ranks_min);
    bool outrun = job->attempt > 1 && run <= 1;
    return job->submit.keeps_ranks || (run < INT64_MAX && !outrun);
}

/* Free ranks at at_ns, reservations served, if nobody starts any more; told: and whoever started
 * just now without being held to a run time has saved. */
static int left_at(const witness *w, int64_t at_ns, bool told) {
    int left = count_ranks(w, is_free);
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *job = &w->jobs[i];
        const witness_reservation *in = find_reservation(w, job->inside);
        if (job->live == 0)
            continue;
        int64_t out = in ? in->is.until_ns : predicted_end(w, job);
        bool saves = told && job->started_now && !counts(job);
        left += saves || out <= at_ns ? live_in_service(w, job) : 0;
        if (job->resize_to > 0 && resized_end(w, job) <= at_ns)
            left += __builtin_popcountll(kept_ranks(w, job));
        if (job->regroups && out <= at_ns)
            left += __builtin_popcountll(kept_ranks(w, job));
    }
    for (int i = 0; i < w->reservation_count; i++) {
        const witness_reservation *r = &w->reservations[i];
        if (!r->over && r->is.from_ns <= at_ns && at_ns < r->is.until_ns)
            left -= reserved_ranks(w, &r->is) - (r->running ? held_inside(w, r) : 0);
    }
    return left;
}

/* Started or grew just now, held to its run time, which is known and longer than until then. */
static bool came_in_the_way(const witness *w, const witness_job *job, int64_t from_ns) {
    if (job->grows_now)
        return resized_end(w, job) > from_ns;
    return job->started_now && job->inside == 0 && counts(job) &&
           strcmp(w->policy, "attained") != 0 && !w->by_class && predicted_end(w, job) > from_ns;
}

/* Which known runs are too long to count beside a reservation that comes again, the witness does
 * not know. */
static bool nobody_came_in_the_way(witness *w, const witness_reservation *r) {
    for (int i = 0; i < w->reservation_count; i++)
        if (!w->reservations[i].over && w->reservations[i].is.every_ns > 0)
            return true;
    for (int i = 0; i < w->job_count; i++)
        if (came_in_the_way(w, &w->jobs[i], r->is.from_ns))
            return broken(w, "job %lld started or grew in the way of reservation %s",
                          (long long)w->jobs[i].submit.job, r->is.name);
    return true;
}

/* Nor does one that is RESIZING go on there. */
static bool nobody_stays_in_the_way(witness *w, const witness_reservation *r) {
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *job = &w->jobs[i];
        bool keeps = job->submit.keeps_ranks && strcmp(w->policy, "attained") != 0;
        bool resized = job->resize_to > 0 && job->way_by_ns == 0;
        bool stays = (job->state == QD_STATE_RUNNING && predicted_end(w, job) > r->is.from_ns) ||
                     (resized && resized_end(w, job) > r->is.from_ns);
        if (stays && !keeps && !find_reservation(w, job->inside))
            return broken(w, "job %lld stays in the way of reservation %s",
                          (long long)job->submit.job, r->is.name);
    }
    return true;
}

bool the_next_reservations_get_their_ranks(witness *w) {
    for (int i = 0; i < w->reservation_count; i++) {
        const witness_reservation *r = &w->reservations[i];
        bool ahead = !r->over && !r->running;
        bool soon = w->time_ns >= r->is.from_ns - w->reservation_grace_ns;
        if (ahead && left_at(w, r->is.from_ns, true) < 0 && !nobody_came_in_the_way(w, r))
            return false;
        if (ahead && soon && left_at(w, r->is.from_ns, false) < 0 && !nobody_stays_in_the_way(w, r))
            return false;
        w->judged += !r->over && !r->running;
    }
    return true;
}
