/*
 * pipeline.h: the order in which the chunks of a group's collective calls move. All chunks of all
 * calls, in the order of their start, are one stream of numbered tickets, which every member
 * numbers alike. Each ticket passes five stages (stages.h); up to QD_WINDOWS are between the first
 * and the last at once, so that calls follow each other without a gap.
 */
#ifndef QD_COLLECTIVES_PIPELINE_H
#define QD_COLLECTIVES_PIPELINE_H

#include <stdint.h>

#include "collectives/operation_state.h"
#include "collectives/shm_layout.h"

struct qd_group;

typedef enum {
    QD_STAGE_PUT,   /* lay out own parts for others */
    QD_STAGE_RELAY, /* add what this host has of others' pieces, send it to them */
    QD_STAGE_SUM,   /* add the own piece, give it out */
    QD_STAGE_PASS,  /* pass on sums that came from other hosts */
    QD_STAGE_GET,   /* copy the other pieces of the result */
    QD_STAGES
} qd_stage;

/* Ticket `number` is chunk `chunk` of op; window: number % QD_WINDOWS. */
typedef struct qd_ticket {
    qd_operation *op;
    size_t chunk;
    uint64_t number;
    int window;
} qd_ticket;

typedef struct qd_pipeline {
    uint64_t passed[QD_STAGES]; /* tickets that have passed each */
    qd_ticket window[QD_WINDOWS];
    qd_operation *first, *last; /* not yet ended, in the order of their start */
    qd_operation *entering;     /* the first one with chunks that have not entered */
} qd_pipeline;

void qd_pipeline_append(qd_pipeline *pipeline, qd_operation *operation);

/* Moves each ticket on by a stage where it can. 1, 0 or an error. */
int qd_pipeline_pass(struct qd_group *group);

/* Takes the first operation if it has moved and may end; else NULL. */
qd_operation *qd_pipeline_take_ended(struct qd_group *group);

/* Marks in group->late who holds up the oldest ticket. */
void qd_pipeline_find_late(struct qd_group *group);

#endif
