#include "scheduler/swap.h"

#include <math.h>
#include <stdio.h>

#include "runtime/text.h"
#include "scheduler/core_internal.h"
#include "scheduler/placement.h"
#include "scheduler/preemption.h"
#include "scheduler/resize.h"
#include "scheduler/room.h"
#include "scheduler/together.h"

/* Idle ranks that are slow are in nobody's way, or out of sight while one is chosen. */
static void hide_slow(qd_core *core, bool hidden) {
    for (int rank = 1; rank <= core->ranks.count; rank++)
        if (core->paces[rank].slow && core->ranks.rank[rank].state == QD_RANK_FREE)
            qd_places_hide(&core->ranks.places, rank, hidden);
}

static bool may_move(const qd_core *core, const qd_job_record *job) {
    return qd_resize_may_move(job) && core->now_ns > job->start_ns && job->due_ns != QD_NEVER;
}

/* The slowest member that is known as such and slower than the ones before it in the gang; -1. */
static int slowest(const qd_core *core, const int *ranks, int count) {
    int found = -1;
    for (int i = 0; i < count; i++)
        if (core->paces[ranks[i]].slow && core->paces[ranks[i]].busy_ns > 0 &&
            (found < 0 || core->paces[ranks[i]].busy_ns > core->paces[ranks[found]].busy_ns))
            found = i;
    return found;
}

/* Splits its ranks: those that stay in front, up to most of the slow ones behind them, the slowest
 * last. Returns how many stay. */
static int split(const qd_core *core, int *ranks, int count, int64_t most) {
    int stay = count;
    for (; count - stay < most; stay--) {
        int at = slowest(core, ranks, stay);
        if (at < 0)
            break;
        int rank = ranks[at];
        for (int i = at; i < stay - 1; i++)
            ranks[i] = ranks[i + 1];
        ranks[stay - 1] = rank;
    }
    return stay;
}

static int64_t pace_of(const qd_core *core, const int *ranks, int count) {
    int64_t busy_ns = 0;
    for (int i = 0; i < count; i++)
        if (core->paces[ranks[i]].busy_ns > busy_ns)
            busy_ns = core->paces[ranks[i]].busy_ns;
    return busy_ns;
}

static bool is_worth_it(const qd_core *core, const qd_job_record *job, const int *ranks, int stay) {
    double now = (double)pace_of(core, ranks, job->gang.size);
    double then = (double)pace_of(core, ranks, stay);
    double left_s = (double)(job->due_ns - core->now_ns) * 1e-9;
    return left_s * (1 - then / now) > core->scheduling.swap_cost_s;
}

/* Free ranks that the job could have beside that one. */
static int64_t idle_beside(const qd_core *core, const qd_job_record *job, int member) {
    int64_t idle = qd_placement_beside(&core->ranks, &job->submit.demand, member);
    int64_t unclaimed = qd_unclaimed_ranks(core);
    return idle < unclaimed ? idle : unclaimed;
}

static void swap(qd_core *core, qd_job_record *job) {
    char why[QD_REASON_WORDS_BYTES];
    int *ranks = core->members, count = job->gang.size;
    for (int i = 0; i < count; i++)
        ranks[i] = job->ranks[i];
    if (!may_move(core, job) || slowest(core, ranks, count) < 0)
        return;
    int stay = split(core, ranks, count, count);
    if (stay == 0)
        return;
    int64_t idle = idle_beside(core, job, ranks[0]);
    if (idle < count - stay)
        stay = count - (int)idle; /* the slowest are last */
    if (stay == count || !is_worth_it(core, job, ranks, stay) ||
        !qd_room_for_moves(core, &job, 1, count - stay))
        return;
    snprintf(why, sizeof why, "%d rank%s slow", count - stay, count - stay == 1 ? " is" : "s are");
    qd_placement_choose_beside(&core->ranks, &job->submit.demand, ranks[0], count - stay,
                               ranks + stay);
    qd_job_move(core, job, ranks, why);
}

void qd_swap_slow(qd_core *core) {
    if (!core->scheduling.swap || !core->ranks.places.known || core->jobs.pending.count > 0 ||
        qd_unclaimed_ranks(core) <= 0 || qd_somebody_is_resized(core))
        return;
    core->timetable.profile.now_free = qd_ranks_idle(&core->ranks);
    hide_slow(core, true);
    for (qd_job_record *job = core->jobs.active.first; job; job = job->next)
        swap(core, job);
    hide_slow(core, false);
}
