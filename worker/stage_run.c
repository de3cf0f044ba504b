/* Micro-batches through the parts of a stage, as its list of the schedule's table says. */
#include "collectives/exchange.h"
#include "runtime/error.h"
#include "worker/stage_internal.h"

/* ---- between stages ---- */

static int wait_for_sends(qd_stage *s, qd_stage_chunk *chunk, qd_pipeline_way way,
                          int micro_batch) {
    int values = chunk->values[way], rc = 0;
    qd_operation **sends = chunk->sends[way] + micro_batch % chunk->in_flight * values;
    qd_span_kind before = qd_span_enter(s->config.spans, QD_SPAN_PIPELINE);
    for (int i = 0; i < values; i++) {
        int ended = qd_operation_wait(sends[i]);
        sends[i] = NULL;
        rc = rc ? rc : ended;
    }
    qd_span_enter(s->config.spans, before);
    return rc;
}

/* What the chunk takes, or hands on, this way. */
static int open_handovers(qd_stage *s, const qd_stage_chunk *chunk, bool taken, int64_t micro_batch,
                          qd_pipeline_way way, qd_handover *open) {
    qd_engine *engine = s->units[taken ? chunk->first : chunk->end - 1].engine;
    const qd_graph *graph = qd_engine_graph(engine);
    int count = taken ? graph->taken_count : graph->handed_count, opened = 0;
    for (int i = 0; i < count; i++) {
        qd_handover h = taken ? qd_engine_taken(engine, micro_batch, i)
                              : qd_engine_handed(engine, micro_batch, i);
        if (way == QD_PIPELINE_GRADIENTS)
            h.value = h.gradient;
        if (h.value)
            open[opened++] = h;
    }
    return opened;
}

/* Of outputs from the stage before, of gradients from the one behind. */
static int take(void *context, const qd_pipeline_action *action, qd_pipeline_way way) {
    qd_stage *s = context;
    const qd_stage_chunk *chunk = &s->chunks[action->chunk];
    qd_handover open[QD_STAGE_MOST_HANDED];
    bool forward = way == QD_PIPELINE_OUTPUTS;
    int step = forward ? -1 : 1, stages = s->table->stages, rc = 0;
    int from = (s->config.place.p + step + stages) % stages;
    int count = open_handovers(s, chunk, forward, action->micro_batch, way, open);
    qd_span_kind before = qd_span_enter(s->config.spans, QD_SPAN_PIPELINE);
    for (int i = 0; i < count && !rc; i++)
        rc = qd_receive(s->group[way], from, open[i].value, (int64_t)open[i].bytes);
    qd_span_enter(s->config.spans, before);
    return rc;
}

static int send(void *context, const qd_pipeline_action *action, qd_pipeline_way way) {
    qd_stage *s = context;
    qd_stage_chunk *chunk = &s->chunks[action->chunk];
    qd_handover open[QD_STAGE_MOST_HANDED];
    int to = qd_pipeline_receiver(s->table, s->config.place.p, way), rc = 0;
    int count =
        open_handovers(s, chunk, way == QD_PIPELINE_GRADIENTS, action->micro_batch, way, open);
    qd_operation **sends = chunk->sends[way] + action->micro_batch % chunk->in_flight * count;
    for (int i = 0; i < count && !rc; i++)
        rc = qd_send_start(s->group[way], to, open[i].value, (int64_t)open[i].bytes, &sends[i]);
    return rc;
}

/* ---- between parts of a chunk ---- */

/* From unit `from` to its neighbour: values forward, gradients back. */
static int hand_over(qd_stage *s, int from, int to, int64_t micro_batch) {
    bool forward = to > from;
    qd_engine *front = s->units[forward ? from : to].engine;
    qd_engine *back = s->units[forward ? to : from].engine;
    int rc = 0;
    for (int i = 0; i < qd_engine_graph(back)->taken_count && !rc; i++) {
        qd_handover handed = qd_engine_handed(front, micro_batch, i);
        qd_handover taken = qd_engine_taken(back, micro_batch, i);
        if (forward)
            rc = qd_engine_copy(back, taken.value, handed.value, handed.bytes);
        else if (handed.gradient)
            rc = qd_engine_copy(front, handed.gradient, taken.gradient, handed.bytes);
    }
    return rc;
}

/* ---- actions ---- */

static int micro_batches_of_a_slot(const qd_stage *s) {
    const qd_job *job = s->config.job;
    return (int)(job->train.batch / job->slots_data / s->whole->samples);
}

static int find_batch(qd_stage *s, int number, int micro_batch) {
    qd_stage_chunk *chunk = &s->chunks[number];
    int64_t slot = micro_batch / micro_batches_of_a_slot(s);
    if (slot < chunk->next_slot || !qd_stage_reads_data(s, number))
        return 0;
    chunk->next_slot++;
    return s->feed->next(s->feed->context, number, &chunk->batch);
}

static int forward(qd_stage *s, const qd_pipeline_action *action) {
    qd_stage_chunk *chunk = &s->chunks[action->chunk];
    int rc = find_batch(s, action->chunk, action->micro_batch);
    for (int u = chunk->first; u < chunk->end && !rc; u++) {
        if (u > chunk->first)
            rc = hand_over(s, u - 1, u, action->micro_batch);
        if (!rc)
            rc = qd_engine_forward(s->units[u].engine, action->micro_batch, &chunk->batch);
    }
    return rc;
}

typedef int backward_call(qd_engine *engine, int64_t micro_batch);

/* As a whole, or the inputs' half. */
static int backward(qd_stage *s, const qd_pipeline_action *action, backward_call *call) {
    qd_stage_chunk *chunk = &s->chunks[action->chunk];
    int rc = wait_for_sends(s, chunk, QD_PIPELINE_OUTPUTS, action->micro_batch);
    for (int u = chunk->end - 1; u >= chunk->first && !rc; u--) {
        if (u < chunk->end - 1)
            rc = hand_over(s, u + 1, u, action->micro_batch);
        if (!rc)
            rc = call(s->units[u].engine, action->micro_batch);
    }
    return rc;
}

static int backward_weights(qd_stage *s, const qd_pipeline_action *action) {
    qd_stage_chunk *chunk = &s->chunks[action->chunk];
    int rc = 0;
    for (int u = chunk->end - 1; u >= chunk->first && !rc; u--)
        rc = qd_engine_backward_weight(s->units[u].engine, action->micro_batch);
    return rc;
}

static int run(void *context, const qd_pipeline_action *action) {
    qd_stage *s = context;
    int rc = s->feed->between(s->feed->context);
    if (rc)
        return rc;
    switch (action->kind) {
    case QD_PIPELINE_FORWARD:
        return forward(s, action);
    case QD_PIPELINE_BACKWARD:
        return backward(s, action, qd_engine_backward);
    case QD_PIPELINE_BACKWARD_INPUT:
        return backward(s, action, qd_engine_backward_input);
    case QD_PIPELINE_BACKWARD_WEIGHT:
        return backward_weights(s, action);
    case QD_PIPELINE_ACTIONS:
        break;
    }
    return 0;
}

/* What stood in the pool before has left. */
static int take_into_pool(void *context, const qd_pipeline_action *action, qd_pipeline_way way) {
    qd_stage *s = context;
    int rc = 0;
    if (action->kind == QD_PIPELINE_FORWARD)
        rc = wait_for_sends(s, &s->chunks[action->chunk], QD_PIPELINE_GRADIENTS,
                            action->micro_batch);
    return rc ? rc : take(context, action, way);
}

int qd_stage_run(qd_stage *s, const qd_stage_feed *feed) {
    qd_pipeline_driver driver = {.context = s, .take = take_into_pool, .run = run, .send = send};
    s->feed = feed;
    for (int c = 0; c < s->table->chunks; c++)
        s->chunks[c].next_slot = 0;
    int rc = qd_pipeline_drive(s->table, s->config.place.p, &driver);
    for (int c = 0; c < s->table->chunks && !rc; c++)
        for (int i = 0; i < s->chunks[c].in_flight && !rc; i++)
            rc = wait_for_sends(s, &s->chunks[c], QD_PIPELINE_GRADIENTS, i);
    return rc;
}

/* ---- evaluation ---- */

static int evaluate_chunk(qd_stage *s, int number, const qd_batch *batch, int64_t valid,
                          double *loss_sum, int64_t *correct) {
    const qd_stage_chunk *chunk = &s->chunks[number];
    qd_pipeline_action action = {.kind = QD_PIPELINE_FORWARD, .chunk = number};
    int rc = 0;
    if (qd_pipeline_takes(s->table, s->config.place.p, &action, QD_PIPELINE_OUTPUTS))
        rc = take(s, &action, QD_PIPELINE_OUTPUTS);
    for (int u = chunk->first; u < chunk->end && !rc; u++) {
        if (u > chunk->first)
            rc = hand_over(s, u - 1, u, 0);
        if (!rc)
            rc = qd_engine_evaluate(s->units[u].engine, batch, valid, loss_sum, correct);
    }
    if (rc || !qd_pipeline_sends(s->table, s->config.place.p, &action, QD_PIPELINE_OUTPUTS))
        return rc;
    rc = send(s, &action, QD_PIPELINE_OUTPUTS);
    return rc ? rc : wait_for_sends(s, &s->chunks[number], QD_PIPELINE_OUTPUTS, 0);
}

int qd_stage_evaluate(qd_stage *s, const qd_batch *batch, int64_t valid, double *loss_sum,
                      int64_t *correct) {
    int rc = 0;
    for (int c = 0; c < s->table->chunks && !rc; c++)
        rc = evaluate_chunk(s, c, batch, valid, loss_sum, correct);
    return rc;
}
