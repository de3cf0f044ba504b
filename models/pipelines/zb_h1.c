#include "models/pipeline.h"

static int any(int stages) {
    (void)stages;
    return 1;
}

typedef struct sequence {
    qd_pipeline_table *table;
    int stage, rc;
} sequence;

/* Adds the action of micro-batch i, where there is such a micro-batch. */
static void add(sequence *q, qd_pipeline_action_kind kind, int i) {
    if (!q->rc && i >= 0 && i < q->table->micro_batches)
        q->rc = qd_pipeline_add(q->table, q->stage, (qd_pipeline_action){kind, i, 0});
}

/* As 1F1B; the weights' half stays as many micro-batches behind the input's as there are stages
 * before this one. The later a stage, the fewer forwards it is ahead, and the more weights it may
 * owe within the same memory; the last ones are what the gaps at the end are filled with. */
static int fill_stage(qd_pipeline_table *table, int stage) {
    int ahead = table->stages - 1 - stage;
    sequence q = {table, stage, 0};
    for (int i = 0; i < table->micro_batches + ahead + stage; i++) {
        add(&q, QD_PIPELINE_FORWARD, i);
        add(&q, QD_PIPELINE_BACKWARD_INPUT, i - ahead);
        add(&q, QD_PIPELINE_BACKWARD_WEIGHT, i - ahead - stage);
    }
    return q.rc;
}

static int fill(qd_pipeline_table *table) {
    int rc = 0;
    for (int s = 0; s < table->stages && !rc; s++)
        rc = fill_stage(table, s);
    return rc;
}

const qd_pipeline_kind qd_pipeline_zb_h1 = {
    .name = "zb-h1",
    .summary = "1f1b, with weight gradients in the gaps",
    .least_micro_batches = any,
    .fill = fill,
};
