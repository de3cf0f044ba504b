#include "worker/pipeline_driver.h"

static int drive_action(const qd_pipeline_table *table, int stage, const qd_pipeline_action *action,
                        const qd_pipeline_driver *d) {
    int rc = 0;
    for (int way = 0; way < QD_PIPELINE_CHANNELS && !rc; way++)
        if (qd_pipeline_takes(table, stage, action, way))
            rc = d->take(d->context, action, way);
    if (!rc)
        rc = d->run(d->context, action);
    for (int way = 0; way < QD_PIPELINE_CHANNELS && !rc; way++)
        if (qd_pipeline_sends(table, stage, action, way))
            rc = d->send(d->context, action, way);
    return rc;
}

int qd_pipeline_drive(const qd_pipeline_table *table, int stage, const qd_pipeline_driver *driver) {
    const qd_pipeline_stage *list = &table->stage[stage];
    int rc = 0;
    for (int i = 0; i < list->count && !rc; i++)
        rc = drive_action(table, stage, &list->actions[i], driver);
    return rc;
}

int qd_pipeline_in_flight(const qd_pipeline_table *table, int stage, int chunk) {
    const qd_pipeline_stage *list = &table->stage[stage];
    int live = 0, most = 0;
    for (int i = 0; i < list->count; i++) {
        if (list->actions[i].chunk != chunk)
            continue;
        live += list->actions[i].kind == QD_PIPELINE_FORWARD;
        most = live > most ? live : most;
        live -= qd_pipeline_adds_weights(list->actions[i].kind);
    }
    return most;
}

bool qd_pipeline_halves(const qd_pipeline_table *table) {
    for (int i = 0; i < table->stage[0].count; i++)
        if (table->stage[0].actions[i].kind == QD_PIPELINE_BACKWARD_WEIGHT)
            return true;
    return false;
}
