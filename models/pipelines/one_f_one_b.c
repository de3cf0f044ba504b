#include "models/pipeline.h"

static int any(int stages) {
    (void)stages;
    return 1;
}

/* Forward i runs just before the backward that comes as many micro-batches behind it as there are
 * stages after this one: the time an output takes to the end and back. */
static int fill_stage(qd_pipeline_table *table, int stage) {
    int m = table->micro_batches, ahead = table->stages - 1 - stage, rc = 0;
    for (int i = 0; i < m + ahead && !rc; i++) {
        if (i < m)
            rc = qd_pipeline_add(table, stage, (qd_pipeline_action){QD_PIPELINE_FORWARD, i, 0});
        if (!rc && i >= ahead)
            rc = qd_pipeline_add(table, stage,
                                 (qd_pipeline_action){QD_PIPELINE_BACKWARD, i - ahead, 0});
    }
    return rc;
}

static int fill(qd_pipeline_table *table) {
    int rc = 0;
    for (int s = 0; s < table->stages && !rc; s++)
        rc = fill_stage(table, s);
    return rc;
}

const qd_pipeline_kind qd_pipeline_1f1b = {
    .name = "1f1b",
    .summary = "one forward, one backward",
    .least_micro_batches = any,
    .fill = fill,
};
