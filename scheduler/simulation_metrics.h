/*
 * simulation_metrics.h: a simulation in numbers. All over jobs that ran to their end. JCT is the
 * job completion time, from submission to end; quantile p of n sorted values is the one at index
 * floor(p n).
 */
#ifndef QD_SCHEDULER_SIMULATION_METRICS_H
#define QD_SCHEDULER_SIMULATION_METRICS_H

#include "scheduler/simulator.h"

typedef struct qd_simulation_metrics {
    double mean_jct_s, median_jct_s, p99_jct_s;
    double mean_wait_s;    /* mean of JCT less the recorded run time */
    double longest_wait_s; /* the longest single stay in the queue */
    double makespan_s;     /* from the first submission to the last end */
    double utilization;    /* recorded rank-seconds / (ranks x makespan) */
    double goodput;        /* recorded rank-seconds / rank-seconds that gangs held */
    double preemptions_per_job, restarts_per_job;
    /* Jain's index of the jobs' bounded slowdowns (JCT / run time, run times below 10 s taken as
     * 10 s): 1 when all were slowed down alike, 1/n when one bore it all. */
    double fairness;
    /* Part of the idle rank-seconds that was of no use for a gang as wide as an island, since other
     * ranks of the island were held; 0 in one island. After Weng et al., "Beware of Fragmentation",
     * USENIX ATC 2023, who call that part of the free devices fragmented which a given workload
     * cannot use. */
    double fragmentation;
    int completed, refused;
} qd_simulation_metrics;

/* QD_ENOMEM. */
int qd_simulation_measure(const qd_trace *trace, int ranks, const qd_simulation *simulation,
                          qd_simulation_metrics *metrics);

#endif
