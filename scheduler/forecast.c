#include "scheduler/forecast.h"

#include <stdlib.h>

#include "runtime/error.h"
#include "scheduler/core_internal.h"
#include "scheduler/together.h"

/* The profile and the frontier of a plan of its own. */
typedef struct forecaster {
    const qd_core *core;
    qd_profile profile;
    qd_frontier *frontier;
    int64_t from_ns; /* no job starts before; QD_NEVER once one has no known start */
} forecaster;

static void add_running(forecaster *f) {
    f->profile.now_free =
        f->core->ranks.in_state[QD_RANK_FREE] + f->core->ranks.in_state[QD_RANK_CLAIMED];
    for (const qd_job_record *job = f->core->jobs.active.first; job; job = job->next) {
        qd_profile_add(&f->profile, job->due_ns, job->planned_ranks);
        qd_profile_add(&f->profile, job->kept_ns, job->kept_ranks);
    }
}

/* What ranks those that start before it will get, nobody knows: only the head's is predicted. */
static int64_t start_of_choosy(const forecaster *f, const qd_job_record *job, bool is_head) {
    if (!is_head)
        return QD_NEVER;
    if (qd_most_ranks(f->core, job, QD_MEASURE_FREE) >= job->entry.ranks)
        return f->from_ns;
    return qd_find_opening(f->core, job).at_ns;
}

static int64_t start_of(const forecaster *f, const qd_queue_entry *entry) {
    const qd_job_record *job = qd_job_of_entry(entry);
    int64_t from = qd_frontier_earliest_ns(f->frontier, entry->ranks, entry->run_ns);
    if (qd_is_choosy(job))
        return start_of_choosy(f, job, entry == qd_queue_first(&f->core->queue));
    from = from > f->from_ns ? from : f->from_ns;
    return qd_profile_earliest(&f->profile, from, entry->ranks, entry->run_ns);
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
    qd_frontier_placed(f->frontier, entry->ranks, entry->run_ns, start);
    return start;
}

static void place_all(forecaster *f, qd_forecast *forecast) {
    const qd_queue *queue = &f->core->queue;
    for (const qd_queue_entry *entry = qd_queue_first(queue); entry;
         entry = qd_queue_next(queue, entry))
        forecast->entries[forecast->count++] = (qd_forecast_entry){entry->job, place(f, entry)};
}

int qd_forecast_create(const qd_core *core, qd_forecast *out) {
    size_t pending = (size_t)core->jobs.pending.count, active = (size_t)core->jobs.active.count;
    qd_forecast forecast = {.entries = calloc(pending + 1, sizeof *forecast.entries)};
    forecaster f = {.core = core, .frontier = qd_frontier_create(), .from_ns = core->now_ns};
    qd_profile_init(&f.profile);
    int rc = qd_profile_reserve(&f.profile, 2 * pending + 2 * active);
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
