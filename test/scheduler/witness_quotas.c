#include "core_witness_internal.h"

/* Which jobs hold ranks of their team: those that run and do not make room; and those that may have
 * a claim, which nobody can see: some that make room, and some in the queue. */
typedef enum { RUNNING, SAVING_TOO, ALL } holders;

/* It holds ranks only until it has saved, or those of a reservation that runs, which are nobody's.
 */
static bool gives_up(const witness *w, const witness_job *job) {
    return find_reservation(w, job->inside) ||
           (job->resize_to == 0 && (job->makes_room || job->resized));
}

/* Ranks with which it runs, or goes on. */
static int kept_by(const witness *w, const witness_job *job) {
    if (job->resize_to > 0)
        return __builtin_popcountll(kept_ranks(w, job));
    return live_in_service(w, job);
}

/* Ranks that they hold in a team, and one job more (NULL: none), with what members that do not lend
 * keep. */
static int64_t held_by(const witness *w, int team, holders which, const witness_job *more) {
    int64_t ranks = 0;
    for (int i = 0; i < w->team_count; i++) {
        int64_t held = w->teams[i].parent == team ? held_by(w, i, which, more) : 0;
        bool keeps = w->teams[i].parent == team && !w->teams[i].lends;
        ranks += keeps && w->teams[i].quota > held ? w->teams[i].quota : held;
    }
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *job = &w->jobs[i];
        if (job->submit.account != team)
            continue;
        bool may_claim = which == ALL ? waits_for_ranks(w, job) || job->live > 0
                                      : which == SAVING_TOO && job->live > 0;
        if (job->live > 0 && !gives_up(w, job))
            ranks += kept_by(w, job);
        else if (job == more || may_claim)
            ranks += job->submit.ranks_min;
    }
    return ranks;
}

/* The quotas between a job and the lowest team it has in common with another: whether there are
 * any; whether all are exceeded, if all that may have a claim has one (nobody has while none
 * saves); whether the highest holds its team with this job, too. */
static void look_at_quotas(const witness *w, const witness_job *job, const witness_job *other,
                           bool *any, bool *beyond, bool *within) {
    *any = false;
    *beyond = *within = true;
    for (int at = job->submit.account; at >= 0 && !is_in(w, other, at); at = w->teams[at].parent) {
        int64_t quota = w->teams[at].quota;
        if (quota < 0)
            continue;
        *any = true;
        *beyond = *beyond && held_by(w, at, somebody_saves(w) ? ALL : RUNNING, NULL) > quota;
        *within = held_by(w, at, RUNNING, job) <= quota;
    }
}

/* An owner from a borrower; else, by class, from who is no owner itself; some of its ranks from an
 * equal, too. */
static bool may_take_from(const witness *w, const witness_job *job, const witness_job *victim,
                          bool some) {
    int lead = job->submit.importance - victim->submit.importance;
    bool lower = some ? w->loans && lead >= 0 : w->classes && lead > 0;
    bool any, beyond, within, ignored;
    look_at_quotas(w, job, victim, &any, &ignored, &within);
    look_at_quotas(w, victim, job, &any, &beyond, &ignored);
    return any ? beyond && (within || lower) : lower;
}

static bool is_ready_to_save(const witness *w, const witness_job *job) {
    return (job->told || !job->submit.tells) && w->time_ns - job->start_ns >= w->min_run_ns &&
           w->time_ns > job->start_ns;
}

bool may_make_room(const witness *w, const witness_job *job, bool some) {
    bool wanted = false;
    for (int i = 0; i < w->job_count; i++)
        wanted =
            wanted || (waits_for_ranks(w, &w->jobs[i]) && may_take_from(w, &w->jobs[i], job, some));
    return wanted && !job->submit.keeps_ranks && is_ready_to_save(w, job);
}

/* Of all teams at the top: their quotas; or what they hold, with what those that do not lend keep.
 */
static int64_t all_at_the_top(const witness *w, bool quotas) {
    int64_t sum = 0;
    for (int i = 0; quotas && i < w->team_count; i++)
        sum += w->teams[i].parent < 0 ? w->teams[i].quota : 0;
    return quotas ? sum : held_by(w, -1, RUNNING, NULL);
}

static bool grows(const witness_job *job) {
    return job->stopped_now && job->resize_to > job->size;
}

static bool somebody_gave_way_now(const witness *w) {
    bool gave_way = false;
    for (int i = 0; i < w->job_count; i++)
        gave_way = gave_way || (w->jobs[i].stopped_now && !grows(&w->jobs[i]));
    return gave_way;
}

/* A job in team that waits for no more than the team owns, and not only since a start that gave
 * its place under a limit up; nor since an operator resized a job, which comes first. */
static const witness_job *owner_waits(const witness *w, int team, bool waited) {
    for (int i = 0; i < w->job_count; i++)
        if (is_in(w, &w->jobs[i], team) && waits_for_ranks(w, &w->jobs[i]) &&
            !w->jobs[i].was_limited && (w->jobs[i].waited || !waited) &&
            held_by(w, team, SAVING_TOO, &w->jobs[i]) <= w->teams[team].quota)
            return &w->jobs[i];
    return NULL;
}

static bool borrows(const witness *w, const witness_job *job) {
    bool bounded = false, beyond = true;
    for (int at = job->submit.account; at >= 0; at = w->teams[at].parent) {
        bounded = bounded || w->teams[at].quota >= 0;
        beyond = beyond &&
                 (w->teams[at].quota < 0 || held_by(w, at, RUNNING, NULL) > w->teams[at].quota);
    }
    return bounded && beyond;
}

/* Beside one of the teams that this job is in. */
static const witness_job *another_owner_waits(const witness *w, const witness_job *job) {
    const witness_job *owner = NULL;
    for (int at = job->submit.account; at >= 0; at = w->teams[at].parent)
        for (int k = 0; w->teams[at].quota >= 0 && !owner && k < w->team_count; k++)
            if (k != at && w->teams[k].parent == w->teams[at].parent)
                owner = owner_waits(w, k, grows(job) && !job->grows_now);
    return owner;
}

/* Who has just begun to borrow borrows what is idle: nobody that owns it waits for it, and what is
 * not lent stays. */
static bool only_idle_ranks_are_borrowed(witness *w) {
    int ranks = count_ranks(w, is_in_service);
    bool enough = all_at_the_top(w, true) <= ranks, more = all_at_the_top(w, false) > ranks;
    for (int i = 0; i < w->job_count && !somebody_gave_way_now(w); i++) {
        const witness_job *job = &w->jobs[i];
        bool more_now = (job->started_now && !job->claimed) || grows(job);
        if (!more_now || job->inside != 0 || !borrows(w, job))
            continue;
        const witness_job *owner = another_owner_waits(w, job);
        if (owner)
            return broken(w, "job %lld borrows while job %lld waits for what it owns",
                          (long long)job->submit.job, (long long)owner->submit.job);
        if (enough && more)
            return broken(w, "job %lld borrows what is not lent", (long long)job->submit.job);
    }
    return true;
}

/* Jobs that cannot be preempted are within their quotas. */
static bool nothing_is_borrowed_for_good(witness *w) {
    for (int team = 0; team < w->team_count; team++) {
        int64_t ranks = 0;
        for (int i = 0; i < w->job_count; i++)
            if (w->jobs[i].live > 0 && w->jobs[i].submit.keeps_ranks && w->jobs[i].inside == 0 &&
                is_in(w, &w->jobs[i], team))
                ranks += kept_by(w, &w->jobs[i]);
        if (w->teams[team].quota >= 0 && ranks > w->teams[team].quota)
            return broken(w, "team %d borrows %lld ranks for good", team,
                          (long long)(ranks - w->teams[team].quota));
    }
    return true;
}

static bool all_running_could_save(const witness *w) {
    bool could = true;
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *job = &w->jobs[i];
        could = could &&
                (job->live == 0 || (job->state == QD_STATE_RUNNING && is_ready_to_save(w, job)));
    }
    return could;
}

static bool is_within_all_quotas(const witness *w, const witness_job *job) {
    bool within = true;
    for (int at = job->submit.account; at >= 0; at = w->teams[at].parent)
        within = within &&
                 (w->teams[at].quota < 0 || held_by(w, at, RUNNING, job) <= w->teams[at].quota);
    return within;
}

/* What a team owns it has, or is being freed for it, once those that run are old enough. */
static bool owners_get_their_own(witness *w) {
    if (all_at_the_top(w, true) > count_ranks(w, is_in_service) ||
        count_ranks(w, is_on_its_way) > 0 || w->draining || !all_running_could_save(w) ||
        w->reservation_count > 0) /* one may be in the way */
        return true;
    for (int i = 0; i < w->job_count; i++)
        if (waits_for_ranks(w, &w->jobs[i]) && is_within_all_quotas(w, &w->jobs[i]))
            return broken(w, "job %lld waits for what its team owns",
                          (long long)w->jobs[i].submit.job);
    return true;
}

bool quotas_are_kept(witness *w) {
    return !w->has_quotas || (only_idle_ranks_are_borrowed(w) && nothing_is_borrowed_for_good(w) &&
                              owners_get_their_own(w));
}

bool some_keep_idle_ranks(const witness *w) {
    bool keep = false;
    for (int i = 0; i < w->team_count; i++)
        keep = keep || (w->teams[i].quota > 0 && !w->teams[i].lends);
    return keep;
}
