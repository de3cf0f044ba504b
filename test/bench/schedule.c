/*
 * schedule [MAX_JOBS]: how fast the scheduler's core is. Lines of JSON:
 *
 * {"bench": "schedule", ...}: a drawn trace at 95 % load, simulated whole: seconds in all, us for
 * each event that the core took, and of one decision (at the end of an instant) the median, the
 * 99th of 100 and the longest, in us. For each policy 1,000 to MAX_JOBS (100,000) jobs, on a tenth
 * as many ranks.
 * {"bench": "steady", ...}: MAX_JOBS jobs, 100,000 at least, on 1,000 ranks under EASY: us for each
 * job of the first and of the last tenth to end, whether jobs that have ended cost later ones
 * anything.
 * {"bench": "replan", ...}: a queue of `queue` jobs under conservative backfill, all planned anew
 * because a gang has ended too early; seconds, least of ROUNDS.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/clock.h"
#include "runtime/error.h"
#include "scheduler/core.h"
#include "scheduler/simulator.h"

enum { ROUNDS = 5, STEADY_JOBS = 100000 };
static const double load = 0.95;
static const double longest_s = 1e5, shortest_s = 60;

/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014), as a number in [0, 1). */
static double draw(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

/* Widths 1, 2, 4 .. an eighth of the ranks, each half as likely as the one before; run times spread
 * evenly over their logarithm. */
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
        double run_s = shortest_s * exp(draw(&seed) * log(longest_s / shortest_s));
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

typedef struct stopwatch {
    int jobs;
    int64_t begin_ns, first_ns, last_ns; /* at the start, at a tenth, at nine tenths */
    int first_jobs, last_jobs;           /* that had ended then */
} stopwatch;

static void read_stopwatch(void *context, int ended) {
    stopwatch *w = context;
    if (w->first_ns == 0 && ended >= w->jobs / 10) {
        w->first_ns = qd_clock_now_ns();
        w->first_jobs = ended;
    }
    if (w->last_ns == 0 && ended >= w->jobs / 10 * 9) {
        w->last_ns = qd_clock_now_ns();
        w->last_jobs = ended;
    }
}

static int steady(int jobs, int ranks) {
    qd_trace trace = {0};
    qd_scheduling scheduling;
    qd_simulation simulation;
    stopwatch w = {.jobs = jobs, .begin_ns = qd_clock_now_ns()};
    int rc = qd_scheduling_of("easy", &scheduling);
    if (!rc)
        rc = draw_trace(jobs, ranks, &trace);
    qd_simulation_config config = {.trace = &trace,
                                   .ranks = ranks,
                                   .scheduling = &scheduling,
                                   .progress = read_stopwatch,
                                   .context = &w};
    w.begin_ns = qd_clock_now_ns();
    if (!rc)
        rc = qd_simulate(&config, &simulation);
    qd_trace_fini(&trace);
    if (rc)
        return rc;
    double first_us = (double)(w.first_ns - w.begin_ns) * 1e-3 / w.first_jobs;
    double last_us = (double)(qd_clock_now_ns() - w.last_ns) * 1e-3 / (jobs - w.last_jobs);
    printf("{\"bench\": \"steady\", \"jobs\": %d, \"ranks\": %d, \"us_per_job\": {\"first_tenth\": "
           "%.2f, \"last_tenth\": %.2f}}\n",
           jobs, ranks, first_us, last_us);
    qd_simulation_fini(&simulation);
    return 0;
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
        double run_s = shortest_s * exp(draw(&seed) * log(longest_s / shortest_s));
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
    if (!rc)
        rc = steady(most < STEADY_JOBS ? STEADY_JOBS : most, 1000);
    for (int queue = 1000; !rc && queue <= 10000; queue *= 10)
        rc = replan(queue, queue / 10);
    if (rc)
        fprintf(stderr, "%s: %s\n", argv[0], qd_error_message());
    return rc ? 1 : 0;
}
