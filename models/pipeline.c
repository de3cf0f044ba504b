#include "models/pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "runtime/text.h"

static const qd_pipeline_kind *const kinds[] = {
    &qd_pipeline_gpipe,
    &qd_pipeline_1f1b,
    &qd_pipeline_interleaved,
    &qd_pipeline_zb_h1,
};

const char *const qd_pipeline_names[] = {"gpipe", "1f1b", "interleaved", "zb-h1", NULL};

const qd_pipeline_kind *qd_pipeline_by_name(const char *name) {
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    qd_text names = {0};
    for (int i = 0; qd_pipeline_names[i]; i++)
        qd_text_add(&names, "%s%s", i > 0 ? ", " : "", qd_pipeline_names[i]);
    qd_error_set(QD_ECONFIG, "no pipeline schedule '%s'; there are: %s", name,
                 names.failed ? qd_pipeline_names[0] : names.bytes);
    qd_text_fini(&names);
    return NULL;
}

const qd_pipeline_kind *qd_pipeline_kind_at(int schedule) {
    return kinds[schedule];
}

int qd_pipeline_place(const qd_pipeline_kind *kind) {
    int i = 0;
    while (kinds[i] != kind)
        i++;
    return i;
}

static int check_size(int stages, int chunks, int micro_batches) {
    if (stages < 1 || chunks < 1 || micro_batches < 1)
        return qd_error_set(QD_ECONFIG,
                            "a pipeline of %d stages, %d chunks a stage and %d micro-batches; "
                            "there is at least 1 of each",
                            stages, chunks, micro_batches);
    if ((double)stages * chunks * micro_batches > QD_PIPELINE_MAX_CELLS)
        return qd_error_set(QD_ECONFIG,
                            "a pipeline of %d stages, %d chunks a stage and %d micro-batches; "
                            "their product is at most %d",
                            stages, chunks, micro_batches, QD_PIPELINE_MAX_CELLS);
    return 0;
}

int qd_pipeline_create_empty(int stages, int chunks, int micro_batches, qd_pipeline_table **table) {
    int rc = check_size(stages, chunks, micro_batches);
    if (rc)
        return rc;
    qd_pipeline_table *t = calloc(1, sizeof *t);
    qd_pipeline_stage *stage = calloc((size_t)stages, sizeof *stage);
    if (!t || !stage) {
        free(t);
        free(stage);
        return qd_error_set(QD_ENOMEM, "no memory for a pipeline of %d stages", stages);
    }
    *t = (qd_pipeline_table){stages, chunks, micro_batches, stage};
    *table = t;
    return 0;
}

void qd_pipeline_destroy(qd_pipeline_table *table) {
    if (!table)
        return;
    for (int i = 0; i < table->stages; i++)
        free(table->stage[i].actions);
    free(table->stage);
    free(table);
}

int qd_pipeline_add(qd_pipeline_table *table, int stage, qd_pipeline_action action) {
    qd_pipeline_stage *s = &table->stage[stage];
    if (s->count == s->capacity) {
        int capacity = s->capacity ? 2 * s->capacity : 2 * table->chunks * table->micro_batches;
        qd_pipeline_action *larger = realloc(s->actions, (size_t)capacity * sizeof *larger);
        if (!larger)
            return qd_error_set(QD_ENOMEM, "no memory for %d actions of a stage", capacity);
        s->actions = larger;
        s->capacity = capacity;
    }
    s->actions[s->count++] = action;
    return 0;
}

int qd_pipeline_create(const qd_pipeline_kind *kind, int stages, int chunks, int micro_batches,
                       qd_pipeline_table **table) {
    qd_pipeline_table *t;
    int rc = qd_pipeline_create_empty(stages, chunks, micro_batches, &t);
    if (rc)
        return rc;
    int least = kind->least_micro_batches(stages);
    if (chunks > 1 && !kind->interleaves)
        rc = qd_error_set(QD_ECONFIG,
                          "schedule %s takes 1 chunk a stage, not %d; several chunks are for: %s",
                          kind->name, chunks, qd_pipeline_interleaved.name);
    else if (micro_batches < least)
        rc = qd_error_set(QD_ECONFIG,
                          "schedule %s on %d stages takes %d micro-batches or more, not %d",
                          kind->name, stages, least, micro_batches);
    else
        rc = kind->fill(t);
    if (rc)
        qd_pipeline_destroy(t);
    else
        *table = t;
    return rc;
}

int qd_pipeline_parts(const qd_pipeline_table *table) {
    return table->stages * table->chunks;
}

int qd_pipeline_part(const qd_pipeline_table *table, int stage, int chunk) {
    return chunk * table->stages + stage;
}

bool qd_pipeline_adds_weights(qd_pipeline_action_kind kind) {
    return kind == QD_PIPELINE_BACKWARD || kind == QD_PIPELINE_BACKWARD_WEIGHT;
}

bool qd_pipeline_makes_input_gradient(qd_pipeline_action_kind kind) {
    return kind == QD_PIPELINE_BACKWARD || kind == QD_PIPELINE_BACKWARD_INPUT;
}

int qd_pipeline_receiver(const qd_pipeline_table *table, int stage, qd_pipeline_way way) {
    return (stage + (way == QD_PIPELINE_OUTPUTS ? 1 : table->stages - 1)) % table->stages;
}

/* Whether the action makes what travels this way, on whatever part it runs. */
static bool goes(qd_pipeline_action_kind kind, qd_pipeline_way way) {
    return way == QD_PIPELINE_OUTPUTS ? kind == QD_PIPELINE_FORWARD
                                      : qd_pipeline_makes_input_gradient(kind);
}

bool qd_pipeline_sends(const qd_pipeline_table *table, int stage, const qd_pipeline_action *action,
                       qd_pipeline_way way) {
    int end = way == QD_PIPELINE_OUTPUTS ? qd_pipeline_parts(table) - 1 : 0;
    return table->stages > 1 && goes(action->kind, way) &&
           qd_pipeline_part(table, stage, action->chunk) != end;
}

bool qd_pipeline_takes(const qd_pipeline_table *table, int stage, const qd_pipeline_action *action,
                       qd_pipeline_way way) {
    int end = way == QD_PIPELINE_OUTPUTS ? 0 : qd_pipeline_parts(table) - 1;
    return table->stages > 1 && goes(action->kind, way) &&
           qd_pipeline_part(table, stage, action->chunk) != end;
}

const char *qd_pipeline_action_text(const qd_pipeline_action *action, char *text, size_t size) {
    static const char *const names[QD_PIPELINE_ACTIONS] = {
        [QD_PIPELINE_FORWARD] = "forward",
        [QD_PIPELINE_BACKWARD] = "backward",
        [QD_PIPELINE_BACKWARD_INPUT] = "backward (input)",
        [QD_PIPELINE_BACKWARD_WEIGHT] = "backward (weights)",
    };
    snprintf(text, size, "%s of micro-batch %d, chunk %d", names[action->kind], action->micro_batch,
             action->chunk);
    return text;
}
