/*
 * plan JOB CLUSTER RANKS: how long the planner takes, profile of the job included. One line of
 * JSON: seconds: least of ROUNDS; tried: layouts of which it was one.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "models/planner.h"
#include "runtime/clock.h"
#include "runtime/error.h"

enum { ROUNDS = 5 };

static int plan_once(const qd_job *job, const qd_hardware *hardware, int64_t ranks,
                     qd_plan_choice *choice) {
    qd_planner *planner = NULL;
    int rc = qd_planner_create(job, hardware, NULL, &planner);
    if (!rc)
        rc = qd_planner_choose(planner, ranks, &qd_plan_no_pins, choice);
    qd_planner_destroy(planner);
    return rc;
}

int main(int argc, char **argv) {
    static qd_job job;
    qd_hardware hardware;
    qd_plan_choice choice;
    double seconds = INFINITY, cpu_seconds = INFINITY;
    if (argc != 4 || atoll(argv[3]) < 1) {
        fprintf(stderr, "usage: %s JOB CLUSTER RANKS\n", argv[0]);
        return 64;
    }
    int rc = qd_job_load(argv[1], &job);
    if (!rc)
        rc = qd_hardware_load(argv[2], &hardware);
    for (int i = 0; i < ROUNDS && !rc; i++) {
        int64_t from = qd_clock_now_ns();
        clock_t cpu = clock();
        rc = plan_once(&job, &hardware, atoll(argv[3]), &choice);
        cpu_seconds = fmin(cpu_seconds, (double)(clock() - cpu) / CLOCKS_PER_SEC);
        seconds = fmin(seconds, (double)(qd_clock_now_ns() - from) * 1e-9);
    }
    if (rc)
        fprintf(stderr, "%s: %s\n", argv[0], qd_error_message());
    else
        printf("{\"bench\": \"plan\", \"job\": \"%s\", \"cluster\": \"%s\", \"ranks\": %s, "
               "\"seconds\": %.3f, \"cpu_seconds\": %.3f, \"tried\": %lld}\n",
               job.name, hardware.name, argv[3], seconds, cpu_seconds, (long long)choice.tried);
    return rc ? 1 : 0;
}
