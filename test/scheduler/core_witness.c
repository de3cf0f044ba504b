#include "core_witness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "scheduler/policy.h"

void witness_init(witness *w, int worker_ranks, const qd_scheduling *scheduling) {
    memset(w, 0, sizeof *w);
    w->worker_ranks = worker_ranks;
    w->policy = qd_policy_names[scheduling->policy];
    w->by_class = strcmp(w->policy, "multifactor") == 0 && scheduling->preempt_by != 0;
    w->preempts = strcmp(w->policy, "attained") == 0 || w->by_class;
    w->min_run_ns = (int64_t)(scheduling->min_run_s * 1e9);
    w->grace_ns = (int64_t)(scheduling->save_grace_s * 1e9);
    w->account_jobs = scheduling->account_jobs;
    w->account_ranks = scheduling->account_ranks;
    w->time_ns = INT64_MIN;
}

static bool broken(witness *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool broken(witness *w, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(w->broken, sizeof w->broken, fmt, ap);
    va_end(ap);
    return false;
}

witness_job *witness_find(const witness *w, int64_t job) {
    for (int i = 0; i < w->job_count; i++)
        if (w->jobs[i].submit.job == job)
            return (witness_job *)&w->jobs[i];
    return NULL;
}

int witness_live_members(const witness *w, int64_t job, int ranks[WITNESS_MAX_RANKS]) {
    int count = 0;
    for (int rank = 1; rank <= w->worker_ranks; rank++)
        if (w->ranks[rank].job == job)
            ranks[count++] = rank;
    return count;
}

static bool over(qd_job_state state) {
    return state == QD_STATE_COMPLETED || state == QD_STATE_FAILED || state == QD_STATE_CANCELLED ||
           state == QD_STATE_PREEMPTED || state == QD_STATE_TIMEOUT;
}

/* Reads "KIND:JOB" from a list with commas; NULL behind the last. */
static const char *read_after(const char *text, char kind[8], long long *job) {
    if (!text || sscanf(text, "%7[a-z]:%lld", kind, job) != 2)
        return NULL;
    const char *comma = strchr(text, ',');
    return comma ? comma + 1 : "";
}

/* Counts the jobs that this one waits for, and those whose ends forbid it ever to run. */
static void look_at_after(const witness *w, const witness_job *job, int *waits, int *forbid) {
    char kind[8];
    long long number;
    *waits = *forbid = 0;
    for (const char *at = job->submit.after; (at = read_after(at, kind, &number));) {
        const witness_job *other = witness_find(w, number);
        bool ok = other->state == QD_STATE_COMPLETED;
        if (!over(other->state))
            ++*waits;
        else if (strcmp(kind, "any") != 0 &&
                 (strcmp(kind, "ok") == 0 ? !ok : ok || other->attempt == 0))
            ++*forbid;
    }
}

static int count_ranks(const witness *w, bool (*is)(const witness_rank *)) {
    int count = 0;
    for (int rank = 1; rank <= w->worker_ranks; rank++)
        count += is(&w->ranks[rank]);
    return count;
}

static bool is_alive(const witness_rank *r) {
    return !r->lost;
}

static bool is_free(const witness_rank *r) {
    return r->ready && !r->lost && !r->drained && r->job == 0;
}

static bool is_in_service(const witness_rank *r) {
    return !r->lost && !r->drained;
}

static bool is_on_its_way(const witness_rank *r) {
    return !r->ready && !r->lost;
}

/* In the queue: no hold, begin or other job keeps it out. */
static bool waits_for_ranks(const witness *w, const witness_job *job) {
    int waits, forbid;
    if (job->state != QD_STATE_PENDING)
        return false;
    look_at_after(w, job, &waits, &forbid);
    bool too_wide = job->submit.ranks_min > count_ranks(w, is_in_service);
    return !job->held && !job->limited && !too_wide && job->submit.begin_ns <= w->time_ns &&
           waits == 0;
}

/* ---- what may come in ---- */

static int step_of(const qd_submission *s) {
    return s->ranks_step > 1 ? s->ranks_step : 1;
}

/* Of ranks, beyond the least. */
static int steps_of(const witness_job *job) {
    return (job->granted - job->submit.ranks_min) / step_of(&job->submit);
}

static bool expects_attempt(const witness *w, const qd_event *e) {
    const witness_job *job = witness_find(w, e->job);
    return job && e->attempt >= 1 && e->attempt <= job->attempt;
}

static bool expects_member_ended(const witness *w, const qd_event *e) {
    const witness_job *job = witness_find(w, e->job);
    if (!expects_attempt(w, e) || (int)e->outcome < 0 || e->outcome >= QD_OUTCOMES)
        return false;
    return e->attempt < job->attempt || (job->members >> (e->rank - 1) & 1);
}

/* Those that are drawn are well formed, but may name a job that nobody submitted. */
static bool after_is_known(const witness *w, const qd_event *e) {
    char kind[8];
    long long number;
    for (const char *at = e->submit.after; (at = read_after(at, kind, &number));)
        if (!witness_find(w, number))
            return false;
    return true;
}

bool witness_expects(const witness *w, const qd_event *e) {
    bool rank_exists = e->rank >= 1 && e->rank <= w->worker_ranks;
    if (e->time_ns < w->time_ns || !memchr(e->text, 0, sizeof e->text))
        return false;
    switch ((int)e->kind) {
    case QD_EVENT_WORKER_READY:
    case QD_EVENT_WORKER_LOST:
    case QD_EVENT_RANK_DRAIN:
    case QD_EVENT_RANK_RESUME:
        return rank_exists;
    case QD_EVENT_SUBMIT:
        return !w->closed && e->submit.ranks_min >= 1 &&
               e->submit.ranks_min <= e->submit.ranks_max && e->submit.ranks_step >= 0 &&
               (e->submit.ranks_max - e->submit.ranks_min) % step_of(&e->submit) == 0 &&
               memchr(e->submit.name, 0, sizeof e->submit.name) && e->submit.estimate_ns >= 0 &&
               e->submit.deadline_ns >= 0 && e->submit.limit_ns >= 0 && e->submit.begin_ns >= 0 &&
               (unsigned)e->submit.held <= 1 && (unsigned)e->submit.tells <= 1 &&
               e->submit.array == 0 && after_is_known(w, e) && abs(e->submit.importance) <= 100 &&
               abs(e->submit.nice) <= 1000000 && e->submit.account >= 0 &&
               e->submit.account < QD_ACCOUNTS &&
               e->submit.job > (w->job_count ? w->jobs[w->job_count - 1].submit.job : 0);
    case QD_EVENT_MEMBER_ENDED:
        return rank_exists && expects_member_ended(w, e);
    case QD_EVENT_PROGRESS:
        return expects_attempt(w, e) && e->saved >= 0 && e->saved <= e->step && e->steps >= 0;
    case QD_EVENT_LIMIT:
        return witness_find(w, e->job) != NULL && e->submit.limit_ns >= 0;
    case QD_EVENT_HOLD:
    case QD_EVENT_RELEASE:
    case QD_EVENT_CANCEL:
        return witness_find(w, e->job) != NULL;
    case QD_EVENT_CLOSED:
    case QD_EVENT_DRAIN:
    case QD_EVENT_TIME:
        return true;
    default:
        return false;
    }
}

/* ---- what an event means by itself ---- */

static void member_ended(witness *w, int rank, qd_outcome outcome, int exit_code,
                         const char *failure) {
    witness_job *job = witness_find(w, w->ranks[rank].job);
    w->ranks[rank].job = 0;
    job->live--;
    job->ended[outcome]++;
    if (outcome == QD_OUTCOME_FAILED && job->ended[outcome] == 1) {
        snprintf(job->first_failure, sizeof job->first_failure, "%s", failure);
        job->exit_code = exit_code < 0 ? exit_code : QD_EINTERNAL;
    }
}

static void note_member_ended(witness *w, const qd_event *e) {
    const witness_job *job = witness_find(w, e->job);
    if (w->ranks[e->rank].job == e->job && job->attempt == e->attempt)
        member_ended(w, e->rank, e->outcome, e->exit_code, e->text);
}

static void note_lost(witness *w, const qd_event *e) {
    char failure[QD_EVENT_TEXT_BYTES + 64];
    if (w->ranks[e->rank].lost)
        return;
    w->ranks[e->rank].lost = true;
    snprintf(failure, sizeof failure, "rank %d was lost%s%s", e->rank, e->text[0] ? ": " : "",
             e->text);
    if (w->ranks[e->rank].job)
        member_ended(w, e->rank, QD_OUTCOME_FAILED, QD_ELOST, failure);
}

static void note_submit(witness *w, const qd_event *e) {
    w->jobs[w->job_count++] =
        (witness_job){.submit = e->submit, .state = QD_STATES, .held = e->submit.held};
}

static void note_cancel(witness *w, const qd_event *e) {
    witness_job *job = witness_find(w, e->job);
    if (job->live > 0 && job->ended[QD_OUTCOME_FAILED] == 0 && !job->aborted)
        job->cancelled = true;
}

/* A step takes what it took on average since the attempt's first word. */
static void note_progress(witness *w, const qd_event *e) {
    witness_job *job = witness_find(w, e->job);
    if (job->attempt != e->attempt || job->live == 0)
        return;
    if (!job->told) {
        job->told = true;
        job->first_step = e->step;
        job->first_ns = e->time_ns;
    }
    if (e->step > job->first_step && e->time_ns > job->first_ns)
        job->step_ns = (e->time_ns - job->first_ns) / (e->step - job->first_step);
    job->steps_left = e->steps > e->step ? e->steps - e->step : 1;
    job->measured = e->steps > 0 && job->step_ns > 0;
    job->told_ns = e->time_ns;
}

static void note_event(witness *w, const qd_event *e) {
    w->time_ns = e->time_ns;
    if (e->kind == QD_EVENT_WORKER_READY)
        w->ranks[e->rank].ready = true;
    else if (e->kind == QD_EVENT_WORKER_LOST)
        note_lost(w, e);
    else if (e->kind == QD_EVENT_SUBMIT)
        note_submit(w, e);
    else if (e->kind == QD_EVENT_MEMBER_ENDED)
        note_member_ended(w, e);
    else if (e->kind == QD_EVENT_CANCEL)
        note_cancel(w, e);
    else if (e->kind == QD_EVENT_HOLD || e->kind == QD_EVENT_RELEASE)
        witness_find(w, e->job)->held = e->kind == QD_EVENT_HOLD;
    else if (e->kind == QD_EVENT_RANK_DRAIN || e->kind == QD_EVENT_RANK_RESUME)
        w->ranks[e->rank].drained = e->kind == QD_EVENT_RANK_DRAIN;
    else if (e->kind == QD_EVENT_PROGRESS)
        note_progress(w, e);
    else if (e->kind == QD_EVENT_LIMIT)
        witness_find(w, e->job)->submit.limit_ns = e->submit.limit_ns;
    else if (e->kind == QD_EVENT_CLOSED)
        w->closed = true;
    else if (e->kind == QD_EVENT_DRAIN)
        w->draining = true;
}

/* ---- what may come out ---- */

static bool ranks_are_a_set(const witness *w, const qd_action *a) {
    for (int i = 0; i < a->rank_count; i++)
        if (a->ranks[i] < 1 || a->ranks[i] > w->worker_ranks ||
            (i > 0 && a->ranks[i] <= a->ranks[i - 1]))
            return false;
    return a->rank_count > 0;
}

static bool see_start(witness *w, witness_job *job, const qd_action *a) {
    if (job->state != QD_STATE_RUNNING || job->held)
        return broken(w, "job %lld started though it is held", (long long)a->job);
    if (w->draining)
        return broken(w, "job %lld started after a drain", (long long)a->job);
    if (count_ranks(w, is_on_its_way) > 0)
        return broken(w, "job %lld started before all workers had come", (long long)a->job);
    if (a->rank_count < job->submit.ranks_min || a->rank_count > job->submit.ranks_max ||
        (a->rank_count - job->submit.ranks_min) % step_of(&job->submit) != 0)
        return broken(w, "job %lld got %d ranks", (long long)a->job, a->rank_count);
    if (a->attempt != job->attempt + 1 || a->epoch <= w->epoch || job->live > 0)
        return broken(w, "job %lld: attempt %d, epoch %u", (long long)a->job, a->attempt, a->epoch);
    job->members = 0;
    for (int i = 0; i < a->rank_count; i++) {
        if (!is_free(&w->ranks[a->ranks[i]]))
            return broken(w, "rank %d was given to job %lld though it is not free", a->ranks[i],
                          (long long)a->job);
        w->ranks[a->ranks[i]].job = a->job;
        job->members |= UINT64_C(1) << (a->ranks[i] - 1);
    }
    w->epoch = a->epoch;
    job->attempt = a->attempt;
    job->size = job->live = job->granted = a->rank_count;
    job->start_ns = w->time_ns;
    job->told = job->measured = false;
    job->started_now = true;
    return true;
}

/* Whether it has run, in all its attempts, for its limit. */
static bool is_late(const witness *w, const witness_job *job) {
    int64_t run = job->run_before_ns + (job->live > 0 ? w->time_ns - job->start_ns : 0);
    return job->submit.limit_ns > 0 && run >= job->submit.limit_ns;
}

/* Under preemption by class: it has run for long enough, has something new to save, and somebody of
 * a higher class waits. */
static bool may_make_room(const witness *w, const witness_job *job) {
    bool wanted = false;
    for (int i = 0; i < w->job_count; i++)
        wanted = wanted || (waits_for_ranks(w, &w->jobs[i]) &&
                            w->jobs[i].submit.importance > job->submit.importance);
    return wanted && !job->submit.keeps_ranks && (job->told || !job->submit.tells) &&
           w->time_ns - job->start_ns >= w->min_run_ns;
}

static bool grace_is_over(const witness *w, const witness_job *job) {
    return w->by_class && job->makes_room && w->time_ns - job->stopped_ns >= w->grace_ns;
}

/* STOP and ABORT go to exactly the members that have not ended, once. */
static bool see_order(witness *w, witness_job *job, const qd_action *a) {
    int live[WITNESS_MAX_RANKS];
    int count = witness_live_members(w, a->job, live);
    bool *told = a->kind == QD_ACTION_STOP ? &job->stopped : &job->aborted;
    if (*told || job->aborted)
        return broken(w, "job %lld was told twice to end", (long long)a->job);
    if (a->kind == QD_ACTION_STOP && !w->draining && is_late(w, job))
        job->timed_out = true;
    else if (a->kind == QD_ACTION_STOP && !w->draining && w->preempts &&
             job->state != QD_STATE_PENDING && (!w->by_class || may_make_room(w, job)))
        job->makes_room = true;
    else if (a->kind == QD_ACTION_STOP && !w->draining)
        return broken(w, "job %lld was stopped without a drain", (long long)a->job);
    if (a->attempt != job->attempt || count != a->rank_count ||
        memcmp(live, a->ranks, (size_t)count * sizeof live[0]) != 0)
        return broken(w, "job %lld: %s to others than its live members", (long long)a->job,
                      qd_action_names[a->kind]);
    *told = true;
    if (a->kind == QD_ACTION_STOP) {
        job->stopped_ns = w->time_ns;
        job->stopped_now = true;
    }
    bool hopeless =
        job->ended[QD_OUTCOME_FAILED] || job->ended[QD_OUTCOME_ABORTED] || job->cancelled;
    job->cut = a->kind == QD_ACTION_ABORT && !hopeless && grace_is_over(w, job);
    return true;
}

/* The end that the members' words add up to. */
static qd_job_state right_end(const witness *w, const witness_job *job) {
    if (job->size == 0 && is_late(w, job))
        return QD_STATE_TIMEOUT;
    if (job->size == 0)
        return QD_STATE_CANCELLED;
    if (job->ended[QD_OUTCOME_DONE] == job->size)
        return QD_STATE_COMPLETED;
    if (job->cancelled)
        return QD_STATE_CANCELLED;
    if (job->ended[QD_OUTCOME_FAILED])
        return QD_STATE_FAILED;
    if (job->ended[QD_OUTCOME_ABORTED] && !job->cut)
        return QD_STATE_CANCELLED;
    /* Ended just now: its last attempt is not yet in run_before_ns. */
    int64_t run = job->run_before_ns + w->time_ns - job->start_ns;
    bool used_up = job->submit.limit_ns > 0 && run >= job->submit.limit_ns;
    if (job->timed_out || (job->makes_room && used_up))
        return QD_STATE_TIMEOUT;
    return job->makes_room && !w->draining ? QD_STATE_PENDING : QD_STATE_PREEMPTED;
}

/* Saved, and back in the queue. */
static void requeue(const witness *w, witness_job *job) {
    job->run_before_ns += w->time_ns - job->start_ns;
    job->size = job->live = 0;
    job->members = 0;
    memset(job->ended, 0, sizeof job->ended);
    job->stopped = job->aborted = job->makes_room = job->cut = false;
    job->state = QD_STATE_PENDING;
}

static bool see_state(witness *w, witness_job *job, const qd_action *a) {
    if (over(job->state))
        return broken(w, "job %lld left its last state", (long long)a->job);
    if (!a->reason || !a->reason[0])
        return broken(w, "job %lld is %s for no reason", (long long)a->job,
                      qd_job_state_names[a->state]);
    bool ended = job->size > 0 && job->live == 0;
    if (a->state == QD_STATE_PENDING && ended && right_end(w, job) == QD_STATE_PENDING) {
        requeue(w, job);
        return true;
    }
    if (a->state == job->state || (a->state == QD_STATE_PENDING && job->state != QD_STATES))
        return broken(w, "job %lld became %s", (long long)a->job, qd_job_state_names[a->state]);
    if (over(a->state) && (job->live > 0 || a->state != right_end(w, job)))
        return broken(w, "job %lld ended as %s with %d members left, not as %s", (long long)a->job,
                      qd_job_state_names[a->state], job->live,
                      qd_job_state_names[right_end(w, job)]);
    if (a->state == QD_STATE_FAILED &&
        (a->exit_code != job->exit_code ||
         (job->first_failure[0] && strcmp(a->reason, job->first_failure) != 0)))
        return broken(w, "job %lld failed with code %d: %s", (long long)a->job, a->exit_code,
                      a->reason);
    job->state = a->state;
    return true;
}

static bool see_shutdown(witness *w, const qd_event *event) {
    if (w->shut_down || !(w->closed || w->draining))
        return broken(w, "shutdown after %s comes twice or too early", qd_event_names[event->kind]);
    w->shut_down = true;
    return true;
}

static bool see_action(witness *w, const qd_event *event, const qd_action *a) {
    if (w->shut_down)
        return broken(w, "%s after SHUTDOWN in one event", qd_action_names[a->kind]);
    if (a->kind == QD_ACTION_SHUTDOWN)
        return see_shutdown(w, event);
    witness_job *job = witness_find(w, a->job);
    if (!job)
        return broken(w, "an action for job %lld, which nobody submitted", (long long)a->job);
    if (a->kind == QD_ACTION_JOB_STATE)
        return see_state(w, job, a);
    if (!ranks_are_a_set(w, a))
        return broken(w, "%s of job %lld: its ranks are no ascending set of workers",
                      qd_action_names[a->kind], (long long)a->job);
    return a->kind == QD_ACTION_START ? see_start(w, job, a) : see_order(w, job, a);
}

/* ---- what must hold between events ---- */

static int64_t estimate(const witness_job *job) {
    int64_t run = job->submit.estimate_ns > 0 ? job->submit.estimate_ns : INT64_MAX;
    return job->submit.limit_ns > 0 && job->submit.limit_ns < run ? job->submit.limit_ns : run;
}

/* Whether a comes before b in the queues that nobody may pass. */
static bool comes_before(const witness *w, const witness_job *a, const witness_job *b) {
    bool shortest = strcmp(w->policy, "sjf") == 0;
    if (shortest && estimate(a) != estimate(b))
        return estimate(a) < estimate(b);
    return a->submit.job < b->submit.job;
}

static const witness_job *find_head(const witness *w) {
    const witness_job *head = NULL;
    for (int i = 0; i < w->job_count; i++)
        if (waits_for_ranks(w, &w->jobs[i]) && (!head || comes_before(w, &w->jobs[i], head)))
            head = &w->jobs[i];
    return head;
}

static bool nobody_was_passed(witness *w) {
    const witness_job *head = find_head(w);
    for (int i = 0; head && i < w->job_count; i++)
        if (w->jobs[i].started_now && comes_before(w, head, &w->jobs[i]))
            return broken(w, "job %lld passed one that waits", (long long)w->jobs[i].submit.job);
    return true;
}

/* When a job that holds ranks is predicted to end: once a prediction has passed, it grows by half
 * and one ns until it lies ahead. */
static int64_t predicted_end(const witness *w, const witness_job *job) {
    int64_t run = estimate(job);
    if (job->measured)
        run = job->told_ns - job->start_ns + job->steps_left * job->step_ns;
    if (run == INT64_MAX)
        return run;
    while (job->start_ns + run <= w->time_ns)
        run += run / 2 + 1;
    int64_t limit = job->start_ns + job->submit.limit_ns;
    bool capped = limit > w->time_ns && limit < job->start_ns + run;
    return capped ? limit : job->start_ns + run;
}

/* Ranks that others can have when it ends. */
static int live_in_service(const witness *w, const witness_job *job) {
    int count = 0;
    for (int rank = 1; rank <= w->worker_ranks; rank++)
        count += w->ranks[rank].job == job->submit.job && is_in_service(&w->ranks[rank]);
    return count;
}

/* When enough ranks for the head will be free, as predicted. without_new: as if nothing behind it
 * had started now. INT64_MAX: nobody knows. */
static int64_t promised_start(const witness *w, const witness_job *head, bool without_new) {
    int64_t at = w->time_ns;
    for (;;) {
        int64_t next = INT64_MAX;
        int unused = count_ranks(w, is_free);
        for (int i = 0; i < w->job_count; i++) {
            const witness_job *job = &w->jobs[i];
            int64_t end = predicted_end(w, job);
            bool passed = job->started_now && comes_before(w, head, job);
            if (job->live > 0 && ((without_new && passed) || end <= at))
                unused += live_in_service(w, job);
            else if (job->live > 0 && end < next)
                next = end;
        }
        if (unused >= head->submit.ranks_min || next == INT64_MAX)
            return unused >= head->submit.ranks_min ? at : INT64_MAX;
        at = next;
    }
}

/* Backfill: what starts behind the head leaves it the start that it was promised. Only jobs behind
 * the present head can have started without it: those before it are not pending any more. */
static bool the_head_is_not_delayed(witness *w) {
    const witness_job *head = find_head(w);
    bool passed = false;
    for (int i = 0; head && i < w->job_count; i++)
        passed = passed || (w->jobs[i].started_now && comes_before(w, head, &w->jobs[i]));
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

/* What the others of its account hold, or wait for ranks with. */
static void count_account(const witness *w, const witness_job *job, bool with_queue, int64_t *jobs,
                          int64_t *ranks) {
    *jobs = *ranks = 0;
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *other = &w->jobs[i];
        bool waits = with_queue && waits_for_ranks(w, other);
        if (other == job || other->submit.account != job->submit.account ||
            (other->live == 0 && !waits))
            continue;
        *jobs += 1;
        *ranks += other->live > 0 ? other->size : other->submit.ranks_min;
    }
}

/* Somebody else of its account waits for the account before it. */
static bool has_to_queue(const witness *w, const witness_job *job) {
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *other = &w->jobs[i];
        int lead = other->submit.importance - job->submit.importance;
        if (other != job && other->submit.account == job->submit.account && other->limited &&
            (lead > 0 || (lead == 0 && other->submit.job < job->submit.job)))
            return true;
    }
    return false;
}

static bool accounts_keep_their_limits(witness *w) {
    int64_t most_jobs = w->account_jobs ? w->account_jobs : INT64_MAX;
    int64_t most_ranks = w->account_ranks ? w->account_ranks : INT64_MAX;
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *job = &w->jobs[i];
        int64_t jobs, ranks;
        count_account(w, job, false, &jobs, &ranks);
        if (job->live > 0 && (jobs + 1 > most_jobs || ranks + job->size > most_ranks))
            return broken(w, "job %lld is too much for its account", (long long)job->submit.job);
        if (job->state == QD_STATE_PENDING && job->submit.ranks_min > most_ranks)
            return broken(w, "job %lld waits for more than its account may hold",
                          (long long)job->submit.job);
        count_account(w, job, true, &jobs, &ranks);
        if (job->limited && !has_to_queue(w, job) && jobs + 1 <= most_jobs &&
            ranks + job->submit.ranks_min <= most_ranks)
            return broken(w, "job %lld waits though its account may hold it",
                          (long long)job->submit.job);
    }
    return true;
}

/* Nobody waits for what will never be. */
static bool nobody_waits_for_ever(witness *w) {
    int alive = count_ranks(w, is_alive);
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *job = &w->jobs[i];
        int waits, forbid;
        look_at_after(w, job, &waits, &forbid);
        if (job->state == QD_STATE_PENDING &&
            (w->draining || job->submit.ranks_min > alive || forbid > 0))
            return broken(w, "job %lld waits for ever", (long long)job->submit.job);
    }
    return true;
}

static bool may_start(const witness *w) {
    return !w->draining && count_ranks(w, is_on_its_way) == 0;
}

static bool the_head_does_not_wait_for_nothing(witness *w) {
    const witness_job *head = find_head(w);
    if (head && may_start(w) && head->submit.ranks_min <= count_ranks(w, is_free))
        return broken(w, "job %lld waits though it fits", (long long)head->submit.job);
    return true;
}

static bool somebody_saves(const witness *w) {
    bool saves = false;
    for (int i = 0; i < w->job_count; i++)
        saves = saves || (w->jobs[i].makes_room && w->jobs[i].live > 0);
    return saves;
}

/* Whoever the head is, it would fit; what is being saved may be kept for another. */
static bool not_all_wait_though_each_fits(witness *w) {
    int widest = 0;
    if (somebody_saves(w))
        return true;
    for (int i = 0; i < w->job_count; i++)
        if (waits_for_ranks(w, &w->jobs[i]) && w->jobs[i].submit.ranks_min > widest)
            widest = w->jobs[i].submit.ranks_min;
    if (widest > 0 && may_start(w) && widest <= count_ranks(w, is_free))
        return broken(w, "%d ranks idle and each job would fit", count_ranks(w, is_free));
    return true;
}

/* What is free or being saved would not be enough for who waits first with a claim, had one of
 * those that were told just now been let off. Who that is, the witness does not know: some job of a
 * higher class, for whom each of them was needed. */
static bool nobody_makes_room_for_nothing(witness *w) {
    int ranks = count_ranks(w, is_free);
    for (int i = 0; i < w->job_count; i++)
        ranks += w->jobs[i].makes_room ? live_in_service(w, &w->jobs[i]) : 0;
    for (int i = 0; w->by_class && i < w->job_count; i++) {
        const witness_job *job = &w->jobs[i];
        int64_t wanted = 0;
        if (!job->makes_room || job->live == 0 || !job->stopped_now)
            continue;
        for (int k = 0; k < w->job_count; k++)
            if (waits_for_ranks(w, &w->jobs[k]) &&
                w->jobs[k].submit.importance > job->submit.importance)
                wanted += w->jobs[k].submit.ranks_min;
        if (wanted <= ranks - live_in_service(w, job))
            return broken(w, "job %lld makes room for nothing", (long long)job->submit.job);
    }
    return true;
}

/* Where ranks are given to whoever fits. */
static bool nobody_waits_beside_idle_ranks(witness *w) {
    bool saving = somebody_saves(w);
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *job = &w->jobs[i];
        if (waits_for_ranks(w, job) && may_start(w) && !saving &&
            job->submit.ranks_min <= count_ranks(w, is_free))
            return broken(w, "job %lld waits beside idle ranks", (long long)job->submit.job);
    }
    return true;
}

/* Of two jobs that started together, dealt round robin in order: one below its most has at most one
 * spare rank less than an earlier, none less than a later; and no rank is left. */
static bool spare_ranks_are_dealt_fairly(witness *w) {
    if (w->account_ranks > 0)
        return true; /* an account's limit may be in the way */
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

/* Whoever cannot go on was told so; whoever was not told goes on. */
static bool members_know_their_orders(witness *w) {
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *job = &w->jobs[i];
        if (over(job->state) && job->live == 0)
            continue; /* checked when it ended */
        bool hopeless = job->ended[QD_OUTCOME_FAILED] || job->ended[QD_OUTCOME_ABORTED] ||
                        job->cancelled || job->cut;
        if (job->live > 0 && hopeless != job->aborted)
            return broken(w, "job %lld: its members were told wrongly", (long long)job->submit.job);
        if (job->live > 0 && w->draining && !job->stopped && !job->aborted)
            return broken(w, "job %lld trains on after a drain", (long long)job->submit.job);
        bool part_ended = job->live < job->size || job->stopped || job->aborted;
        qd_job_state right = job->size == 0   ? QD_STATE_PENDING
                             : job->live == 0 ? right_end(w, job)
                             : part_ended     ? QD_STATE_COMPLETING
                                              : QD_STATE_RUNNING;
        if (job->state != right)
            return broken(w, "job %lld is %s with %d of %d members left",
                          (long long)job->submit.job, qd_job_state_names[job->state], job->live,
                          job->size);
    }
    return true;
}

static bool shutdown_comes_when_due(witness *w) {
    bool due = w->closed || w->draining;
    for (int i = 0; i < w->job_count; i++)
        due = due && over(w->jobs[i].state);
    /* After it, a drained cluster still takes submissions, only to cancel them. */
    if (due != w->shut_down)
        return broken(w, due ? "no shutdown though nothing is left" : "shutdown with jobs left");
    return true;
}

static bool views_agree(witness *w, const qd_core *core) {
    if (qd_core_job_count(core) != w->job_count)
        return broken(w, "%d jobs in view, %d submitted", qd_core_job_count(core), w->job_count);
    for (int i = 0; i < w->job_count; i++) {
        const witness_job *job = &w->jobs[i];
        qd_job_view view;
        qd_core_job(core, i, &view);
        if (view.job != job->submit.job || view.state != job->state ||
            view.attempt != job->attempt || view.rank_count != job->size || !view.reason[0] ||
            strcmp(view.name, job->submit.name) != 0)
            return broken(w, "the view of job %lld is wrong", (long long)job->submit.job);
    }
    return true;
}

static bool nobody_saves_past_the_grace(witness *w) {
    for (int i = 0; i < w->job_count; i++)
        if (w->jobs[i].live > 0 && grace_is_over(w, &w->jobs[i]) && !w->jobs[i].aborted)
            return broken(w, "job %lld saves for ever", (long long)w->jobs[i].submit.job);
    return true;
}

static bool nobody_runs_past_its_limit(witness *w) {
    for (int i = 0; i < w->job_count; i++)
        if (w->jobs[i].state == QD_STATE_RUNNING && is_late(w, &w->jobs[i]))
            return broken(w, "job %lld runs past its limit", (long long)w->jobs[i].submit.job);
    return true;
}

/* What each policy promises at the end of an instant. */
static const struct {
    const char *policy;
    bool (*promises[4])(witness *w);
} promises[] = {
    {"fifo", {nobody_was_passed, the_head_does_not_wait_for_nothing, spare_ranks_are_dealt_fairly}},
    {"sjf", {nobody_was_passed, the_head_does_not_wait_for_nothing}},
    {"easy", {the_head_is_not_delayed, the_head_does_not_wait_for_nothing}},
    {"conservative", {the_head_is_not_delayed, the_head_does_not_wait_for_nothing}},
    {"multifactor", {not_all_wait_though_each_fits, nobody_makes_room_for_nothing}},
    {"attained", {nobody_waits_beside_idle_ranks}},
};

static bool decided_rightly(witness *w) {
    for (size_t i = 0; i < sizeof promises / sizeof promises[0]; i++)
        for (int k = 0; strcmp(promises[i].policy, w->policy) == 0 && promises[i].promises[k]; k++)
            if (!promises[i].promises[k](w))
                return false;
    return true;
}

/* Which jobs their accounts keep out of the queue, in the core's own words: whether rightly so is
 * checked (accounts_keep_their_limits). */
static void note_limits(witness *w, const qd_core *core) {
    for (int i = 0; i < w->job_count && i < qd_core_job_count(core); i++) {
        qd_job_view view;
        qd_core_job(core, i, &view);
        w->jobs[i].limited = view.state == QD_STATE_PENDING &&
                             strncmp(view.reason, "AssocGrp", strlen("AssocGrp")) == 0;
    }
}

bool witness_see(witness *w, const qd_event *event, const qd_action_list *actions,
                 const qd_core *core) {
    bool was_shut_down = w->shut_down;
    for (int i = 0; i < w->job_count; i++)
        w->jobs[i].started_now = w->jobs[i].stopped_now = false;
    note_event(w, event);
    note_limits(w, core);
    /* Lets see_action tell "again" from "earlier in this event". */
    w->shut_down = false;
    for (int i = 0; i < actions->count; i++) {
        if (was_shut_down && actions->actions[i].kind == QD_ACTION_SHUTDOWN)
            return broken(w, "a second SHUTDOWN");
        if (!see_action(w, event, &actions->actions[i]))
            return false;
    }
    w->shut_down = w->shut_down || was_shut_down;
    return (event->more || (decided_rightly(w) && nobody_runs_past_its_limit(w) &&
                            nobody_saves_past_the_grace(w))) &&
           accounts_keep_their_limits(w) && nobody_waits_for_ever(w) &&
           members_know_their_orders(w) && shutdown_comes_when_due(w) && views_agree(w, core);
}
