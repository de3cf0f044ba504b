/*
 * pipeline_simulate.h: runs a pipeline's table on paper: when each action starts and ends, how long
 * a stage idles, how much it must keep, and whether the table comes to an end at all. Not a model
 * of a machine: what an action takes is told, links have a delay and no limit.
 */
#ifndef QD_MODELS_PIPELINE_SIMULATE_H
#define QD_MODELS_PIPELINE_SIMULATE_H

#include "models/pipeline.h"

/* What one micro-batch takes in one part; any unit of time. BACKWARD takes the sum of the last
 * two. */
typedef struct qd_pipeline_cost {
    double forward, backward_input, backward_weight;
} qd_pipeline_cost;

enum { QD_PIPELINE_BUFFERED = -1, QD_PIPELINE_RENDEZVOUS = 0 };

typedef struct qd_pipeline_times {
    const qd_pipeline_cost *part; /* [stages * chunks] */
    double transfer;              /* from the end of an action to the arrival of its message */
    /*
     * Receives that a stage has posted on a channel beyond that of its next action. BUFFERED: any
     * number, so that no sender waits. Otherwise a stage that has ended an action waits, before the
     * next one, until its message has found a receive. The receive of the next action is posted
     * together with the send of the one before; with 0 (RENDEZVOUS) there are no others. A stage
     * that posted it only after its send were done would stop in most schedules: two neighbours
     * send to each other.
     * Every schedule of one chunk ends by RENDEZVOUS; several chunks may want 1 or 2 (the tests
     * try up to 8 stages, 4 chunks and 16 micro-batches).
     */
    int receives_ahead;
} qd_pipeline_times;

typedef struct qd_pipeline_span {
    double start, end;
} qd_pipeline_span;

typedef struct qd_pipeline_stage_run {
    qd_pipeline_span *spans; /* [count of the stage's actions], in the order of the table */
    double busy, bubble;     /* their sum is the total */
    int peak_live;           /* most forwards of a micro-batch through a chunk that were kept at
                                once: from the start of FORWARD to the end of what adds its weights'
                                gradients. Divided by chunks: micro-batches of the whole stage */
} qd_pipeline_stage_run;

typedef struct qd_pipeline_run {
    int stages;
    qd_pipeline_stage_run *stage; /* [stages] */
    double total;
    int receives_ahead; /* with so many, no sender would have waited in this run */
} qd_pipeline_run;

/*
 * Checks the table (qd_pipeline_check) and runs it. QD_ECONFIG when it is not complete, not in
 * order, or comes to a stop: the message names the stages, their actions and what each waits for.
 * QD_ENOMEM. Owner of *run: the caller (qd_pipeline_run_destroy).
 */
int qd_pipeline_simulate(const qd_pipeline_table *table, const qd_pipeline_times *times,
                         qd_pipeline_run **run);
void qd_pipeline_run_destroy(qd_pipeline_run *run);

/* The part of the stages' time, all together, in which they idle: 0 .. 1. */
double qd_pipeline_bubble_share(const qd_pipeline_run *run);

#endif
