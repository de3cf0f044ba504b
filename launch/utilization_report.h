/* utilization_report.h: the utilization logs of a run (RUN/rank-R.jsonl), added up by rank. */
#ifndef QD_LAUNCH_UTILIZATION_REPORT_H
#define QD_LAUNCH_UTILIZATION_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/span.h"

typedef struct qd_rank_utilization {
    int rank;
    char host[64];
    int intervals;
    int64_t steps; /* done by the gang while this rank took part */
    double wall_s;
    double span_s[QD_SPAN_KINDS];
    double samples; /* computed by this rank */
    int64_t peak_memory_bytes;
} qd_rank_utilization;

typedef struct qd_utilization_report {
    qd_rank_utilization *ranks; /* ascending */
    int rank_count;
} qd_utilization_report;

/*
 * Reads all logs of a run. A line cut short at the end of a file (its rank was killed) is passed
 * over; any other broken line is QD_EDATA with file and line. QD_EIO when there is no log there.
 */
int qd_utilization_report_read(const char *run_folder, qd_utilization_report *report);
void qd_utilization_report_fini(qd_utilization_report *report);

#endif
