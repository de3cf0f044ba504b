#include "scheduler/preemption.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "scheduler/core_internal.h"
#include "scheduler/placement.h"
#include "scheduler/prediction.h"
#include "scheduler/preemption_together.h"
#include "scheduler/progress.h"
#include "scheduler/reservations.h"
#include "scheduler/resize.h"
#include "scheduler/room.h"
#include "scheduler/together.h"

enum { MOST_CLAIMS = 1023, KEY_SHIFT = 41 }; /* steps beyond the offsets of lanes (queue.h) */

static bool by_class(const qd_core *core) {
    return core->scheduling.preempt_by == QD_PREEMPT_CLASS;
}

static bool goes_by_importance(const qd_core *core) {
    return core->scheduling.preempt_by != QD_PREEMPT_NONE;
}

static bool is_on(const qd_core *core) {
    return core->policy->by_class && (goes_by_importance(core) || core->quotas);
}

/* Its team may not have so much now: only what its own side frees is its. */
static bool is_beyond_room(const qd_core *core, const qd_job_record *job) {
    return job->entry.ranks > core->queue.lanes[job->entry.lane].most_ranks;
}

/* A strict order, which no preemption changes: an owner before who borrows from it, whatever their
 * classes; an owner is never touched from outside; among equals in this, the class. */
static bool comes_before(const qd_core *core, const qd_job_record *job, const qd_job_record *other,
                         bool by_importance) {
    qd_standing standing = core->quotas ? qd_quotas_standing(core, other, job) : QD_SAME_SIDE;
    if (standing != QD_SAME_SIDE && is_beyond_room(core, job))
        return false;
    return standing == QD_BORROWER || (by_importance && standing != QD_OWNER);
}

/* All that it has. */
static bool may_take_from(const qd_core *core, const qd_job_record *job,
                          const qd_job_record *other) {
    bool lower = other->submit.importance < job->submit.importance;
    return comes_before(core, job, other, by_class(core) && lower);
}

static bool may_take_claim(const qd_core *core, const qd_job_record *job,
                           const qd_job_record *other) {
    bool lower = other->submit.importance < job->submit.importance;
    return comes_before(core, job, other, goes_by_importance(core) && lower);
}

/* Its surplus, which is a loan: equals call it back, too. */
static bool may_take_surplus(const qd_core *core, const qd_job_record *job,
                             const qd_job_record *other) {
    bool higher = other->submit.importance > job->submit.importance;
    return comes_before(core, job, other, goes_by_importance(core) && !higher);
}

/* ---- claims ---- */

/* Those that are being saved, too. */
static int64_t ranks_without_claim(const qd_core *core) {
    return qd_ranks_idle(&core->ranks) + core->saving_ranks - core->claimed_ranks;
}

bool qd_claim_is_met(const qd_core *core, const qd_job_record *job) {
    return job->claimed > 0 ? qd_claimed_are_free(core, job)
                            : job->claim_ranks <= core->ranks.in_state[QD_RANK_FREE];
}

int64_t qd_unclaimed_ranks(const qd_core *core) {
    int64_t now = core->ranks.in_state[QD_RANK_FREE], all = ranks_without_claim(core);
    return now < all ? now : all;
}

int64_t qd_claim_key(const qd_job_record *job) {
    int64_t number = job->claim < MOST_CLAIMS ? job->claim : MOST_CLAIMS;
    int64_t place = (100 - job->submit.importance) * (MOST_CLAIMS + 1) + number;
    return -(INT64_C(1) << 61) + (place << KEY_SHIFT);
}

int64_t qd_preemption_grace_ns(const qd_core *core) {
    return llround(core->scheduling.save_grace_s * 1e9);
}

static void take_claim(qd_core *core, qd_job_record *job, int ranks) {
    job->claim = ++core->claims;
    job->claim_ranks = ranks;
    core->claimed_ranks += ranks;
    qd_quotas_hold(core, job, ranks);
}

static void drop_claim(qd_core *core, qd_job_record *job) {
    qd_give_back_claimed(core, job);
    core->claimed_ranks -= job->claim_ranks;
    job->claim = job->claim_ranks = 0;
    qd_quotas_hold(core, job, 0);
    if (core->claimed_ranks == 0)
        core->claims = 0;
}

static void claim(qd_core *core, qd_job_record *job) {
    take_claim(core, job, job->entry.ranks);
    qd_timetable_plan(&core->timetable, job,
                      qd_time_after(core->now_ns, qd_preemption_grace_ns(core)));
    qd_job_requeue(core, job);
}

/* It waits as others do. */
static void give_up(qd_core *core, qd_job_record *job) {
    drop_claim(core, job);
    if (job->state != QD_STATE_PENDING)
        return;
    qd_timetable_unplan(&core->timetable, job);
    qd_job_requeue(core, job);
}

/* Of one that made room: its ranks may be its again. It does not borrow again at once. */
static bool may_claim(const qd_core *core, const qd_job_record *job) {
    int64_t ranks = job->submit.ranks_min;
    return !qd_is_choosy(job) && ranks <= ranks_without_claim(core) &&
           (!core->quotas || ranks <= qd_quotas_own(core, job->submit.account));
}

void qd_preemption_forget(qd_core *core, qd_job_record *job) {
    if (job->claim == 0)
        return;
    drop_claim(core, job);
    /* Those that save in vain. */
    for (qd_job_record *other = core->jobs.active.first; other; other = other->next)
        if (other->preempted && !other->makes_way && other->resize_to == 0 && other->claim == 0 &&
            may_claim(core, other))
            take_claim(core, other, other->submit.ranks_min);
}

void qd_preemption_returned(qd_core *core, qd_job_record *job) {
    bool queued = job->state == QD_STATE_PENDING && job->gate == QD_GATE_OPEN;
    if (!queued)
        qd_preemption_forget(core, job);
    else if (is_on(core) && job->claim == 0 && may_claim(core, job))
        claim(core, job);
}

/* ---- all claims, wherever their jobs are ---- */

/* The queue's, then those of jobs that save in vain: into jobs, in order; returns how many. */
static int find_claims(const qd_core *core, qd_job_record **jobs) {
    int n = 0;
    for (const qd_queue_entry *entry = qd_queue_first(&core->queue);
         entry && qd_job_of_entry(entry)->claim > 0; entry = qd_queue_next(&core->queue, entry))
        jobs[n++] = qd_job_of_entry(entry);
    for (qd_job_record *job = core->jobs.active.first; job && core->claims > 0; job = job->next)
        if (job->claim > 0)
            jobs[n++] = job;
    return n;
}

/* Of ranks one by one, of which some were lost or drained; or of a job that a reservation has come
 * into the way of. */
static bool is_broken(const qd_core *core, const qd_job_record *job) {
    bool pending = job->state == QD_STATE_PENDING;
    return !qd_claimed_are_whole(core, job) || (pending && !qd_room_beside(core, &job->entry, 0));
}

static void drop_broken_claims(qd_core *core) {
    int n = core->claims > 0 ? find_claims(core, core->running) : 0;
    for (int i = 0; i < n; i++)
        if (is_broken(core, core->running[i]))
            give_up(core, core->running[i]);
}

void qd_preemption_settle(qd_core *core) {
    drop_broken_claims(core);
    if (ranks_without_claim(core) >= 0)
        return;
    int n = find_claims(core, core->running);
    while (n > 0 && ranks_without_claim(core) < 0)
        give_up(core, core->running[--n]);
}

void qd_preemption_leave_places(qd_core *core) {
    int n = find_claims(core, core->running);
    for (int i = 0; i < n; i++)
        if (core->running[i]->claimed > 0)
            give_up(core, core->running[i]);
}

/* ---- who makes room ---- */

/* What ranks are needed for. */
typedef struct need {
    const qd_job_record *job; /* NULL: a reservation */
    int64_t by_ns;            /* which begins then */
} need;

/* From when on it may be told to; QD_NEVER: once it has made a step. */
static int64_t ready_ns(const qd_core *core, const qd_job_record *job) {
    if (job->submit.tells && !job->progress.told)
        return QD_NEVER;
    /* Nobody starts and makes room in one instant. */
    int64_t least_ns = llround(core->scheduling.min_run_s * 1e9);
    return qd_time_after(job->start_ns, least_ns > 0 ? least_ns : 1);
}

/* Ranks that a running job can give and still go on. */
static int surplus_of(const qd_job_record *job) {
    int surplus = job->planned_ranks - job->submit.ranks_min;
    return job->state == QD_STATE_RUNNING && job->claim == 0 && surplus > 0 ? surplus : 0;
}

/* All that is to be had of it. */
static int whole_of(const qd_job_record *candidate) {
    if (candidate->claim > 0)
        return candidate->claim_ranks;
    return candidate->resize_to > 0 ? candidate->kept_ranks : candidate->planned_ranks;
}

/* What is to be had of it beyond what it can spare, which is taken anyway. */
static int64_t ranks_of(const qd_job_record *candidate) {
    return whole_of(candidate) - (candidate->claim > 0 ? 0 : candidate->surplus);
}

/* Claims first: nothing is lost with them. */
static int compare(const void *a, const void *b) {
    const qd_job_record *x = *(qd_job_record *const *)a, *y = *(qd_job_record *const *)b;
    if ((x->claim > 0) != (y->claim > 0))
        return x->claim > 0 ? -1 : 1;
    if (x->submit.importance != y->submit.importance)
        return x->submit.importance < y->submit.importance ? -1 : 1;
    if (x->lost_rank_s != y->lost_rank_s)
        return x->lost_rank_s < y->lost_rank_s ? -1 : 1;
    if (ranks_of(x) != ranks_of(y))
        return ranks_of(x) < ranks_of(y) ? -1 : 1;
    return (y->job > x->job) - (y->job < x->job);
}

static bool may_ever_be_told(const qd_job_record *other) {
    return other->state == QD_STATE_RUNNING && !other->submit.keeps_ranks && other->inside == 0;
}

static bool may_be_told(const qd_core *core, const qd_job_record *other) {
    return may_ever_be_told(other) && ready_ns(core, other) <= core->now_ns;
}

bool qd_preemption_may_ask(const qd_core *core, const qd_job_record *job,
                           const qd_job_record *other) {
    return is_on(core) && may_ever_be_told(other) && may_take_from(core, job, other);
}

bool qd_preemption_may_make_room(const qd_core *core, const qd_job_record *job,
                                 const qd_job_record *other) {
    return qd_preemption_may_ask(core, job, other) && may_be_told(core, other);
}

/* It would hold ranks beyond that time, and may be told. Blind to run times a policy does not ask
 * who may be, so a reservation need not either. */
static bool is_in_the_way(const qd_core *core, const qd_job_record *other, int64_t by_ns) {
    bool keeps = other->submit.keeps_ranks && core->policy->passing != QD_PASSING_BLIND;
    if (keeps || other->inside > 0)
        return false;
    if (other->resize_to > 0)
        return other->kept_ranks > 0 && other->kept_ns > by_ns;
    return other->state == QD_STATE_RUNNING &&
           (other->due_ns > by_ns || qd_prediction_is_overdue(other));
}

static bool may_give_all(const qd_core *core, const need *what, const qd_job_record *other) {
    return what->job ? other->owes && qd_preemption_may_make_room(core, what->job, other)
                     : is_in_the_way(core, other, what->by_ns);
}

/* Some of its ranks, which are a loan: to its equals, too. */
static bool may_shrink(const qd_core *core, const need *what, const qd_job_record *other) {
    if (surplus_of(other) == 0)
        return false;
    if (!what->job)
        return is_in_the_way(core, other, what->by_ns);
    return may_be_told(core, other) && may_take_surplus(core, what->job, other) &&
           !qd_reservations_meet_narrower(core, other);
}

/* Nothing more if it saves already. */
static double loss_of(const qd_core *core, const qd_job_record *other) {
    return other->resize_to > 0 ? 0 : qd_progress_unsaved_rank_s(other, core->now_ns);
}

static int add_running(qd_core *core, const need *what, int n,
                       bool (*may)(const qd_core *core, const need *what,
                                   const qd_job_record *other)) {
    for (qd_job_record *other = core->jobs.active.first; other; other = other->next) {
        if (!may(core, what, other))
            continue;
        other->lost_rank_s = loss_of(core, other);
        other->gives = 0;
        core->running[n++] = other;
    }
    qsort(core->running, (size_t)n, sizeof *core->running, compare);
    return n;
}

/* Claims of lower classes than a job's, and of who borrows from it. */
static int find_lower_claims(qd_core *core, const qd_job_record *job) {
    int n = 0, claims = job ? find_claims(core, core->running) : 0;
    for (int i = 0; i < claims; i++) {
        qd_job_record *other = core->running[i];
        if (!may_take_claim(core, job, other))
            continue;
        other->lost_rank_s = 0;
        core->running[n++] = other;
    }
    qsort(core->running, (size_t)n, sizeof *core->running, compare);
    return n;
}

/* Keeps, of the first n candidates, only those without whom the ranks would be too few; the dearest
 * are let off first. Returns how many are left. */
static int let_off(qd_job_record **candidates, int n, int64_t surplus) {
    int kept = n;
    for (int i = n - 1; i >= 0; i--) {
        if (ranks_of(candidates[i]) > surplus)
            continue;
        surplus -= ranks_of(candidates[i]);
        for (int k = i + 1; k < kept; k++)
            candidates[k - 1] = candidates[k];
        kept--;
    }
    return kept;
}

static int64_t sum_of(qd_job_record **candidates, int from, int to) {
    int64_t ranks = 0;
    for (int i = from; i < to; i++)
        ranks += ranks_of(candidates[i]);
    return ranks;
}

/* Of running candidates from..n, one that is enough alone, of the lowest class, and loses no more
 * than from..to together, takes their place; returns where the chosen ones end. */
static int prefer_one(qd_job_record **candidates, int from, int to, int n, int64_t ranks) {
    double lost_rank_s = 0;
    int lowest = candidates[from]->submit.importance;
    for (int i = from; i < to; i++)
        lost_rank_s += candidates[i]->lost_rank_s;
    for (int i = from; i < n && candidates[to - 1]->submit.importance == lowest &&
                       candidates[i]->submit.importance == lowest;
         i++)
        if (ranks_of(candidates[i]) >= ranks && candidates[i]->lost_rank_s <= lost_rank_s) {
            candidates[from] = candidates[i];
            return from + 1;
        }
    return to;
}

/* Of n candidates, those that make so many ranks free, in front; returns how many, -1: too few. */
static int choose(qd_job_record **candidates, int n, int64_t ranks) {
    int claims = 0, count = 0;
    while (claims < n && candidates[claims]->claim > 0)
        claims++;
    for (int64_t sum = 0; sum < ranks; count++) {
        if (count == n)
            return -1;
        sum += ranks_of(candidates[count]);
    }
    if (count > claims)
        count = prefer_one(candidates, claims, count, n, ranks - sum_of(candidates, 0, claims));
    return let_off(candidates, count, sum_of(candidates, 0, count) - ranks);
}

/* What a job gives of its surplus where so much is missing, and so much may be taken: whole steps.
 */
static int given_by(const qd_job_record *job, int64_t missing, int64_t most) {
    int left = qd_resize_widest(job, job->planned_ranks - (missing < most ? missing : most));
    return job->planned_ranks - (left > 0 ? left : job->submit.ranks_min);
}

/* The members of a team together spare no more for the job than it borrows; who owes more than that
 * is noted. */
static void spare_what_is_lent(qd_core *core, const need *what) {
    int n = add_running(core, what, 0, may_shrink);
    for (int i = 0; i < n; i++) {
        qd_job_record *other = core->running[i];
        int64_t lent = qd_quotas_lent(core, other, what->job);
        other->surplus = lent > 0 ? given_by(other, other->surplus, lent) : 0;
        qd_quotas_hold(core, other, other->planned_ranks - other->surplus);
    }
    for (qd_job_record *other = core->jobs.active.first; other; other = other->next)
        other->owes = qd_quotas_lent(core, other, what->job) > 0;
    for (int i = 0; i < n; i++) /* nothing is given back yet */
        qd_quotas_hold(core, core->running[i], core->running[i]->planned_ranks);
}

static int64_t all_surplus(qd_core *core, const need *what) {
    int64_t ranks = 0;
    for (int i = 0, n = add_running(core, what, 0, may_shrink); i < n; i++)
        ranks += core->running[i]->surplus;
    return ranks;
}

/* Claims and whole gangs, as few as will do beside all that others can spare: into running; returns
 * how many, -1: too few. */
static int choose_whole(qd_core *core, const need *what, int64_t missing) {
    int64_t surplus = all_surplus(core, what);
    int claims = find_lower_claims(core, what->job);
    int64_t claimed = sum_of(core->running, 0, claims);
    if (missing - surplus <= claimed)
        return choose(core->running, claims, missing < claimed ? missing : claimed);
    return choose(core->running, add_running(core, what, claims, may_give_all), missing - surplus);
}

/* The dearest first. */
static void let_off_surplus(qd_job_record **candidates, int n, int64_t excess) {
    for (int i = n - 1; i >= 0 && excess > 0; i--) {
        int step = candidates[i]->submit.ranks_step, most = candidates[i]->gives;
        int64_t less = excess - excess % step;
        less = less < most ? less : most;
        candidates[i]->gives -= (int)less;
        excess -= less;
    }
}

/* Behind count chosen ones, those that give of their surplus what is still missing; returns how
 * many there are then. */
static int choose_surplus(qd_core *core, int count, int64_t missing) {
    qd_job_record **candidates = core->running + core->ranks.count;
    int n = 0;
    for (qd_job_record *other = core->jobs.active.first; other; other = other->next) {
        if (other->gives > 0 || other->surplus == 0)
            continue;
        other->lost_rank_s = loss_of(core, other);
        candidates[n++] = other;
    }
    qsort(candidates, (size_t)n, sizeof *candidates, compare);
    int used = 0;
    for (; used < n && missing > 0; used++) {
        candidates[used]->gives = given_by(candidates[used], missing, candidates[used]->surplus);
        missing -= candidates[used]->gives;
    }
    let_off_surplus(candidates, used, -missing);
    for (int i = 0; i < used; i++)
        if (candidates[i]->gives > 0)
            core->running[count++] = candidates[i];
    return count;
}

/* Who makes room, in running, each with what it gives; returns how many, 0: it is not enough. */
static int choose_all(qd_core *core, const need *what, int64_t missing) {
    for (qd_job_record *other = core->jobs.active.first; other; other = other->next) {
        other->gives = 0;
        other->surplus = may_shrink(core, what, other) ? surplus_of(other) : 0;
        other->owes = true;
    }
    if (core->quotas && what->job)
        spare_what_is_lent(core, what);
    int count = choose_whole(core, what, missing);
    if (count < 0)
        return 0;
    for (int i = 0; i < count; i++) {
        qd_job_record *other = core->running[i];
        other->gives = whole_of(other);
        missing -= other->gives;
    }
    return missing > 0 ? choose_surplus(core, count, missing) : count;
}

static void tell(qd_core *core, qd_job_record *job, const char *text) {
    if (job->claim > 0) {
        give_up(core, job);
    } else if (job->gives == job->planned_ranks) {
        qd_job_preempt(core, job, qd_reservations_grace_ns(core), text);
    } else {
        job->preemptions++;
        qd_job_resize(core, job, job->planned_ranks - job->gives, true, text);
    }
}

/* When the next of those that are too young yet may be told. */
static void note_next_room(qd_core *core, const qd_job_record *job) {
    for (const qd_job_record *other = core->jobs.active.first; other; other = other->next) {
        int64_t ready = ready_ns(core, other);
        bool sooner = ready > core->now_ns && ready < core->next_room_ns;
        bool gives_some = surplus_of(other) > 0 && may_take_surplus(core, job, other);
        if (sooner && may_ever_be_told(other) && (gives_some || may_take_from(core, job, other)))
            core->next_room_ns = ready;
    }
}

/* Somebody of a lower class saves: what it frees is the job's before others'. */
static bool outranks_one_that_saves(const qd_core *core, const qd_job_record *job) {
    for (const qd_job_record *other = core->jobs.active.first; other; other = other->next)
        if (other->preempted && !other->makes_way && goes_by_importance(core) &&
            other->submit.importance < job->submit.importance)
            return true;
    return false;
}

int64_t qd_preemption_there(const qd_core *core, const qd_job_record *job) {
    int64_t there = ranks_without_claim(core);
    int64_t lent = core->quotas ? qd_quotas_unheld(core, job->submit.account) : there;
    int64_t room = core->queue.lanes[job->entry.lane].most_ranks;
    lent = room < lent ? room : lent; /* what its own side frees adds to each of them */
    return lent < there ? lent : there;
}

/* Then it is a reservation that is in its way. */
static bool is_free_for(qd_core *core, const qd_job_record *job) {
    return job->entry.ranks <= qd_unclaimed_ranks(core) &&
           job->entry.ranks <= qd_preemption_there(core, job) &&
           qd_placement_fits(&core->ranks, &job->submit.demand, job->entry.ranks);
}

bool qd_preemption_make_room(qd_core *core, qd_job_record *job) {
    char text[QD_REASON_WORDS_BYTES];
    if (!is_on(core) || is_free_for(core, job) ||
        !qd_room_beside(core, &job->entry, qd_preemption_grace_ns(core)))
        return false;
    if (qd_is_choosy(job)) {
        if (qd_make_room_together(core, job, qd_reservations_grace_ns(core))) {
            claim(core, job);
            return true;
        }
        note_next_room(core, job);
        return false;
    }
    int64_t missing = job->entry.ranks - qd_preemption_there(core, job);
    int count = 0;
    if (missing > 0) {
        count = choose_all(core, &(need){.job = job}, missing);
        if (count == 0) {
            note_next_room(core, job);
            return false;
        }
    } else if (!outranks_one_that_saves(core, job)) {
        return false;
    }
    snprintf(text, sizeof text, "makes room for job %lld", (long long)job->job);
    for (int i = 0; i < count; i++)
        tell(core, core->running[i], text);
    claim(core, job);
    return true;
}

void qd_preemption_clear(qd_core *core, int64_t ranks, int64_t by_ns, const char *text) {
    need what = {.by_ns = by_ns};
    int count = choose_all(core, &what, ranks);
    if (count == 0) {
        count = add_running(core, &what, 0, may_give_all);
        for (int i = 0; i < count; i++)
            core->running[i]->gives = whole_of(core->running[i]);
    }
    for (int i = 0; i < count; i++) {
        qd_job_record *other = core->running[i];
        qd_job_make_way(core, other, whole_of(other) - other->gives, by_ns, text);
    }
}
