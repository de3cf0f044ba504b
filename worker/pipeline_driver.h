/*
 * pipeline_driver.h: carries out one stage's list of a pipeline's table (models/pipeline.h): takes
 * what an action needs from other stages, runs it, sends what it made. What these do is the
 * caller's: an engine's parts (worker/stage.h), or anything that takes time.
 */
#ifndef QD_WORKER_PIPELINE_DRIVER_H
#define QD_WORKER_PIPELINE_DRIVER_H

#include "models/pipeline.h"

/* Each 0 or an error, which ends the run. */
typedef struct qd_pipeline_driver {
    void *context;
    int (*take)(void *context, const qd_pipeline_action *action, qd_pipeline_way way);
    int (*run)(void *context, const qd_pipeline_action *action);
    int (*send)(void *context, const qd_pipeline_action *action, qd_pipeline_way way);
} qd_pipeline_driver;

int qd_pipeline_drive(const qd_pipeline_table *table, int stage, const qd_pipeline_driver *driver);

/* Most micro-batches that a chunk of the stage keeps between FORWARD and the action that ends what
 * is kept of it. */
int qd_pipeline_in_flight(const qd_pipeline_table *table, int stage, int chunk);

/* Whether backward runs in its halves: as a table has it for all of its stages. */
bool qd_pipeline_halves(const qd_pipeline_table *table);

#endif
