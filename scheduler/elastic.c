#include "scheduler/elastic.h"

#include <math.h>

#include "scheduler/core_internal.h"
#include "scheduler/prediction.h"
#include "scheduler/preemption.h"
#include "scheduler/resize.h"
#include "scheduler/room.h"
#include "scheduler/together.h"

static const double gain_over_cost = 2;

static int64_t ns(double seconds) {
    return llround(seconds * 1e9);
}

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* It ends then, as predicted, if it grows now; QD_NEVER: nobody knows. */
static int64_t grown_end_ns(const qd_core *core, const qd_job_record *job, int ranks) {
    int64_t saved_ns = qd_time_after(core->now_ns, qd_preemption_grace_ns(core));
    return qd_time_after(saved_ns, qd_predicted_rest_ns(job, ranks, core->now_ns));
}

/* Ranks that are promised to no reservation before it ends, even if it gains nothing. */
static int64_t room_beside_reservations(const qd_core *core, const qd_job_record *job) {
    int64_t until_ns = grown_end_ns(core, job, job->gang.size);
    return qd_room_for_ns(core, until_ns == QD_NEVER ? QD_NEVER : until_ns - core->now_ns);
}

/* Ranks that it could have beyond its own in service; one that demands a place, in that place. */
static int64_t more_ranks(const qd_core *core, const qd_job_record *job) {
    int64_t more = least(qd_unclaimed_ranks(core), qd_limits_room(core, job));
    more = core->quotas ? least(more, qd_quotas_more(core, job)) : more;
    if (core->book.count > 0)
        more = least(more, room_beside_reservations(core, job));
    if (!qd_is_choosy(job) || more <= 0)
        return more;
    return least(more, qd_placement_beside(&core->ranks, &job->submit.demand, job->ranks[0]));
}

void qd_elastic_resize(qd_core *core, qd_job_record *job, int ranks, const char *text) {
    int64_t has = job->planned_ranks;
    core->timetable.profile.now_free = qd_ranks_idle(&core->ranks);
    job->most_ranks = ranks;
    if (core->quotas)
        core->policy->set_room(core);
    if (ranks > job->gang.size)
        has += more_ranks(core, job);
    int wanted = qd_resize_widest(job, least(ranks, has));
    if (wanted > 0 && (ranks < job->gang.size || wanted > job->gang.size))
        qd_job_resize(core, job, wanted, false, text);
}

/* ---- growing by itself ---- */

static bool is_worth_it(const qd_core *core, const qd_job_record *job, int ranks) {
    if (job->due_ns == QD_NEVER)
        return false;
    int64_t left_ns = job->due_ns - core->now_ns;
    int64_t gained_ns = left_ns - qd_time_on_ranks(left_ns, job->gang.size, ranks);
    return gained_ns > ns(gain_over_cost * core->scheduling.grow_cost_s);
}

static const qd_queue_entry *first_without_claim(const qd_core *core) {
    const qd_queue_entry *entry = qd_queue_first(&core->queue);
    while (entry && qd_job_of_entry(entry)->claim > 0)
        entry = qd_queue_next(&core->queue, entry);
    return entry;
}

/* So many ranks more, until then, are in nobody's way; of a job that ends no later than before. */
static bool is_harmless(const qd_core *core, int more, int64_t until_ns) {
    const qd_profile *profile = &core->timetable.profile;
    const qd_queue_entry *head = first_without_claim(core);
    /* Any rank may be of the island or host that somebody waits for, or be called back for him. */
    if (core->policy->passing == QD_PASSING_BLIND || core->choosy > 0 || core->quotas ||
        qd_profile_first_short_of(profile, core->now_ns, more) < until_ns)
        return false;
    if (core->policy->plans || !head)
        return true;
    int64_t shadow = qd_profile_first_with(profile, core->now_ns, head->ranks);
    if (shadow == QD_NEVER)
        return false;
    return until_ns <= shadow || qd_profile_free_at(profile, shadow) >= head->ranks + more;
}

/* From when on it may grow; QD_NEVER: once it has made a step, or not at all. */
static int64_t ready_ns(const qd_core *core, const qd_job_record *job) {
    if (job->state != QD_STATE_RUNNING || job->submit.keeps_ranks || job->inside > 0 ||
        (job->submit.tells && !job->progress.told) || job->gang.size >= job->most_ranks)
        return QD_NEVER;
    int64_t least_ns = ns(core->scheduling.grow_min_run_s);
    return qd_time_after(job->start_ns, least_ns > 0 ? least_ns : 1);
}

/* How wide it should be now; 0: as it is. */
static int grown_ranks(qd_core *core, const qd_job_record *job) {
    int64_t ready = ready_ns(core, job);
    int ranks =
        qd_resize_widest(job, least(job->most_ranks, job->planned_ranks + more_ranks(core, job)));
    if (ready == QD_NEVER || ranks <= job->gang.size || !is_worth_it(core, job, ranks))
        return 0;
    if (ready > core->now_ns) {
        core->next_growth_ns = least(core->next_growth_ns, ready);
        return 0;
    }
    int64_t until_ns = grown_end_ns(core, job, ranks);
    bool nobody_waits = core->jobs.pending.count == 0;
    if (nobody_waits && core->book.count == 0)
        return ranks;
    if (until_ns > job->due_ns)
        return 0;
    bool harmless = nobody_waits || is_harmless(core, ranks - job->gang.size, until_ns);
    return harmless ? ranks : 0;
}

void qd_elastic_grow(qd_core *core) {
    core->next_growth_ns = QD_NEVER;
    if (!core->scheduling.grow)
        return;
    core->timetable.profile.now_free = qd_ranks_idle(&core->ranks);
    while (qd_unclaimed_ranks(core) > 0) {
        qd_job_record *first = NULL;
        if (core->quotas)
            core->policy->set_room(core);
        for (qd_job_record *job = core->jobs.active.first; job; job = job->next) {
            bool before =
                !first || job->submit.importance > first->submit.importance ||
                (job->submit.importance == first->submit.importance && job->job < first->job);
            if (before && grown_ranks(core, job) > 0)
                first = job;
        }
        if (!first)
            return;
        qd_job_resize(core, first, grown_ranks(core, first), false, "ranks are idle");
    }
}

int qd_elastic_start_ranks(qd_core *core, const qd_job_record *job, int ranks) {
    if (!core->scheduling.grow || core->jobs.pending.count != 1)
        return ranks;
    int64_t others_claim = core->claimed_ranks - job->claim_ranks;
    int64_t free_ranks = core->ranks.in_state[QD_RANK_FREE];
    int64_t idle = least(free_ranks, free_ranks + core->saving_ranks - others_claim) - ranks;
    int64_t more = least(idle, qd_limits_room(core, job));
    if (core->quotas)
        more = least(more, qd_quotas_more(core, job) - (ranks - job->quota_ranks));
    if (qd_is_choosy(job))
        more = least(more, qd_most_ranks(core, job, QD_MEASURE_FREE) - ranks);
    if (core->book.count > 0)
        more = least(more, qd_room_for_job(core, job) - ranks);
    return qd_resize_widest(job, more > 0 ? ranks + more : ranks);
}
