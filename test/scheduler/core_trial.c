#include "core_trial.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "runtime/error.h"
#include "scheduler/actions.h"
#include "scheduler/policy.h"
#include "scheduler/why.h"

enum { MAX_WORKERS = 12, MAX_JOB_GAP = 3, TICK_NS = 200000000 };

uint32_t trial_draw_splitmix(void *seed, uint32_t n) {
    uint64_t *state = seed;
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ (z >> 31)) >> 32) % n;
}

static uint32_t draw(trial *t, uint32_t n) {
    return t->source.draw(t->source.context, n);
}

/* Quanta and limits such that a history of a hundred events meets them. */
static void choose_policy(trial *t) {
    int policies = 0;
    while (qd_policy_names[policies])
        policies++;
    qd_scheduling_defaults(&t->scheduling);
    t->scheduling.policy = (int)draw(t, (uint32_t)policies);
    t->scheduling.quantum_s = 1;
    t->scheduling.preempt_by = (int)draw(t, 3);
    t->scheduling.grow = draw(t, 2);
    t->scheduling.grow_min_run_s = draw(t, 2);
    t->scheduling.grow_cost_s = draw(t, 2) * 0.1;
    t->scheduling.min_run_s = draw(t, 3);
    t->scheduling.save_grace_s = 1 + draw(t, 3);
    t->scheduling.spare_wait_s = draw(t, 4);
    t->scheduling.swap = draw(t, 2);
    t->scheduling.migrate = draw(t, 2);
    t->scheduling.migrate_per_hour = draw(t, 4);
    t->scheduling.migrate_cost_s = draw(t, 2) * 0.1;
    t->scheduling.swap_cost_s = draw(t, 2) * 0.1;
    t->scheduling.account_jobs = draw(t, 2) ? 0 : 1 + draw(t, 4);
    t->scheduling.account_ranks = draw(t, 2) ? 0 : 2 + draw(t, 8);
    for (int i = 0; i < QD_ATTAINED_QUEUES - 1; i++)
        t->scheduling.limits[i] = 1 << i;
}

/* p with members u and v, and q beside it; 1 to 3 are accounts. */
enum { FIRST_ACCOUNT = 1, TREE_TEAMS = 4 };

static qd_optional_int draw_some(trial *t, uint32_t most) {
    return (qd_optional_int){.given = draw(t, 2), .value = draw(t, most + 1)};
}

/* Quotas only where they can be called back. */
static void choose_teams(trial *t, int workers) {
    static const char *const names[][2] = {{"p", "none"}, {"u", "p"}, {"v", "p"}, {"q", "none"}};
    int multifactor = qd_policy_find("multifactor");
    if (draw(t, 2))
        t->scheduling.policy = multifactor;
    bool quotas = t->scheduling.policy == multifactor;
    uint32_t left = (uint32_t)workers;
    t->scheduling.team_count = TREE_TEAMS;
    for (int i = 0; i < TREE_TEAMS; i++) {
        qd_team_entry *team = &t->scheduling.teams[i];
        snprintf(team->name, sizeof team->name, "%s", names[i][0]);
        snprintf(team->parent, sizeof team->parent, "%s", names[i][1]);
        team->lends = draw(t, 4) > 0;
        team->shares = draw(t, 3);
        if (draw(t, 3) == 0)
            team->jobs = draw_some(t, 4);
        if (draw(t, 3) == 0)
            team->ranks = draw_some(t, (uint32_t)workers);
        if (!quotas || i == 0)
            continue;
        team->quota = draw_some(t, left);
        left -= team->quota.given ? (uint32_t)team->quota.value : 0;
    }
    qd_team_entry *p = t->scheduling.teams, *u = p + 1, *v = p + 2;
    int64_t members = (u->quota.given ? u->quota.value : 0) + (v->quota.given ? v->quota.value : 0);
    p->quota.given = quotas && draw(t, 2);
    p->quota.value = members + draw(t, left + 1);
}

static bool begin(trial *t, int workers) {
    witness_init(&t->witness, workers, &t->scheduling);
    return qd_core_create(workers, &t->scheduling, &t->core) == 0 &&
           qd_core_create(workers, &t->scheduling, &t->twin) == 0;
}

bool trial_begin(trial *t, trial_source source) {
    memset(t, 0, sizeof *t);
    t->source = source;
    int workers = 1 + (int)draw(t, MAX_WORKERS);
    t->has_places = draw(t, 2);
    choose_policy(t);
    t->reserves = draw(t, 2);
    if (draw(t, 2))
        choose_teams(t, workers);
    return begin(t, workers);
}

bool trial_begin_sharing(trial *t, trial_source source) {
    memset(t, 0, sizeof *t);
    t->source = source;
    int workers = 4 + (int)draw(t, MAX_WORKERS - 3);
    t->reserves = draw(t, 4) == 0;
    choose_policy(t);
    t->scheduling.policy = qd_policy_find("multifactor");
    t->scheduling.min_run_s = 0;
    t->scheduling.account_jobs = t->scheduling.account_ranks = 0;
    choose_teams(t, workers);
    return begin(t, workers);
}

bool trial_begin_with(trial *t, trial_source source, int workers, const qd_scheduling *scheduling) {
    memset(t, 0, sizeof *t);
    t->source = source;
    t->scheduling = *scheduling;
    return begin(t, workers);
}

void trial_end(trial *t) {
    qd_core_destroy(t->core);
    qd_core_destroy(t->twin);
}

/* ---- drawing ---- */

static const char *const texts[] = {"", "why not", "disk full", "silent for 10 s"};

static void draw_text(trial *t, qd_event *e) {
    snprintf(e->text, sizeof e->text, "%s", texts[draw(t, 4)]);
}

static void draw_any_rank(trial *t, qd_event *e) {
    e->rank = 1 + (int)draw(t, (uint32_t)t->witness.worker_ranks);
}

static void draw_ready(trial *t, qd_event *e) {
    draw_any_rank(t, e);
    for (int i = 0; i < t->witness.worker_ranks && t->witness.ranks[e->rank].ready; i++)
        e->rank = e->rank % t->witness.worker_ranks + 1;
    if (!t->has_places)
        return;
    e->place = (qd_place){.host = 1 + (int)draw(t, 2), .island = (int)draw(t, 3)};
    e->place.memory_bytes = draw(t, 4) ? 2 : 1;
}

static void draw_lost(trial *t, qd_event *e) {
    draw_any_rank(t, e);
    draw_text(t, e);
}

static int64_t last_job(const trial *t) {
    int n = t->witness.job_count;
    return n > 0 ? t->witness.jobs[n - 1].submit.job : 0;
}

/* Up to three jobs, mostly some that there are. */
static void draw_after(trial *t, qd_event *e) {
    static const char *const kinds[] = {"any", "ok", "notok"};
    int count = draw(t, 3) ? 0 : 1 + (int)draw(t, 3);
    size_t at = 0;
    for (int i = 0; i < count && t->witness.job_count > 0; i++) {
        int64_t job = t->witness.jobs[draw(t, (uint32_t)t->witness.job_count)].submit.job;
        job += draw(t, 30) == 0;
        at += (size_t)snprintf(e->submit.after + at, sizeof e->submit.after - at, "%s%s:%lld",
                               i > 0 ? "," : "", kinds[draw(t, 3)], (long long)job);
    }
}

/* Some share a few names; some of these run alone. */
static void draw_singleton(trial *t, qd_event *e) {
    size_t at = strlen(e->submit.after);
    if (draw(t, 4) > 0)
        return;
    snprintf(e->submit.name, sizeof e->submit.name, "same");
    if (draw(t, 2))
        snprintf(e->submit.after + at, sizeof e->submit.after - at, "%ssingleton", at ? "," : "");
}

static void draw_submit(trial *t, qd_event *e) {
    uint32_t workers = (uint32_t)t->witness.worker_ranks;
    e->submit.job = last_job(t) + 1 + draw(t, MAX_JOB_GAP);
    /* Seldom wider than the world. */
    e->submit.ranks_min = 1 + (int)draw(t, draw(t, 8) ? (workers + 1) / 2 : workers + 2);
    e->submit.ranks_max = e->submit.ranks_min + (int)draw(t, workers + 1);
    e->submit.estimate_ns = draw(t, 4) ? (1 + draw(t, 40)) * (int64_t)TICK_NS : 0;
    e->submit.limit_ns = draw(t, 2) ? 0 : (1 + draw(t, 12)) * (int64_t)TICK_NS;
    e->submit.held = draw(t, 10) == 0;
    e->submit.tells = (int)draw(t, 2);
    e->submit.keeps_ranks = draw(t, 8) == 0;
    e->submit.begin_ns = draw(t, 6) ? 0 : e->time_ns + draw(t, 10) * (int64_t)TICK_NS;
    draw_after(t, e);
    e->submit.deadline_ns = draw(t, 4) ? 0 : e->time_ns + draw(t, 100) * (int64_t)TICK_NS;
    e->submit.importance = (int)draw(t, 5) - 2;
    e->submit.nice = (int)draw(t, 200) - 100;
    e->submit.account = (int)draw(t, 3) + (t->scheduling.team_count > 0 ? FIRST_ACCOUNT : 0);
    e->submit.demand.peers = draw(t, 2) ? 0 : (int)draw(t, 4);
    e->submit.demand.within = draw(t, 3) ? QD_WITHIN_ANYTHING : (int)draw(t, QD_WITHINS);
    e->submit.demand.memory_bytes = draw(t, 4) ? 0 : draw(t, 4);
    if (draw(t, 3) == 0) { /* a gang of whole groups */
        e->submit.ranks_step = 1 + (int)draw(t, 3);
        e->submit.ranks_max -= (e->submit.ranks_max - e->submit.ranks_min) % e->submit.ranks_step;
    }
    if (t->witness.reservation_count > 0 && draw(t, 3) == 0)
        e->submit.reservation = 1 + draw(t, (uint32_t)t->witness.reservation_count + 1);
    snprintf(e->submit.name, sizeof e->submit.name, "j%lld", (long long)e->submit.job);
    draw_singleton(t, e);
}

static qd_outcome draw_answer(trial *t, const witness_job *job) {
    static const qd_outcome aborted[] = {QD_OUTCOME_ABORTED, QD_OUTCOME_ABORTED, QD_OUTCOME_FAILED,
                                         QD_OUTCOME_DONE};
    static const qd_outcome stopped[] = {QD_OUTCOME_SAVED, QD_OUTCOME_SAVED, QD_OUTCOME_SAVED,
                                         QD_OUTCOME_DONE};
    if (job->aborted)
        return aborted[draw(t, 4)];
    if (job->stopped || job->resize_to > 0)
        return draw(t, 16) ? stopped[draw(t, 4)] : (qd_outcome)draw(t, QD_OUTCOMES);
    return draw(t, 8) ? QD_OUTCOME_DONE : (qd_outcome)draw(t, QD_OUTCOMES);
}

/* A member that has not ended answers, if there is one. */
static void draw_answer_of_member(trial *t, qd_event *e) {
    draw_any_rank(t, e);
    for (int i = 0; i < t->witness.worker_ranks && t->witness.ranks[e->rank].job == 0; i++)
        e->rank = e->rank % t->witness.worker_ranks + 1;
    e->job = t->witness.ranks[e->rank].job;
    const witness_job *job = witness_find(&t->witness, e->job);
    e->attempt = job ? job->attempt : 1;
    e->outcome = job ? draw_answer(t, job) : QD_OUTCOME_DONE;
    e->exit_code = -(int)draw(t, 11);
    draw_text(t, e);
}

static void draw_cancel(trial *t, qd_event *e) {
    int n = t->witness.job_count;
    e->job = n > 0 ? t->witness.jobs[draw(t, (uint32_t)n)].submit.job : 1;
    draw_text(t, e);
}

static void draw_limit(trial *t, qd_event *e) {
    draw_cancel(t, e);
    e->submit.limit_ns = draw(t, 60) * (int64_t)TICK_NS;
}

/* Mostly of one that runs, to a size that it may have. */
static void draw_resize(trial *t, qd_event *e) {
    draw_answer_of_member(t, e);
    const witness_job *job = witness_find(&t->witness, e->job);
    if (!job)
        return;
    const qd_submission *s = &job->submit;
    int step = s->ranks_step > 1 ? s->ranks_step : 1;
    int sizes = (s->ranks_max - s->ranks_min) / step + 1;
    e->submit.ranks_min = s->ranks_min + step * (int)draw(t, (uint32_t)sizes);
    e->submit.ranks_min += draw(t, 16) == 0;
}

/* Mostly forward. */
static void draw_progress(trial *t, qd_event *e) {
    draw_answer_of_member(t, e);
    e->step = draw(t, 40);
    e->saved = draw(t, 8) ? draw(t, (uint32_t)e->step + 1) : e->step + 1;
    e->steps = draw(t, 4) ? 20 + draw(t, 100) : 0;
}

/* Soon and short; some come again, some do not fit. Half of the histories do without. */
static void draw_reserve(trial *t, qd_event *e) {
    static const int64_t every[] = {0, 0, 25, 50};
    if (!t->reserves || t->witness.reservation_count == WITNESS_MAX_RESERVATIONS) {
        e->kind = QD_EVENT_TIME;
        return;
    }
    qd_reservation *r = &e->reserve;
    r->number = 1 + t->witness.reservation_count;
    r->kind = draw(t, 6) == 0;
    r->ranks = r->kind == QD_RESERVATION_MAINTENANCE
                   ? 0
                   : 1 + (int)draw(t, (uint32_t)t->witness.worker_ranks + draw(t, 2));
    r->account = (int)draw(t, 5) - 1;
    r->account = r->account > 2 ? -1 : r->account;
    r->from_ns = e->time_ns + draw(t, 30) * (int64_t)TICK_NS;
    r->until_ns = r->from_ns + (1 + draw(t, 12)) * (int64_t)TICK_NS;
    r->every_ns = every[draw(t, 4)] * (int64_t)TICK_NS;
    snprintf(r->name, sizeof r->name, "r%lld", (long long)r->number);
}

static void draw_unreserve(trial *t, qd_event *e) {
    e->reserve.number = 1 + draw(t, (uint32_t)t->witness.reservation_count + 1);
}

static void draw_priority(trial *t, qd_event *e) {
    e->job = 1 + draw(t, (uint32_t)last_job(t) + 1);
    e->submit.importance = (int)draw(t, 6) - 2;
    e->submit.importance *= draw(t, 30) ? 1 : 60;
}

/* Every fourth rank is slow, more or less. */
static void draw_rank_time(trial *t, qd_event *e) {
    draw_answer_of_member(t, e);
    e->busy_ns = (e->rank % 4 == 0 ? 200 : 100) + (int64_t)draw(t, 40);
}

/* Late or impossible: any job, any attempt, any rank, any kind. */
static void draw_nonsense(trial *t, qd_event *e) {
    e->kind = (qd_event_kind)(draw(t, QD_EVENTS + 2) - 1);
    e->time_ns -= draw(t, 2) * (int64_t)TICK_NS;
    e->job = draw(t, (uint32_t)last_job(t) + 2);
    e->attempt = (int)draw(t, 4) - 1;
    e->rank = (int)draw(t, (uint32_t)t->witness.worker_ranks + 3) - 1;
    e->outcome = (qd_outcome)(draw(t, QD_OUTCOMES + 2) - 1);
    e->exit_code = (int)draw(t, 3) - 1;
    e->place.island = (int)draw(t, 6) - 1;
    e->step = draw(t, 4);
    e->saved = draw(t, 4);
    e->busy_ns = (int64_t)draw(t, 4) - 1;
    e->submit = (qd_submission){.job = e->job,
                                .ranks_min = (int)draw(t, 4) - 1,
                                .ranks_max = draw(t, 3) ? (int)draw(t, 4) - 1 : INT_MAX,
                                .ranks_step = (int)draw(t, 5) - 1,
                                .demand = {.within = (int)draw(t, 8) - 1}};
    if (draw(t, 8) == 0)
        memset(e->text, 'x', sizeof e->text);
    if (draw(t, 8) == 0)
        memset(e->submit.name, 'x', sizeof e->submit.name);
}

struct kind {
    uint32_t weight;
    qd_event_kind kind;
    void (*draw)(trial *t, qd_event *e);
};

static const struct kind kinds[] = {
    {40, QD_EVENT_WORKER_READY, draw_ready},
    {20, QD_EVENT_SUBMIT, draw_submit},
    {50, QD_EVENT_MEMBER_ENDED, draw_answer_of_member},
    {2, QD_EVENT_WORKER_LOST, draw_lost},
    {5, QD_EVENT_CANCEL, draw_cancel},
    {1, QD_EVENT_CLOSED, draw_text},
    {1, QD_EVENT_DRAIN, draw_text},
    {10, QD_EVENT_TIME, draw_text},
    {4, QD_EVENT_LIMIT, draw_limit},
    {4, QD_EVENT_PRIORITY, draw_priority},
    {8, QD_EVENT_PROGRESS, draw_progress},
    {20, QD_EVENT_RESIZE, draw_resize},
    {3, QD_EVENT_RANK_DRAIN, draw_lost},
    {6, QD_EVENT_RANK_RESUME, draw_lost},
    {20, QD_EVENT_RANK_TIME, draw_rank_time},
    {4, QD_EVENT_RELEASE, draw_cancel},
    {2, QD_EVENT_HOLD, draw_cancel},
    {6, QD_EVENT_RESERVE, draw_reserve},
    {2, QD_EVENT_UNRESERVE, draw_unreserve},
    {15, QD_EVENT_CLOSED, draw_nonsense},
};
enum { WEIGHTS = 223, KINDS = sizeof kinds / sizeof kinds[0] };

/* More comes than ends. */
static const struct kind busy_kinds[] = {
    {40, QD_EVENT_SUBMIT, draw_submit},      {50, QD_EVENT_MEMBER_ENDED, draw_answer_of_member},
    {1, QD_EVENT_WORKER_LOST, draw_lost},    {5, QD_EVENT_CANCEL, draw_cancel},
    {20, QD_EVENT_TIME, draw_text},          {25, QD_EVENT_PROGRESS, draw_progress},
    {2, QD_EVENT_RANK_DRAIN, draw_lost},     {4, QD_EVENT_RANK_RESUME, draw_lost},
    {2, QD_EVENT_RELEASE, draw_cancel},      {1, QD_EVENT_HOLD, draw_cancel},
    {10, QD_EVENT_RESIZE, draw_resize},      {4, QD_EVENT_RESERVE, draw_reserve},
    {1, QD_EVENT_UNRESERVE, draw_unreserve},
};
enum { BUSY_WEIGHTS = 165, BUSY_KINDS = sizeof busy_kinds / sizeof busy_kinds[0] };

static qd_event draw_event(trial *t, const struct kind *from, int count, uint32_t weights) {
    int64_t now = t->witness.time_ns < 0 ? 0 : t->witness.time_ns;
    qd_event e = {.time_ns = now + draw(t, 3) * (int64_t)TICK_NS, .more = draw(t, 4) == 0};
    uint32_t at = draw(t, weights);
    int i = 0;
    for (; i < count - 1 && at >= from[i].weight; i++)
        at -= from[i].weight;
    e.kind = from[i].kind;
    from[i].draw(t, &e);
    return e;
}

qd_event trial_draw_event(trial *t) {
    return draw_event(t, kinds, KINDS, WEIGHTS);
}

qd_event trial_draw_busy_event(trial *t) {
    for (int rank = 1; rank <= t->witness.worker_ranks; rank++)
        if (!t->witness.ranks[rank].ready)
            return (qd_event){.kind = QD_EVENT_WORKER_READY, .rank = rank};
    return draw_event(t, busy_kinds, BUSY_KINDS, BUSY_WEIGHTS);
}

/* ---- driving ---- */

static bool broken(trial *t, const qd_event *e, const char *what) {
    const char *kind = (unsigned)e->kind < QD_EVENTS ? qd_event_names[e->kind] : "nonsense";
    snprintf(t->broken, sizeof t->broken,
             "%s (job %lld, attempt %d, rank %d, outcome %d) at %lld ns: %s", kind,
             (long long)e->job, e->attempt, e->rank, (int)e->outcome, (long long)e->time_ns, what);
    return false;
}

static bool same_actions(const qd_action_list *a, const qd_action_list *b) {
    bool same = a->count == b->count;
    for (int i = 0; same && i < a->count; i++) {
        qd_text one = {0}, other = {0};
        qd_action_format(&a->actions[i], &one);
        qd_action_format(&b->actions[i], &other);
        same = !one.failed && !other.failed && strcmp(one.bytes, other.bytes) == 0;
        qd_text_fini(&one);
        qd_text_fini(&other);
    }
    return same;
}

/* A copy of the core takes the place of the twin. */
static bool copy_core(trial *t) {
    qd_core_destroy(t->twin);
    t->twin = NULL;
    return qd_core_copy(t->core, &t->twin) == 0 &&
           qd_core_digest(t->twin) == qd_core_digest(t->core);
}

/* Whatever is asked about a job, asking changes nothing, and no job waits for no reason. */
static bool ask_why(trial *t, const qd_event *e) {
    qd_why why, other;
    uint64_t before = qd_core_digest(t->core);
    int64_t job = t->witness.jobs[draw(t, (uint32_t)t->witness.job_count)].submit.job;
    if (qd_why_ask(t->core, job, &why))
        return broken(t, e, qd_error_message());
    if (why.state == QD_STATE_PENDING && why.count == 0)
        return broken(t, e, "a job waits for no reason");
    qd_what_if what_if = {.ranks_is_set = draw(t, 2),
                          .ranks = 1 + (int)draw(t, (uint32_t)t->witness.worker_ranks),
                          .importance_is_set = draw(t, 2),
                          .importance = (int)draw(t, 20)};
    int rc = qd_why_if(t->core, job, &what_if, &other);
    if (rc && rc != QD_EPROTO)
        return broken(t, e, qd_error_message());
    return qd_core_digest(t->core) == before || broken(t, e, "asking why changed the state");
}

bool trial_step(trial *t, const qd_event *e) {
    qd_action_list twin_actions;
    if (draw(t, 32) == 0 && !copy_core(t))
        return broken(t, e, "before it a copy of the core is not equal");
    uint64_t before = qd_core_digest(t->core);
    /* The witness keeps its books in tables of fixed size. */
    bool expected = witness_expects(&t->witness, e);
    if (expected && e->kind == QD_EVENT_SUBMIT && t->witness.job_count == WITNESS_MAX_JOBS)
        return true;
    int rc = qd_core_handle(t->core, e, &t->actions);
    t->taken = rc == 0;
    if (rc != (expected ? 0 : QD_EPROTO))
        return broken(t, e, rc ? qd_error_message() : "was taken, but cannot be true");
    if (qd_core_handle(t->twin, e, &twin_actions) != rc)
        return broken(t, e, "a twin of the core takes it otherwise");
    if (rc && qd_core_digest(t->core) != before)
        return broken(t, e, "was refused, but changed the state");
    if (qd_core_digest(t->core) != qd_core_digest(t->twin))
        return broken(t, e, "the same events led to two states");
    if (rc)
        return true;
    if (!e->more && qd_core_wake_ns(t->core) <= e->time_ns)
        return broken(t, e, "it wants to be woken at once");
    if (!same_actions(&t->actions, &twin_actions))
        return broken(t, e, "the same events led to different actions");
    if (!witness_see(&t->witness, e, &t->actions, t->core))
        return broken(t, e, t->witness.broken);
    if (e->more || t->witness.job_count == 0)
        return true;
    t->forecasts++;
    if (!witness_hears_forecast(&t->witness, t->core))
        return broken(t, e, t->witness.broken);
    return draw(t, 16) > 0 || ask_why(t, e);
}

/* Nobody waits for a reservation. */
static bool unreserve(trial *t, int64_t time_ns) {
    qd_event e = {.kind = QD_EVENT_UNRESERVE, .time_ns = time_ns};
    for (int i = 0; i < t->witness.reservation_count; i++) {
        e.reserve.number = t->witness.reservations[i].is.number;
        if (!t->witness.reservations[i].over && !trial_step(t, &e))
            return false;
    }
    return true;
}

/* Nothing is held or drained, and every begin has come. */
static bool open_gates(trial *t, int64_t time_ns) {
    qd_event e = {.kind = QD_EVENT_RELEASE, .time_ns = time_ns, .more = true};
    for (int i = 0; i < t->witness.job_count; i++) {
        e.job = t->witness.jobs[i].submit.job;
        if (!trial_step(t, &e))
            return false;
    }
    e.kind = QD_EVENT_RANK_RESUME;
    for (e.rank = 1; e.rank <= t->witness.worker_ranks; e.rank++)
        if (!trial_step(t, &e))
            return false;
    e.kind = QD_EVENT_TIME;
    e.more = false;
    return trial_step(t, &e);
}

bool trial_finish(trial *t, bool by_drain) {
    qd_event e = {.time_ns = t->witness.time_ns < 0 ? 0 : t->witness.time_ns};
    e.kind = QD_EVENT_WORKER_READY;
    for (e.rank = 1; e.rank <= t->witness.worker_ranks; e.rank++)
        if (!trial_step(t, &e))
            return false;
    e = (qd_event){.kind = by_drain ? QD_EVENT_DRAIN : QD_EVENT_CLOSED, .time_ns = e.time_ns};
    if (!trial_step(t, &e))
        return false;
    e.time_ns += 20 * (int64_t)TICK_NS;
    if (!unreserve(t, e.time_ns) || !open_gates(t, e.time_ns))
        return false;
    /* Each answer frees a rank of a job; each job runs once, on all workers at most, and is seldom
     * preempted as time stands still. */
    int most = 4 * (t->witness.job_count + 1) * t->witness.worker_ranks;
    for (int i = 0; i < most && !t->witness.shut_down; i++) {
        e = (qd_event){.kind = QD_EVENT_MEMBER_ENDED, .time_ns = e.time_ns};
        draw_answer_of_member(t, &e);
        if (e.job == 0)
            return broken(t, &e, "nobody is left to answer, yet there is no shutdown");
        if (!trial_step(t, &e))
            return false;
    }
    return t->witness.shut_down || broken(t, &e, "shutdown never came");
}

static int count_actions(const trial *t, const trial_plan *plan) {
    int count = 0;
    for (int i = 0; t->taken && i < t->actions.count; i++) {
        const qd_action *a = &t->actions.actions[i];
        count +=
            a->kind == plan->kind && strncmp(a->reason, plan->reason, strlen(plan->reason)) == 0;
    }
    return count;
}

int trial_live(trial *t, const trial_plan *plan) {
    bool fine = true;
    int count = 0;
    for (int rank = 1; fine && rank <= t->witness.worker_ranks; rank++) {
        qd_event e = {.kind = QD_EVENT_WORKER_READY, .time_ns = t->witness.time_ns, .rank = rank};
        if (plan->ranks_of_host > 0)
            e.place.host = (rank - 1) / plan->ranks_of_host + 1;
        fine = trial_step(t, &e);
    }
    for (int i = 0; fine && i < plan->events; i++) {
        qd_event e = plan->draw(t);
        fine = trial_step(t, &e);
        count += fine ? count_actions(t, plan) : 0;
    }
    fine = fine && trial_finish(t, true);
    trial_end(t);
    return fine ? count : -1;
}
