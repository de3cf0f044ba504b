#include "scheduler/room.h"

#include <math.h>

#include "scheduler/core_internal.h"
#include "scheduler/prediction.h"
#include "scheduler/preemption.h"
#include "scheduler/reservations.h"

static int64_t ns(double seconds) {
    return llround(seconds * 1e9);
}

int64_t qd_room_least_ns(const qd_core *core) {
    return ns(core->scheduling.save_grace_s) + ns(core->scheduling.min_run_s) + 1;
}

/* Beside reservations that come again a job of such a run never finds room. */
static bool is_too_long(const qd_core *core, const qd_queue_entry *entry) {
    int64_t between_ns = QD_NEVER, ranks = core->ranks.count;
    for (int i = 0; i < core->book.count; i++) {
        const qd_reservation *r = &core->book.bookings[i].is;
        int64_t gap_ns = r->every_ns - (r->until_ns - r->from_ns);
        if (r->every_ns == 0)
            continue;
        ranks -= r->ranks;
        between_ns = gap_ns < between_ns ? gap_ns : between_ns;
    }
    return entry->ranks > ranks && entry->run_ns > between_ns;
}

/* What was predicted to be over by now: its prediction is worth nothing. */
static bool has_outrun(const qd_job_record *job) {
    return job->attempt > 0 && job->entry.run_ns <= 1;
}

bool qd_room_yields(const qd_core *core, const qd_job_record *job) {
    return core->book.count > 0 && !job->submit.keeps_ranks &&
           (job->entry.run_ns == QD_NEVER || has_outrun(job) || is_too_long(core, &job->entry));
}

int64_t qd_room_earliest_ns(const qd_core *core, qd_profile *profile, const qd_queue_entry *entry,
                            int64_t from_ns) {
    if (!entry->yields)
        return qd_profile_earliest(profile, from_ns, entry->ranks, entry->run_ns);
    for (int64_t start = from_ns, next;; start = next) {
        start = qd_profile_earliest(profile, start, entry->ranks, qd_room_least_ns(core));
        if (start == QD_NEVER)
            return QD_NEVER;
        qd_reservations_lay(core, profile, -1);
        next = qd_profile_earliest(profile, start, entry->ranks, QD_NEVER);
        qd_reservations_lay(core, profile, 1);
        if (next == start || next == QD_NEVER)
            return next;
    }
}

int64_t qd_room_for_ns(const qd_core *core, int64_t run_ns) {
    const qd_profile *profile = &core->timetable.profile;
    int64_t end = qd_time_after(core->now_ns, run_ns);
    int64_t ranks = qd_profile_free_at(profile, core->now_ns);
    for (;;) {
        int64_t at = qd_profile_first_short_of(profile, core->now_ns, ranks);
        if (at == QD_NEVER || at >= end)
            return ranks;
        ranks = qd_profile_free_at(profile, at);
    }
}

bool qd_room_beside(const qd_core *core, const qd_queue_entry *entry, int64_t delay_ns) {
    int64_t run_ns = entry->yields ? qd_room_least_ns(core) : entry->run_ns;
    int64_t end = qd_time_after(qd_time_after(core->now_ns, delay_ns), run_ns);
    int64_t most = qd_ranks_in_service(&core->ranks) - entry->ranks;
    for (int i = 0; i < core->book.count; i++) {
        /* The sum is greatest where one begins, or now. */
        int64_t at = core->book.bookings[i].is.from_ns, sum = 0;
        at = at > core->now_ns ? at : core->now_ns;
        for (int k = 0; k < core->book.count; k++) {
            const qd_reservation *r = &core->book.bookings[k].is;
            sum += r->from_ns <= at && at < r->until_ns ? r->ranks : 0;
        }
        if (at < end && sum > most)
            return false;
    }
    return true;
}

/* Ranks for a job that yields: free for its least run, and for good but for the reservations. */
static int64_t open_ranks(qd_core *core) {
    int64_t near = qd_room_for_ns(core, qd_room_least_ns(core));
    qd_reservations_lay(core, &core->timetable.profile, -1);
    int64_t far = qd_room_for_ns(core, QD_NEVER);
    qd_reservations_lay(core, &core->timetable.profile, 1);
    return near < far ? near : far;
}

int64_t qd_room_for_job(qd_core *core, const qd_job_record *job) {
    if (core->policy->passing == QD_PASSING_BLIND)
        return qd_room_for_ns(core, qd_room_least_ns(core));
    return job->entry.yields ? open_ranks(core) : qd_room_for_ns(core, job->entry.run_ns);
}

bool qd_room_fits(qd_core *core, const qd_job_record *job, int ranks) {
    return core->book.count == 0 || ranks <= qd_room_for_job(core, job);
}

/* They hold as many ranks until they end, and what they leave besides until they have saved. */
static void lay_moves(qd_profile *profile, qd_job_record *const *jobs, int n, int64_t fresh,
                      int64_t saved_ns, int sign) {
    for (int i = 0; i < n; i++)
        qd_profile_add(profile, jobs[i]->due_ns, -sign * jobs[i]->planned_ranks);
    qd_profile_add(profile, saved_ns, sign * fresh);
}

bool qd_room_for_moves(qd_core *core, qd_job_record *const *jobs, int n, int64_t fresh) {
    int64_t saved_ns = qd_time_after(core->now_ns, qd_preemption_grace_ns(core));
    int64_t until_ns = saved_ns;
    if (core->book.count == 0)
        return true;
    for (int i = 0; i < n; i++) {
        int64_t rest_ns = qd_predicted_rest_ns(jobs[i], jobs[i]->gang.size, core->now_ns);
        int64_t end_ns = qd_time_after(saved_ns, rest_ns);
        until_ns = end_ns > until_ns ? end_ns : until_ns;
    }
    lay_moves(&core->timetable.profile, jobs, n, fresh, saved_ns, 1);
    int64_t room = qd_room_for_ns(core, until_ns == QD_NEVER ? QD_NEVER : until_ns - core->now_ns);
    lay_moves(&core->timetable.profile, jobs, n, fresh, saved_ns, -1);
    return fresh <= room;
}

int qd_room_gaps(qd_core *core, int64_t now_free, qd_gap gaps[QD_GAPS]) {
    const qd_profile *profile = &core->timetable.profile;
    int64_t here = qd_profile_free_at(profile, core->now_ns);
    int64_t beyond = qd_room_for_ns(core, QD_NEVER), open = open_ranks(core);
    int count = 0;
    for (int64_t ranks = here < now_free ? here : now_free; ranks > 0;) {
        int64_t at = qd_profile_first_short_of(profile, core->now_ns, ranks);
        gaps[count++] = (qd_gap){.ranks = ranks,
                                 .beyond = beyond < ranks ? beyond : ranks,
                                 .open = open < ranks ? open : ranks,
                                 .window_ns = at == QD_NEVER ? QD_NEVER : at - core->now_ns};
        /* With more steps than there is room for, what fits only there waits. */
        if (at == QD_NEVER || count == QD_GAPS)
            return count;
        ranks = qd_profile_free_at(profile, at);
    }
    return count;
}
