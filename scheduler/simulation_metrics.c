#include "scheduler/simulation_metrics.h"

#include <stdlib.h>

#include "runtime/error.h"

static const double shortest_run_s = 10; /* below, a slowdown says nothing */

typedef struct sums {
    double jct, wait, slowdown, slowdown_squared;
    double used, held; /* rank-seconds */
    int64_t longest_wait_ns, last_end_ns, preemptions;
} sums;

static double seconds(int64_t ns) {
    return (double)ns / 1e9;
}

static void add(sums *sum, const qd_trace_job *recorded, const qd_simulated_job *job) {
    double jct = seconds(job->end_ns - recorded->submit_ns);
    double run = seconds(recorded->duration_ns);
    double bounded = run > shortest_run_s ? run : shortest_run_s;
    double slowdown = jct > bounded ? jct / bounded : 1;
    sum->jct += jct;
    sum->wait += seconds(job->end_ns - recorded->submit_ns - recorded->duration_ns);
    sum->slowdown += slowdown;
    sum->slowdown_squared += slowdown * slowdown;
    sum->used += run * recorded->ranks;
    sum->held += seconds(job->held_ns) * recorded->ranks;
    sum->preemptions += job->preemptions;
    if (job->longest_wait_ns > sum->longest_wait_ns)
        sum->longest_wait_ns = job->longest_wait_ns;
    if (job->end_ns > sum->last_end_ns)
        sum->last_end_ns = job->end_ns;
}

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int quantiles(const qd_trace *trace, const qd_simulation *simulation,
                     qd_simulation_metrics *m) {
    int64_t *jct = malloc((size_t)m->completed * sizeof *jct);
    if (!jct)
        return qd_error_set(QD_ENOMEM, "no memory to sort %d jobs", m->completed);
    size_t n = 0;
    for (int i = 0; i < simulation->job_count; i++)
        if (simulation->jobs[i].end_ns >= 0)
            jct[n++] = simulation->jobs[i].end_ns - trace->jobs[i].submit_ns;
    qsort(jct, n, sizeof *jct, compare);
    m->median_jct_s = seconds(jct[n / 2]);
    m->p99_jct_s = seconds(jct[n * 99 / 100]);
    free(jct);
    return 0;
}

int qd_simulation_measure(const qd_trace *trace, int ranks, const qd_simulation *simulation,
                          qd_simulation_metrics *metrics) {
    qd_simulation_metrics m = {.refused = simulation->refused};
    sums sum = {0};
    for (int i = 0; i < simulation->job_count; i++) {
        if (simulation->jobs[i].end_ns < 0)
            continue;
        m.completed++;
        add(&sum, &trace->jobs[i], &simulation->jobs[i]);
    }
    if (m.completed == 0) {
        *metrics = m;
        return 0;
    }
    int rc = quantiles(trace, simulation, &m);
    if (rc)
        return rc;
    double n = m.completed;
    m.mean_jct_s = sum.jct / n;
    m.mean_wait_s = sum.wait / n;
    m.longest_wait_s = seconds(sum.longest_wait_ns);
    m.makespan_s = seconds(sum.last_end_ns - trace->jobs[0].submit_ns);
    m.utilization = m.makespan_s > 0 ? sum.used / (ranks * m.makespan_s) : 0;
    m.goodput = sum.held > 0 ? sum.used / sum.held : 1;
    m.preemptions_per_job = m.restarts_per_job = (double)sum.preemptions / n;
    if (simulation->free_rank_s > 0)
        m.fragmentation = simulation->broken_rank_s / simulation->free_rank_s;
    m.fairness = sum.slowdown * sum.slowdown / (n * sum.slowdown_squared);
    *metrics = m;
    return 0;
}
