#include "core_witness_internal.h"

#include <string.h>

#include "scheduler/forecast.h"

/* Of ranks, beyond the least. */
static int steps_of(const witness_job *job) {
    return (job->granted - job->submit.ranks_min) / step_of(&job->submit);
}

/* Time for the steps that are left, on so many ranks; INT64_MAX: nothing was measured. */
static int64_t steps_left_ns(const witness_job *job, int ranks) {
    int64_t steps = job->steps > job->step ? job->steps - job->step : 1;
    if (job->step_ns == 0 || job->steps == 0)
        return INT64_MAX;
    int64_t left = steps * job->step_ns * job->step_ranks / ranks;
    return left > 0 ? left : 1;
}

int64_t run_on(const witness_job *job, int ranks) {
    const qd_submission *s = &job->submit;
    int64_t run = steps_left_ns(job, ranks);
    if (run == INT64_MAX && s->estimate_ns > 0) {
        int64_t left = s->estimate_ns > job->done_ns ? s->estimate_ns - job->done_ns : 1;
        run = left * s->ranks_min / ranks;
        run = run > 0 ? run : 1;
    }
    int64_t limit = s->limit_ns > job->run_before_ns ? s->limit_ns - job->run_before_ns : 1;
    return s->limit_ns > 0 && limit < run ? limit : run;
}

/* Whether a comes before b in the queues that nobody may pass. */
static bool comes_before(const witness *w, const witness_job *a, const witness_job *b) {
    bool shortest = strcmp(w->policy, "sjf") == 0;
    int64_t x = run_on(a, a->submit.ranks_min), y = run_on(b, b->submit.ranks_min);
    if (shortest && x != y)
        return x < y;
    return a->submit.job < b->submit.job;
}

static const witness_job *find_head(const witness *w) {
    const witness_job *head = NULL;
    for (int i = 0; i < w->job_count; i++)
        if (waits_for_ranks(w, &w->jobs[i]) && (!head || comes_before(w, &w->jobs[i], head)))
            head = &w->jobs[i];
    return head;
}

bool nobody_was_passed(witness *w) {
    const witness_job *head = find_head(w);
    for (int i = 0; head && i < w->job_count; i++)
        if (w->jobs[i].started_now && comes_before(w, head, &w->jobs[i]))
            return broken(w, "job %lld passed one that waits", (long long)w->jobs[i].submit.job);
    return true;
}

/* Once a prediction has passed, it grows by half and one ns until it lies ahead. */
static int64_t ahead(int64_t start, int64_t run, int64_t now) {
    while (start + run <= now)
        run += run / 2 + 1;
    return start + run;
}

/* From its start on, as its newest attempt has told; INT64_MAX: nobody knows. */
static int64_t running_ns(const witness_job *job) {
    int64_t run = job->size > 0 ? run_on(job, job->size) : INT64_MAX;
    bool measured = run < INT64_MAX && steps_left_ns(job, job->size) < INT64_MAX;
    if (job->told && measured)
        run = job->told_ns - job->start_ns + steps_left_ns(job, job->size);
    return run;
}

/* When a job that holds ranks is predicted to end, if it is not told to save. */
static int64_t running_end(const witness *w, const witness_job *job) {
    int64_t run = running_ns(job);
    if (run == INT64_MAX)
        return run;
    int64_t end = ahead(job->start_ns, run, w->time_ns);
    int64_t limit = job->start_ns + job->submit.limit_ns - job->run_before_ns;
    bool capped = job->submit.limit_ns > 0 && limit > w->time_ns && limit < end;
    return capped ? limit : end;
}

int64_t predicted_end(const witness *w, const witness_job *job) {
    if (job->way_by_ns > 0)
        return ahead(job->stopped_ns, job->way_by_ns - job->stopped_ns, w->time_ns);
    bool saves = job->resized || (job->makes_room && w->by_class);
    return saves ? ahead(job->stopped_ns, job->grace_ns, w->time_ns) : running_end(w, job);
}

int64_t resized_end(const witness *w, const witness_job *job) {
    if (running_ns(job) == INT64_MAX)
        return INT64_MAX;
    int64_t left = ahead(job->start_ns, running_ns(job), job->stopped_ns) - job->stopped_ns;
    if (job->resize_to != job->size)
        left = left * job->size / job->resize_to;
    return predicted_end(w, job) + (left > 0 ? left : 1);
}

/* Ranks that jobs go on with which will have ended by then; *next: when the first one ends after
 * that. */
static uint64_t resized_free_at(const witness *w, int64_t at, bool without_new, int64_t *next) {
    uint64_t ranks = 0;
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *job = &w->jobs[i];
        if (job->resize_to == 0 || (without_new && job->grows_now))
            continue;
        int64_t end = resized_end(w, job);
        if (end <= at)
            ranks |= kept_ranks(w, job);
        else if (end < *next)
            *next = end;
    }
    return ranks;
}

/* As if a job that grows now did not: its new ranks are free, its own once it ends. */
static uint64_t not_grown_free_at(const witness *w, const witness_job *job, int64_t at,
                                  int64_t *next) {
    uint64_t all = kept_ranks(w, job) | ranks_in_service(w, job), fresh = 0;
    for (int rank = 1; rank <= w->worker_ranks; rank++)
        if (w->ranks[rank].kept == job->submit.job && w->ranks[rank].job != job->submit.job)
            fresh |= UINT64_C(1) << (rank - 1);
    int64_t end = running_end(w, job);
    if (end <= at)
        return all;
    *next = end < *next ? end : *next;
    return fresh;
}

/* When enough ranks for the head will be free, as predicted. without_new: as if nothing behind it
 * had started now. INT64_MAX: nobody knows. */
static int64_t promised_start(const witness *w, const witness_job *head, bool without_new) {
    int64_t at = w->time_ns;
    for (;;) {
        int64_t next = INT64_MAX;
        uint64_t unused = ranks_that(w, is_free);
        unused |= resized_free_at(w, at, without_new, &next);
        for (int i = 0; i < w->job_count; i++) {
            const witness_job *job = &w->jobs[i];
            if (without_new && job->grows_now) {
                unused |= not_grown_free_at(w, job, at, &next);
                continue;
            }
            int64_t end = predicted_end(w, job);
            bool passed = job->started_now && comes_before(w, head, job);
            if (job->live > 0 && ((without_new && passed) || end <= at))
                unused |= ranks_in_service(w, job);
            else if (job->live > 0 && end < next)
                next = end;
        }
        bool enough = most_together_of(w, head, unused) >= head->submit.ranks_min;
        if (enough || next == INT64_MAX)
            return enough ? at : INT64_MAX;
        at = next;
    }
}

static bool is_not_delayed(witness *w, const witness_job *head) {
    bool passed = false;
    for (int i = 0; head && i < w->job_count; i++)
        passed = passed || w->jobs[i].grows_now ||
                 (w->jobs[i].started_now && comes_before(w, head, &w->jobs[i]));
    if (!passed)
        return true;
    int64_t promised = promised_start(w, head, true);
    int64_t now = promised_start(w, head, false);
    if (promised == INT64_MAX)
        return broken(w, "job %lld was passed though nobody knows its start",
                      (long long)head->submit.job);
    if (now > promised)
        return broken(w, "job %lld was delayed by backfill from %lld to %lld",
                      (long long)head->submit.job, (long long)promised, (long long)now);
    return true;
}

bool the_head_is_not_delayed(witness *w) {
    return is_not_delayed(w, find_head(w));
}

/* The first to be given what is free; NULL: none is, or somebody more important waits or started.
 */
static const witness_job *find_owed(const witness *w) {
    const witness_job *owed = NULL;
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *job = &w->jobs[i];
        if (waits_for_ranks(w, job) && job->owed_until_ns > w->time_ns &&
            (!owed || job->submit.importance > owed->submit.importance))
            owed = job;
    }
    for (int i = 0; owed && i < w->job_count; i++) {
        const witness_job *job = &w->jobs[i];
        if ((job->started_now || waits_for_ranks(w, job)) &&
            job->submit.importance > owed->submit.importance)
            return NULL;
    }
    return owed;
}

/* Where claims are made, others may have one. */
bool nobody_takes_what_is_owed(witness *w) {
    return w->by_class || is_not_delayed(w, find_owed(w));
}

bool the_head_does_not_wait_for_nothing(witness *w) {
    const witness_job *head = find_head(w);
    if (head && may_start(w) && head->submit.ranks_min <= most_together(w, head, is_free))
        return broken(w, "job %lld waits though it fits", (long long)head->submit.job);
    return true;
}

bool not_all_wait_though_each_fits(witness *w) {
    int waiting = 0;
    if (somebody_saves(w) || w->has_quotas)
        return true;
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *job = &w->jobs[i];
        if (!waits_for_ranks(w, job))
            continue;
        waiting++;
        if (job->submit.ranks_min > most_together(w, job, is_free))
            return true;
    }
    if (waiting > 0 && may_start(w))
        return broken(w, "%d ranks idle and each job would fit", count_ranks(w, is_free));
    return true;
}

/* What is free may be kept for it. */
static bool somebody_may_starve(const witness *w) {
    for (int i = 0; i < w->job_count; i++)
        if (waits_for_ranks(w, &w->jobs[i]) &&
            (w->time_ns - w->jobs[i].submit_ns >= w->patience_ns ||
             w->jobs[i].owed_until_ns > w->time_ns))
            return true;
    return false;
}

bool nobody_waits_beside_idle_ranks(witness *w) {
    bool saving = somebody_saves(w) || somebody_may_starve(w);
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *job = &w->jobs[i];
        if (waits_for_ranks(w, job) && may_start(w) && !saving &&
            job->submit.ranks_min <= most_together(w, job, is_free))
            return broken(w, "job %lld waits beside idle ranks", (long long)job->submit.job);
    }
    return true;
}

bool spare_ranks_are_dealt_fairly(witness *w) {
    for (int i = 0; i < w->team_count; i++)
        if (w->teams[i].most_ranks < INT64_MAX)
            return true; /* the limit may be in the way */
    for (int i = 0; i < w->job_count; i++)
        if (is_choosy(&w->jobs[i]) && (w->jobs[i].started_now || waits_for_ranks(w, &w->jobs[i])))
            return true; /* it takes what is together */
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *a = &w->jobs[i];
        if (!a->started_now || a->granted == a->submit.ranks_max)
            continue;
        if (count_ranks(w, is_free) >= step_of(&a->submit))
            return broken(w, "ranks idle beside job %lld", (long long)a->submit.job);
        for (int j = 0; j < w->job_count; j++) {
            const witness_job *b = &w->jobs[j];
            int more = steps_of(b) - steps_of(a);
            bool alike = step_of(&b->submit) == step_of(&a->submit);
            if (b->started_now && alike && more > (j < i ? 1 : 0))
                return broken(w, "job %lld got %d spare steps more than job %lld",
                              (long long)b->submit.job, more, (long long)a->submit.job);
        }
    }
    return true;
}

/* Ranks that are taken at an instant, if all that is predicted comes true. */
static int taken_at(const witness *w, const qd_forecast *forecast, int64_t at) {
    int taken = 0;
    for (int i = 0; i < w->job_count; i++) {
        const witness_reservation *in = find_reservation(w, w->jobs[i].inside);
        int64_t end = in ? in->is.until_ns : predicted_end(w, &w->jobs[i]);
        if (w->jobs[i].live > 0 && end > at)
            taken += live_in_service(w, &w->jobs[i]);
    }
    for (int i = 0; i < forecast->count; i++) {
        const witness_job *job = witness_find(w, forecast->entries[i].job);
        int64_t start = forecast->entries[i].start_ns, run = run_on(job, job->submit.ranks_min);
        if (start <= at && (run == INT64_MAX || start + run > at))
            taken += job->submit.ranks_min;
    }
    return taken;
}

/* No more ranks are ever taken than there are; only where a job starts can they become too many. */
static bool can_all_be_true(witness *w, const qd_forecast *forecast) {
    int ranks = count_ranks(w, is_in_service);
    for (int i = 0; i < forecast->count; i++) {
        int64_t start = forecast->entries[i].start_ns;
        if (start == INT64_MAX)
            continue;
        if (start < w->time_ns)
            return broken(w, "job %lld is predicted to have started",
                          (long long)forecast->entries[i].job);
        if (taken_at(w, forecast, start) > ranks)
            return broken(w, "job %lld and others cannot start as predicted",
                          (long long)forecast->entries[i].job);
    }
    return true;
}

static bool is_foretold(const qd_forecast *forecast, int64_t job) {
    for (int i = 0; i < forecast->count; i++)
        if (forecast->entries[i].job == job)
            return true;
    return false;
}

bool witness_hears_forecast(witness *w, const qd_core *core) {
    qd_forecast forecast;
    if (qd_forecast_create(core, &forecast))
        return broken(w, "no memory for a forecast");
    bool fine = can_all_be_true(w, &forecast);
    for (int i = 0; fine && i < w->job_count; i++)
        if (waits_for_ranks(w, &w->jobs[i]) && !is_foretold(&forecast, w->jobs[i].submit.job))
            fine = broken(w, "job %lld waits and nothing is foretold of it",
                          (long long)w->jobs[i].submit.job);
    qd_forecast_fini(&forecast);
    return fine;
}
