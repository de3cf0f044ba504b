/* run_layouts.h: what `quadrille run` does about layouts before a job starts. */
#ifndef QD_LAUNCH_RUN_LAYOUTS_H
#define QD_LAUNCH_RUN_LAYOUTS_H

#include "launch/run_options.h"

/*
 * Asks the planner for the layouts of jobs of `layout: auto` on so many workers of so many hosts,
 * of the hardware that the options describe or else of this machine, and refuses jobs that do not
 * fit into memory. A resumed job keeps its slots and micro-batches. Where it asked, reports[i] is
 * the plan for people; the others stay NULL. QD_ECONFIG, QD_EIO, QD_ENOMEM.
 */
int qd_run_layouts_settle(const qd_run_options *options, const qd_cluster *cluster, int workers,
                          int hosts, qd_job *jobs, char **reports);

/* The reports [count] and their array, as calloc made it; NULL is fine. */
void qd_run_layouts_free(char **reports, int count);

#endif
