/* simulate_plot.h: simulations as one SVG: a Gantt chart of the ranks for each policy, the length
 * of the queue over time, and how many jobs were done within which time. */
#ifndef QD_LAUNCH_SIMULATE_PLOT_H
#define QD_LAUNCH_SIMULATE_PLOT_H

#include "scheduler/simulator.h"

typedef struct qd_plot_series {
    const char *policy;
    const qd_simulation *simulation; /* with segments and queue kept */
} qd_plot_series;

/* Replaces path. QD_EIO, QD_ENOMEM. */
int qd_simulate_plot(const char *path, const qd_trace *trace, int ranks,
                     const qd_plot_series *series, int count);

#endif
