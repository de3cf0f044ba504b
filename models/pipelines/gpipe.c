#include "models/pipeline.h"

static int any(int stages) {
    (void)stages;
    return 1;
}

static int fill(qd_pipeline_table *table) {
    static const qd_pipeline_action_kind passes[] = {QD_PIPELINE_FORWARD, QD_PIPELINE_BACKWARD};
    int rc = 0;
    for (int s = 0; s < table->stages; s++)
        for (int pass = 0; pass < 2; pass++)
            for (int i = 0; i < table->micro_batches && !rc; i++)
                rc = qd_pipeline_add(table, s, (qd_pipeline_action){passes[pass], i, 0});
    return rc;
}

const qd_pipeline_kind qd_pipeline_gpipe = {
    .name = "gpipe",
    .summary = "all forwards, then all backwards",
    .least_micro_batches = any,
    .fill = fill,
};
