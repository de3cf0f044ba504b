#include <stdint.h>
#include <stdlib.h>

#include "models/pipeline.h"
#include "runtime/error.h"

/* What was seen of each micro-batch in each chunk of one stage: bits of 1 << kind. */
typedef struct seen {
    const qd_pipeline_table *table;
    int stage;
    uint8_t *bits; /* [chunks][micro_batches] */
    int *forward;  /* [chunks] micro-batches that went forward so far */
    int *weights;  /* [chunks] that added their gradients */
} seen;

static int refuse(const seen *s, const qd_pipeline_action *action, const char *why) {
    char text[64];
    return qd_error_set(QD_ECONFIG, "pipeline stage %d: %s %s", s->stage,
                        qd_pipeline_action_text(action, text, sizeof text), why);
}

/* Kinds that exclude each other: each once, and backward either whole or in halves. */
static unsigned excluded_by(qd_pipeline_action_kind kind) {
    unsigned whole = 1u << QD_PIPELINE_BACKWARD;
    unsigned halves = 1u << QD_PIPELINE_BACKWARD_INPUT | 1u << QD_PIPELINE_BACKWARD_WEIGHT;
    unsigned own = 1u << kind;
    if (kind == QD_PIPELINE_FORWARD)
        return own;
    return own | (kind == QD_PIPELINE_BACKWARD ? halves : whole);
}

static int see(seen *s, const qd_pipeline_action *a) {
    const qd_pipeline_table *t = s->table;
    if ((unsigned)a->kind >= QD_PIPELINE_ACTIONS)
        return qd_error_set(QD_ECONFIG,
                            "pipeline stage %d: an action of kind %d; there are 0 to %d", s->stage,
                            (int)a->kind, QD_PIPELINE_ACTIONS - 1);
    if (a->micro_batch < 0 || a->micro_batch >= t->micro_batches || a->chunk < 0 ||
        a->chunk >= t->chunks)
        return refuse(s, a, "is not in the table");
    uint8_t *bits = &s->bits[(size_t)a->chunk * (size_t)t->micro_batches + (size_t)a->micro_batch];
    if (*bits & excluded_by(a->kind))
        return refuse(s, a, "comes twice");
    *bits |= (uint8_t)(1u << a->kind);
    if (a->kind == QD_PIPELINE_FORWARD && s->forward[a->chunk]++ != a->micro_batch)
        return refuse(s, a, "is out of turn; forwards go in the order of the micro-batches");
    if (qd_pipeline_adds_weights(a->kind) && s->weights[a->chunk]++ != a->micro_batch)
        return refuse(s, a,
                      "is out of turn; gradients of parameters are summed in the order of the "
                      "micro-batches");
    return 0;
}

static int check_complete(const seen *s) {
    const qd_pipeline_table *t = s->table;
    for (int chunk = 0; chunk < t->chunks; chunk++)
        for (int i = 0; i < t->micro_batches; i++) {
            unsigned bits = s->bits[(size_t)chunk * (size_t)t->micro_batches + (size_t)i];
            qd_pipeline_action missing = {QD_PIPELINE_FORWARD, i, chunk};
            if (bits & 1u << missing.kind) {
                bool whole = bits & 1u << QD_PIPELINE_BACKWARD;
                bool input = bits & 1u << QD_PIPELINE_BACKWARD_INPUT;
                bool weight = bits & 1u << QD_PIPELINE_BACKWARD_WEIGHT;
                if (whole || (input && weight))
                    continue;
                missing.kind = input    ? QD_PIPELINE_BACKWARD_WEIGHT
                               : weight ? QD_PIPELINE_BACKWARD_INPUT
                                        : QD_PIPELINE_BACKWARD;
            }
            return refuse(s, &missing, "is missing");
        }
    return 0;
}

static int check_stage(const qd_pipeline_table *table, int stage) {
    size_t chunks = (size_t)table->chunks;
    seen s = {.table = table,
              .stage = stage,
              .bits = calloc(chunks * (size_t)table->micro_batches, 1),
              .forward = calloc(chunks, sizeof *s.forward),
              .weights = calloc(chunks, sizeof *s.weights)};
    int rc = s.bits && s.forward && s.weights
                 ? 0
                 : qd_error_set(QD_ENOMEM, "no memory to check a pipeline");
    for (int i = 0; i < table->stage[stage].count && !rc; i++)
        rc = see(&s, &table->stage[stage].actions[i]);
    if (!rc)
        rc = check_complete(&s);
    free(s.bits);
    free(s.forward);
    free(s.weights);
    return rc;
}

/* The next action of a stage, from *at on, that a channel's end belongs to; NULL behind the last.
 */
static const qd_pipeline_action *next(const qd_pipeline_table *table, int stage,
                                      qd_pipeline_way way, bool sender, int *at) {
    const qd_pipeline_stage *s = &table->stage[stage];
    while (*at < s->count) {
        const qd_pipeline_action *action = &s->actions[(*at)++];
        if ((sender ? qd_pipeline_sends : qd_pipeline_takes)(table, stage, action, way))
            return action;
    }
    return NULL;
}

/* A complete table has as many takers as senders on each channel. */
static int check_channel(const qd_pipeline_table *table, int sender, qd_pipeline_way way) {
    int receiver = qd_pipeline_receiver(table, sender, way);
    int step = way == QD_PIPELINE_OUTPUTS ? 1 : -1;
    int from = 0, to = 0;
    const qd_pipeline_action *sent, *taken;
    while ((sent = next(table, sender, way, true, &from)) &&
           (taken = next(table, receiver, way, false, &to))) {
        int part = qd_pipeline_part(table, sender, sent->chunk) + step;
        if (sent->micro_batch == taken->micro_batch &&
            part == qd_pipeline_part(table, receiver, taken->chunk))
            continue;
        char out[64], in[64];
        return qd_error_set(
            QD_ECONFIG,
            "pipeline stage %d sends stage %d the result of its %s where that awaits what "
            "its %s needs; messages are taken in the order in which they are sent",
            sender, receiver, qd_pipeline_action_text(sent, out, sizeof out),
            qd_pipeline_action_text(taken, in, sizeof in));
    }
    return 0;
}

int qd_pipeline_check(const qd_pipeline_table *table) {
    int rc = 0;
    for (int s = 0; s < table->stages && !rc; s++)
        rc = check_stage(table, s);
    for (int s = 0; s < table->stages && !rc; s++)
        for (int way = 0; way < QD_PIPELINE_CHANNELS && !rc; way++)
            rc = check_channel(table, s, (qd_pipeline_way)way);
    return rc;
}
