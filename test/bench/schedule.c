/*
 * schedule [MAX_JOBS]: how fast the scheduler's core is. Lines of JSON:
 *
 * {"bench": "schedule", ...}: a drawn trace at 95 % load, simulated whole: seconds in all, us for
 * each event that the core took, and of one decision (at the end of an instant) the median, the
 * 99th of 100 and the longest, in us. For each policy 1,000 to MAX_JOBS (100,000) jobs, on a tenth
 * as many ranks.
 * {"bench": "steady", ...}: 1,000 ranks, always 1,000 jobs that run or wait: one that ends makes
 * another come. When 10,000, 100,000 .. MAX_JOBS (1,000,000 at least) jobs have come: us (of this
 * thread) for each of the 1,000 last ones, and of a decision: does the millionth cost what the
 * first ones did?
 * {"bench": "replan", ...}: a queue of `queue` jobs under conservative backfill, all planned anew
 * because a gang has ended too early; seconds, least of ROUNDS.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "runtime/clock.h"
#include "runtime/error.h"
#include "scheduler/core.h"
#include "scheduler/simulator.h"
#include "scheduler/simulator_ends.h"

enum { ROUNDS = 5, STEADY_JOBS = 1000000, CYCLE = 1000, WINDOWS = 10 };
static const double load = 0.95;
static const double longest_s = 1e5, shortest_s = 60;

/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014), as a number in [0, 1). */
static double draw(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

/* Evenly over the logarithm. */
static double draw_run_s(uint64_t *state) {
    return shortest_s * exp(draw(state) * log(longest_s / shortest_s));
}

/* Widths 1, 2, 4 .. an eighth of the ranks, each half as likely as the one before. */
static int draw_width(uint64_t *seed, int ranks) {
    int width = 1;
    while (2 * width <= ranks / 8 && draw(seed) < 0.5)
        width *= 2;
    return width;
}

static int draw_trace(int jobs, int ranks, qd_trace *trace) {
    uint64_t seed = (uint64_t)jobs;
    double at_s = 0, rank_s = 0;
    int rc = 0;
    for (int i = 0; !rc && i < jobs; i++) {
        double run_s = draw_run_s(&seed);
        int width = draw_width(&seed, ranks);
        rc = qd_trace_add(trace, (int64_t)(at_s * 1e9), (int64_t)(run_s * 1e9), width);
        rank_s += run_s * width;
        at_s = rank_s / (load * ranks);
    }
    return rc;
}

static int run(const char *policy, int jobs, int ranks) {
    qd_trace trace = {0};
    qd_scheduling scheduling;
    qd_simulation simulation;
    int rc = qd_scheduling_of(policy, &scheduling);
    if (!rc)
        rc = draw_trace(jobs, ranks, &trace);
    qd_simulation_config config = {.trace = &trace,
                                   .ranks = ranks,
                                   .scheduling = &scheduling,
                                   .save_ns = 60000000000,
                                   .restart_ns = 60000000000,
                                   .time_decisions = true};
    if (!rc)
        rc = qd_simulate(&config, &simulation);
    qd_trace_fini(&trace);
    if (rc)
        return rc;
    printf(
        "{\"bench\": \"schedule\", \"policy\": \"%s\", \"jobs\": %d, \"ranks\": %d, \"seconds\": "
        "%.3f, \"events\": %lld, \"us_per_event\": %.3f, \"decision_us\": {\"p50\": %.2f, "
        "\"p99\": %.2f, \"max\": %.2f}}\n",
        policy, jobs, ranks, simulation.seconds, (long long)simulation.events,
        simulation.seconds / (double)simulation.events * 1e6, simulation.decision_p50_s * 1e6,
        simulation.decision_p99_s * 1e6, simulation.decision_max_s * 1e6);
    fflush(stdout);
    qd_simulation_fini(&simulation);
    return 0;
}

/* ---- many jobs ---- */

/* As many jobs as there were at the start, for ever: one that ends makes another come. All draws
 * repeat after CYCLE jobs, so that the millionth meets what the first ones met. */
typedef struct mill {
    qd_core *core;
    qd_ends ends;
    qd_event event;
    int ranks;
    int64_t now_ns, jobs; /* submitted */
    int64_t *run_ns;      /* [CYCLE] */
    int *width;           /* [CYCLE] */
    int64_t decision_ns[WINDOWS * CYCLE];
} mill;

static int obey(mill *m, const qd_action_list *actions) {
    int rc = 0;
    for (int i = 0; !rc && i < actions->count; i++) {
        const qd_action *a = &actions->actions[i];
        if (a->kind != QD_ACTION_START)
            continue;
        int64_t end_ns = m->now_ns + m->run_ns[a->job % CYCLE];
        rc = qd_ends_set(&m->ends, (qd_end){.at_ns = end_ns, .job = (int)a->job});
    }
    return rc;
}

static int tell(mill *m, bool more) {
    qd_action_list actions;
    m->event.time_ns = m->now_ns;
    m->event.more = more;
    int rc = qd_core_handle(m->core, &m->event, &actions);
    return rc ? rc : obey(m, &actions);
}

static int submit_next(mill *m, bool more) {
    int64_t job = ++m->jobs;
    m->event.kind = QD_EVENT_SUBMIT;
    m->event.submit = (qd_submission){.job = job,
                                      .ranks_min = m->width[job % CYCLE],
                                      .ranks_max = m->width[job % CYCLE],
                                      .estimate_ns = m->run_ns[job % CYCLE]};
    return tell(m, more);
}

/* The next gang ends, a job comes, and the core decides. */
static int turn(mill *m) {
    qd_end end;
    qd_job_view view;
    int rc = 0;
    m->now_ns = qd_ends_first_ns(&m->ends);
    qd_ends_pop(&m->ends, m->now_ns, &end);
    qd_core_job(m->core, end.job - 1, &view);
    m->event.kind = QD_EVENT_MEMBER_ENDED;
    m->event.job = view.job;
    m->event.attempt = view.attempt;
    int count = view.rank_count;
    for (int i = 0; !rc && i < count; i++) {
        m->event.rank = view.ranks[i];
        rc = tell(m, true);
    }
    if (!rc)
        rc = submit_next(m, true);
    if (rc)
        return rc;
    int64_t from = qd_clock_now_ns();
    m->event.kind = QD_EVENT_TIME;
    rc = tell(m, false);
    m->decision_ns[m->jobs % (WINDOWS * CYCLE)] = qd_clock_now_ns() - from;
    return rc;
}

static int compare_times(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Of the thread: what others do on this machine counts for as little as it can. */
static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void print_mill(mill *m, const char *policy, int queue, double seconds) {
    enum { decisions = WINDOWS * CYCLE };
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    qsort(m->decision_ns, decisions, sizeof m->decision_ns[0], compare_times);
    printf("{\"bench\": \"steady\", \"policy\": \"%s\", \"ranks\": %d, \"queue\": %d, \"job\": "
           "%lld, \"us_per_job\": %.2f, \"decision_us\": {\"p50\": %.2f, \"p99\": %.2f}, "
           "\"peak_mib\": %ld}\n",
           policy, m->ranks, queue, (long long)m->jobs, seconds / CYCLE * 1e6,
           (double)m->decision_ns[decisions / 2] * 1e-3,
           (double)m->decision_ns[decisions * 99 / 100] * 1e-3, usage.ru_maxrss / 1024);
    fflush(stdout);
}

static int grind(mill *m, const char *policy, int queue, int most) {
    int rc = 0;
    m->event.kind = QD_EVENT_WORKER_READY;
    for (m->event.rank = 1; !rc && m->event.rank <= m->ranks; m->event.rank++)
        rc = tell(m, true);
    while (!rc && m->jobs < queue)
        rc = submit_next(m, m->jobs < queue - 1);
    for (int64_t shown = WINDOWS * CYCLE; !rc && m->jobs < most; shown *= 10) {
        double least_s = INFINITY;
        for (int window = 0; !rc && (window < WINDOWS || m->jobs < shown); window++) {
            least_s = window % WINDOWS == 0 ? INFINITY : least_s;
            double from_s = cpu_s();
            for (int i = 0; !rc && i < CYCLE; i++)
                rc = turn(m);
            least_s = fmin(least_s, cpu_s() - from_s);
        }
        if (!rc)
            print_mill(m, policy, queue, least_s);
    }
    return rc;
}

static int steady(const char *policy, int most, int ranks) {
    enum { QUEUE = 1000 };
    qd_scheduling scheduling;
    uint64_t seed = 1;
    mill *m = calloc(1, sizeof *m);
    int64_t *run_ns = calloc(CYCLE, sizeof *run_ns);
    int *width = calloc(CYCLE, sizeof *width);
    int rc = m && run_ns && width ? 0 : qd_error_set(QD_ENOMEM, "no memory for a queue");
    if (!rc)
        *m = (mill){.ranks = ranks, .run_ns = run_ns, .width = width};
    for (int i = 0; !rc && i < CYCLE; i++) {
        width[i] = draw_width(&seed, ranks);
        run_ns[i] = (int64_t)(draw_run_s(&seed) * 1e9);
    }
    if (!rc)
        rc = qd_scheduling_of(policy, &scheduling);
    if (!rc)
        rc = qd_core_create(ranks, &scheduling, &m->core);
    if (!rc)
        rc = qd_ends_init(&m->ends, most + 2 * CYCLE);
    if (!rc)
        rc = grind(m, policy, QUEUE, most);
    if (m) {
        qd_ends_fini(&m->ends);
        qd_core_destroy(m->core);
    }
    free(m);
    free(run_ns);
    free(width);
    return rc;
}

/* ---- replanning ---- */

static int feed(qd_core *core, qd_event *event) {
    qd_action_list actions;
    return qd_core_handle(core, event, &actions);
}

/* A full cluster with a queue behind it. */
static int fill(qd_core *core, int queue, int ranks) {
    uint64_t seed = 1;
    qd_event event = {.kind = QD_EVENT_WORKER_READY, .more = true};
    int rc = 0;
    for (event.rank = 1; !rc && event.rank <= ranks; event.rank++)
        rc = feed(core, &event);
    event.kind = QD_EVENT_SUBMIT;
    for (int i = 1, busy = 0; !rc && i <= queue + busy; i++) {
        int width = draw_width(&seed, ranks);
        double run_s = draw_run_s(&seed);
        event.submit = (qd_submission){.job = i,
                                       .ranks_min = width,
                                       .ranks_max = width,
                                       .estimate_ns = (int64_t)(run_s * 1e9)};
        rc = feed(core, &event);
    }
    event.kind = QD_EVENT_TIME;
    event.more = false;
    return rc ? rc : feed(core, &event);
}

/* The first running job's members all end at once, before their time. */
static int end_one_early(qd_core *core, int64_t at_ns, double *seconds) {
    qd_job_view view;
    int i = 0;
    for (qd_core_job(core, i, &view); view.state != QD_STATE_RUNNING;)
        qd_core_job(core, ++i, &view);
    qd_event event = {.kind = QD_EVENT_MEMBER_ENDED,
                      .job = view.job,
                      .attempt = view.attempt,
                      .time_ns = at_ns,
                      .outcome = QD_OUTCOME_DONE};
    int64_t from = qd_clock_now_ns();
    int rc = 0, count = view.rank_count;
    for (int k = 0; !rc && k < count; k++) {
        event.rank = view.ranks[k];
        event.more = k < count - 1;
        rc = feed(core, &event);
    }
    *seconds = fmin(*seconds, (double)(qd_clock_now_ns() - from) * 1e-9);
    return rc;
}

static int replan(int queue, int ranks) {
    qd_core *core = NULL;
    qd_scheduling scheduling;
    double seconds = INFINITY;
    int rc = qd_scheduling_of("conservative", &scheduling);
    if (!rc)
        rc = qd_core_create(ranks, &scheduling, &core);
    if (!rc)
        rc = fill(core, queue, ranks);
    for (int i = 0; !rc && i < ROUNDS; i++)
        rc = end_one_early(core, i + 1, &seconds);
    qd_core_destroy(core);
    if (!rc)
        printf("{\"bench\": \"replan\", \"queue\": %d, \"ranks\": %d, \"seconds\": %.4f}\n", queue,
               ranks, seconds);
    return rc;
}

int main(int argc, char **argv) {
    static const char *const policies[] = {"fifo", "easy", "conservative", "multifactor",
                                           "attained"};
    int most = argc > 1 ? atoi(argv[1]) : 100000;
    int rc =
        most < 1000 ? qd_error_set(QD_EUSAGE, "usage: %s [MAX_JOBS, 1000 or more]", argv[0]) : 0;
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++)
        for (int jobs = 1000; !rc && jobs <= most; jobs *= 10)
            rc = run(policies[i], jobs, jobs / 10);
    for (int i = 1; !rc && i <= 2; i++)
        rc = steady(policies[i], most < STEADY_JOBS ? STEADY_JOBS : most, 1000);
    for (int queue = 1000; !rc && queue <= 10000; queue *= 10)
        rc = replan(queue, queue / 10);
    if (rc)
        fprintf(stderr, "%s: %s\n", argv[0], qd_error_message());
    return rc ? 1 : 0;
}
