/* simulate_report.h: what `quadrille simulate` prints: policies side by side, or a line of JSON for
 * each. */
#ifndef QD_LAUNCH_SIMULATE_REPORT_H
#define QD_LAUNCH_SIMULATE_REPORT_H

#include "scheduler/simulation_metrics.h"

/* One policy's result. */
typedef struct qd_simulate_row {
    const char *policy;
    qd_simulation_metrics metrics;
    double seconds; /* that the simulation took */
} qd_simulate_row;

/* One JSON object on a line of its own. QD_ENOMEM. */
int qd_simulate_print_json(const char *trace, int ranks, const qd_simulate_row *row);

/* A table: a line for each metric, a column for each policy. */
void qd_simulate_print_table(const qd_trace *trace, int ranks, const qd_simulate_row *rows,
                             int count);

#endif
