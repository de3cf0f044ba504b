/*
 * simulator.h: a recorded trace under a policy, on a virtual clock: the scheduler's core (core.h)
 * as the live server drives it, with workers that train for as long as the trace says, save when
 * they are told to, and never fail; one whose save takes longer than it may trains what it had not
 * saved again. A gang with a slow rank is as slow as that; when it has trained for 30 s its members
 * tell how long a step keeps them busy. Exact and driven by events: nothing is rounded or sampled.
 *
 * At one instant ends come first, then arrivals, then one decision. The core is told the trace's
 * run times as estimates; a policy that is blind to them does not look.
 */
#ifndef QD_SCHEDULER_SIMULATOR_H
#define QD_SCHEDULER_SIMULATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "scheduler/reservation_book.h"
#include "scheduler/scheduling.h"
#include "scheduler/trace.h"

typedef struct qd_simulation_config {
    const qd_trace *trace; /* one job at least */
    int ranks;
    int island_ranks; /* of each island, on a host of its own; 0: all ranks are in one */
    const qd_scheduling *scheduling;
    const qd_reservation *reservations; /* [reservation_count], on the trace's clock */
    int reservation_count;
    int64_t save_ns; /* from being told to make room until the ranks are free */
    int slow_ranks;  /* the first so many, which take slow_factor (> 0) times as long; 0: none */
    double slow_factor;
    int64_t restart_ns; /* from the start of a later attempt until it trains again */
    /* Called now and then, with the jobs that have ended. NULL: not. */
    void (*progress)(void *context, int ended);
    void *context;
    bool keep_segments; /* for a Gantt chart */
    bool time_decisions;
} qd_simulation_config;

/* What became of a job; times in ns. */
typedef struct qd_simulated_job {
    int64_t start_ns, end_ns; /* of the first attempt, of the last; -1: never ran */
    int64_t wait_ns;          /* in the queue, all times together */
    int64_t longest_wait_ns;  /* the longest of them */
    int64_t held_ns; /* in gangs, restarts and saves included; on more than its least ranks,
                       as long as that would be on those */
    int preemptions;
} qd_simulated_job;

/* One attempt on a row of neighbouring ranks. */
typedef struct qd_simulated_segment {
    int64_t from_ns, to_ns;
    int job; /* index into the trace */
    int first_rank, rank_count;
} qd_simulated_segment;

/* How long the queue was from at_ns on. */
typedef struct qd_queue_sample {
    int64_t at_ns;
    int length;
} qd_queue_sample;

typedef struct qd_simulation {
    qd_simulated_job *jobs; /* [trace->count] */
    int job_count;
    int refused; /* jobs that are wider than the cluster */
    int64_t events;
    double free_rank_s;   /* rank-seconds that nobody held */
    double broken_rank_s; /* of them, in islands that were not free as a whole */
    double seconds;       /* that the simulation took, by a real clock */
    /* Time that the core took for one decision, real seconds; with time_decisions. */
    double decision_p50_s, decision_p99_s, decision_max_s;
    qd_simulated_segment *segments;
    size_t segment_count, segment_capacity;
    qd_queue_sample *queue; /* with keep_segments */
    size_t queue_count, queue_capacity;
} qd_simulation;

/* QD_ENOMEM, or what the core says. Owner of *simulation: the caller (fini). */
int qd_simulate(const qd_simulation_config *config, qd_simulation *simulation);
void qd_simulation_fini(qd_simulation *simulation);

#endif
