/* why_report.h: how a job stands (scheduler/why.h), on stdout. */
#ifndef QD_LAUNCH_WHY_REPORT_H
#define QD_LAUNCH_WHY_REPORT_H

#include "scheduler/why.h"

/* Some lines for people; one line of JSON, times in seconds from the last event on, null where
 * nobody knows. QD_ENOMEM. */
int qd_why_print_text(const qd_why *why, const char *name);
int qd_why_print_json(const qd_why *why, const char *name);

#endif
