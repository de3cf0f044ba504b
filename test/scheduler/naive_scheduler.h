/*
 * naive_scheduler.h: when each job of a trace starts, by the plain definitions of fifo, sjf, easy
 * and conservative, with arrays and loops and without any code of the scheduler: what it is held
 * to. Jobs of at least 1 ns.
 */
#ifndef QD_TEST_SCHEDULER_NAIVE_SCHEDULER_H
#define QD_TEST_SCHEDULER_NAIVE_SCHEDULER_H

#include <stdbool.h>
#include <stdint.h>

typedef struct naive_job {
    int64_t submit, duration;
    int ranks;
    int64_t start; /* out */
    bool reserved; /* start is given: nobody else has these ranks; not for "easy" */
} naive_job;

/* jobs: by submission; none wider than ranks. policy: "fifo", "sjf", "easy", "conservative". */
void naive_schedule(naive_job *jobs, int count, int ranks, const char *policy);

#endif
