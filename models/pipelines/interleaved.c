/*
 * Micro-batches go through the chunks in groups: a group's forwards through chunk 0, then through
 * chunk 1, and so on, its backwards from the last chunk to the first. A group holds at least as
 * many micro-batches as there are stages: the first has then come round to the first stage when
 * that has done the last. Micro-batches that stages do not divide make some groups one larger;
 * those come first, since the warm-up is as long as the first group and a larger one behind it
 * would find its backwards due before its forwards.
 */
#include "models/pipeline.h"

static int as_many_as_stages(int stages) {
    return stages;
}

/* Where the k-th forward (backward) of a stage lies, 0 <= k < micro_batches * chunks. */
typedef struct place {
    int micro_batch, chunk;
} place;

static int groups(const qd_pipeline_table *table) {
    return table->micro_batches / table->stages;
}

static int first_group(const qd_pipeline_table *table) {
    return (table->micro_batches + groups(table) - 1) / groups(table);
}

static place place_of(const qd_pipeline_table *table, int k) {
    int g = groups(table), large = table->micro_batches % g;
    int small_size = table->micro_batches / g, first = 0;
    int size = large > 0 ? small_size + 1 : small_size;
    int in_large = large * size * table->chunks;
    if (large > 0 && k >= in_large) {
        k -= in_large;
        first = large * size;
        size = small_size;
    }
    int group = k / (size * table->chunks), within = k % (size * table->chunks);
    return (place){first + group * size + within % size, within / size};
}

static int add(qd_pipeline_table *table, int stage, qd_pipeline_action_kind kind, int k) {
    place p = place_of(table, k);
    int chunk = kind == QD_PIPELINE_FORWARD ? p.chunk : table->chunks - 1 - p.chunk;
    return qd_pipeline_add(table, stage, (qd_pipeline_action){kind, p.micro_batch, chunk});
}

/* Twice the stages behind this one: a stage is two turns of the pipeline from the next, not one,
 * since between its forward and its backward lies a chunk that is not the last. */
static int fill_stage(qd_pipeline_table *table, int stage) {
    int n = table->micro_batches * table->chunks, rc = 0;
    int ahead = 2 * (table->stages - 1 - stage) + (table->chunks - 1) * first_group(table);
    for (int k = 0; k < n + ahead && !rc; k++) {
        if (k < n)
            rc = add(table, stage, QD_PIPELINE_FORWARD, k);
        if (!rc && k >= ahead)
            rc = add(table, stage, QD_PIPELINE_BACKWARD, k - ahead);
    }
    return rc;
}

static int fill(qd_pipeline_table *table) {
    if (table->chunks == 1)
        return qd_pipeline_1f1b.fill(table);
    int rc = 0;
    for (int s = 0; s < table->stages && !rc; s++)
        rc = fill_stage(table, s);
    return rc;
}

const qd_pipeline_kind qd_pipeline_interleaved = {
    .name = "interleaved",
    .summary = "1f1b over several chunks a stage",
    .interleaves = true,
    .least_micro_batches = as_many_as_stages,
    .fill = fill,
};
