#include "scheduler/core_internal.h"
#include "scheduler/policy.h"
#include "scheduler/reservations.h"
#include "scheduler/room.h"

/* False when nobody knows when the job could start: then nothing behind it has a start either,
 * since it could delay this one for any time. */
static bool plan(qd_core *core, qd_job_record *job) {
    int ranks = job->entry.ranks;
    int64_t run_ns = job->entry.run_ns, from = INT64_MIN;
    if (!job->entry.yields)
        from = qd_frontier_earliest_ns(core->frontier, ranks, run_ns);
    from = from > core->now_ns ? from : core->now_ns;
    int64_t start = qd_room_earliest_ns(core, &core->timetable.profile, &job->entry, from);
    qd_timetable_plan(&core->timetable, job, start);
    if (!job->entry.yields)
        qd_frontier_placed(core->frontier, ranks, run_ns, start);
    return start != QD_NEVER;
}

/* Jobs that have no place in the plan yet, in order. New ones are the last to have been submitted;
 * unless the plan is stale, all others have one, or none that anybody can know. */
static void plan_new(qd_core *core) {
    qd_job_record *job = core->jobs.pending.last;
    while (job && job->job > core->planned_up_to)
        job = job->previous;
    bool known = !job || job->due_ns != QD_NEVER;
    for (job = job ? job->next : core->jobs.pending.first; job && known; job = job->next)
        known = plan(core, job);
}

static void unplan_all(qd_core *core) {
    qd_timetable_unplan_all(&core->timetable);
    qd_reservations_lay(core, &core->timetable.profile, 1);
}

static void plan_all(qd_core *core) {
    qd_frontier_forget(core->frontier);
    unplan_all(core);
    bool known = true;
    for (const qd_queue_entry *entry = qd_queue_first(&core->queue); entry && known;
         entry = qd_queue_next(&core->queue, entry))
        known = plan(core, qd_job_of_entry(entry));
    core->timetable.stale = false;
}

static void start_due(qd_core *core) {
    for (;;) {
        qd_job_record *job = qd_timetable_first_start(&core->timetable);
        if (!job || job->due_ns > core->now_ns)
            return;
        qd_job_start(core, job, job->submit.ranks_min, "as planned");
    }
}

/* Plans count ranks, which says nothing of a choosy job (together.h): while one waits, the head
 * alone is promised a start. */
static void decide_without_plan(qd_core *core) {
    if (qd_timetable_first_start(&core->timetable))
        unplan_all(core);
    core->timetable.stale = true;
    qd_decide_easy(core);
}

void qd_decide_conservative(qd_core *core) {
    if (core->choosy > 0) {
        decide_without_plan(core);
        return;
    }
    const qd_job_record *first = qd_timetable_first_start(&core->timetable);
    bool late = first && first->due_ns < core->now_ns;
    if (core->timetable.stale || late)
        plan_all(core);
    else
        plan_new(core);
    core->planned_up_to = qd_jobs_last_number(&core->jobs);
    start_due(core);
    while (core->timetable.stale) { /* a start keeps another job waiting (singleton.h) */
        plan_all(core);
        start_due(core);
    }
}

int64_t qd_wake_conservative_ns(const qd_core *core) {
    const qd_job_record *job = qd_timetable_first_start(&core->timetable);
    int64_t overdue = qd_wake_overdue_ns(core);
    return job && job->due_ns < overdue ? job->due_ns : overdue;
}
