/* plan_layouts.h: what `quadrille plan --cluster` shows: the layout that models/planner.h chooses
 * for a job on given hardware, what is predicted of it, and why others lost. */
#ifndef QD_LAUNCH_PLAN_LAYOUTS_H
#define QD_LAUNCH_PLAN_LAYOUTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "models/planner.h"

typedef struct qd_layouts_request {
    const char *job_file, *cluster_file;
    int64_t ranks;
    qd_plan_pins pins; /* layout.dp of the job file is one, too, where it is a number; of a job of
                          layout: auto, whatever else it gives */
    bool json;
} qd_layouts_request;

/* Reads "dp=4,zero=1,schedule=1f1b" into pins. QD_EUSAGE, naming the keys there are. */
int qd_layouts_parse_pins(const char *text, qd_plan_pins *pins);

/* What is shown of a choice. */
typedef struct qd_layouts_view {
    const qd_job *job;
    const qd_hardware *hardware;
    int64_t ranks; /* that could be used */
    const qd_plan_choice *choice;
} qd_layouts_view;

/* For people: the best plan, the keys of a job file that say the same, and why others lost. */
void qd_layouts_show(FILE *out, const qd_layouts_view *view);

/* Plans and prints to stdout. QD_ECONFIG, QD_EIO, QD_ENOMEM, QD_EUSAGE. */
int qd_layouts_print(const qd_layouts_request *request);

#endif
