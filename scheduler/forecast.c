#include "scheduler/forecast.h"

#include <stdlib.h>

#include "runtime/error.h"
#include "scheduler/core_internal.h"
#include "scheduler/reservations.h"
#include "scheduler/room.h"
#include "scheduler/together.h"

/* The profile and the frontier of a plan of its own. */
typedef struct forecaster {
    const qd_core *core;
    qd_profile profile;
    qd_frontier *frontier;
    int64_t from_ns; /* no job starts before; QD_NEVER once one has no known start */
} forecaster;

static void add_running(forecaster *f) {
    f->profile.now_free = qd_ranks_idle(&f->core->ranks);
    for (const qd_job_record *job = f->core->jobs.active.first; job; job = job->next) {
        qd_profile_add(&f->profile, job->due_ns, job->planned_ranks);
        qd_profile_add(&f->profile, job->kept_ns, job->kept_ranks);
    }
    qd_reservations_lay(f->core, &f->profile, 1);
}

/* What ranks those that start before it will get, nobody knows: only the head's is predicted. */
static int64_t start_of_choosy(forecaster *f, const qd_job_record *job, bool is_head) {
    if (!is_head)
        return QD_NEVER;
    bool fits = qd_most_ranks(f->core, job, QD_MEASURE_FREE) >= job->entry.ranks;
    int64_t from = fits ? f->from_ns : qd_find_opening(f->core, job).at_ns;
    if (from == QD_NEVER || f->core->book.count == 0)
        return from;
    return qd_room_earliest_ns(f->core, &f->profile, &job->entry, from);
}

static int64_t start_of(forecaster *f, const qd_queue_entry *entry) {
    const qd_job_record *job = qd_job_of_entry(entry);
    if (qd_is_choosy(job))
        return start_of_choosy(f, job, entry == qd_queue_first(&f->core->queue));
    int64_t from = INT64_MIN;
    if (!entry->yields)
        from = qd_frontier_earliest_ns(f->frontier, entry->ranks, entry->run_ns);
    from = from > f->from_ns ? from : f->from_ns;
    return qd_room_earliest_ns(f->core, &f->profile, entry, from);
}

static int64_t place(forecaster *f, const qd_queue_entry *entry) {
    if (f->from_ns == QD_NEVER)
        return QD_NEVER;
    int64_t start = start_of(f, entry);
    if (start == QD_NEVER || f->core->policy->passing == QD_PASSING_NONE)
        f->from_ns = start;
    if (start == QD_NEVER)
        return QD_NEVER;
    qd_profile_add(&f->profile, start, -entry->ranks);
    qd_profile_add(&f->profile, qd_time_after(start, entry->run_ns), entry->ranks);
    if (!entry->yields)
        qd_frontier_placed(f->frontier, entry->ranks, entry->run_ns, start);
    return start;
}

/* Beyond what its team may have now (quotas.h): it claims nothing. */
static bool is_passed_over(const forecaster *f, const qd_queue_entry *entry) {
    return f->core->quotas && qd_job_of_entry(entry)->claim == 0 &&
           entry->ranks > f->core->queue.lanes[entry->lane].most_ranks;
}

static void place_all(forecaster *f, qd_forecast *forecast) {
    const qd_queue *queue = &f->core->queue;
    for (const qd_queue_entry *entry = qd_queue_first(queue); entry;
         entry = qd_queue_next(queue, entry))
        forecast->entries[forecast->count++] =
            (qd_forecast_entry){entry->job, is_passed_over(f, entry) ? QD_NEVER : place(f, entry)};
}

int qd_forecast_create(const qd_core *core, qd_forecast *out) {
    size_t pending = (size_t)core->jobs.pending.count, active = (size_t)core->jobs.active.count;
    qd_forecast forecast = {.entries = calloc(pending + 1, sizeof *forecast.entries)};
    forecaster f = {
        .core = core, .frontier = qd_frontier_create(core->ranks.count), .from_ns = core->now_ns};
    qd_profile_init(&f.profile);
    int rc = qd_profile_reserve(&f.profile, 2 * (pending + active + QD_RESERVATIONS));
    if (!rc && (!forecast.entries || !f.frontier))
        rc = qd_error_set(QD_ENOMEM, "no memory to forecast %zu jobs", pending);
    if (!rc) {
        if (core->policy->passing == QD_PASSING_BLIND)
            f.from_ns = QD_NEVER;
        add_running(&f);
        place_all(&f, &forecast);
    }
    qd_frontier_destroy(f.frontier);
    qd_profile_fini(&f.profile);
    if (rc)
        qd_forecast_fini(&forecast);
    else
        *out = forecast;
    return rc;
}

void qd_forecast_fini(qd_forecast *forecast) {
    free(forecast->entries);
    *forecast = (qd_forecast){0};
}
