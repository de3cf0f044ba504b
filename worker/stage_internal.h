/* stage_internal.h: what the files of the stage share; for worker/stage*.c only. */
#ifndef QD_WORKER_STAGE_INTERNAL_H
#define QD_WORKER_STAGE_INTERNAL_H

#include "models/part_graph.h"
#include "worker/pipeline_driver.h"
#include "worker/stage.h"

/* Values that parts hand over at once, at most. */
enum { QD_STAGE_MOST_HANDED = 16 };

/* A part of the model that is here. */
typedef struct qd_stage_unit {
    int part; /* of the model's */
    qd_engine *engine;
    qd_exchange *exchange; /* over data; NULL: not connected */
    int *params;           /* [param_count] of the whole graph */
    bool *leads; /* [param_count] its copy is the first of those that parts have, or alone */
} qd_stage_unit;

/* A run of units, computed one after the other. */
typedef struct qd_stage_chunk {
    int first, end; /* units */
    int part;       /* of the schedule's table */
    int in_flight;
    qd_batch batch;                             /* of the slot whose micro-batches go forward */
    int64_t next_slot;                          /* that the batch is asked for, counted from 0 */
    int forwards;                               /* done in this step */
    qd_operation **sends[QD_PIPELINE_CHANNELS]; /* [in_flight][values] under way */
    int values[QD_PIPELINE_CHANNELS];           /* that a message has */
    qd_operation **returns;                     /* [in_flight][returned] gradients that come back */
    int returned;
} qd_stage_chunk;

struct qd_stage {
    qd_stage_config config;
    qd_graph *whole;
    qd_pipeline_stages *cut; /* NULL: of one part */
    int parts;               /* of the model */
    qd_pipeline_table *table;
    int idle; /* first micro-batches of the table that others have, and this member has not */
    qd_stage_unit *units; /* [unit_count], ascending within a chunk */
    int unit_count;
    qd_stage_chunk *chunks;    /* [table->chunks] */
    const qd_stage_feed *feed; /* while it runs */
    int next_return;           /* place in the stage's list up to which gradients are asked for */
    qd_group *group[QD_PIPELINE_CHANNELS];
    int64_t *bounds; /* [pp + 1] */
    double *squares; /* [pp][whole parameters] */
    float *totals;   /* [QD_MEMORY_TOTALS], 64-byte aligned */
    int *one_each;   /* [pp + 1] */
    float *shared;   /* the largest gradient that comes from another stage; NULL: none does */
};

/* The stage that has a part of the model. */
int qd_stage_of_part(const qd_stage *stage, int part);

/* The unit that is a part; NULL: elsewhere. */
qd_stage_unit *qd_stage_unit_of(qd_stage *stage, int part);

/* Adds up the gradients of what several parts read. */
int qd_stage_sum_shared(qd_stage *stage);

#endif
