/* Micro-batches through the parts of a stage, as its list of the schedule's table says. */
#include "collectives/exchange.h"
#include "runtime/error.h"
#include "worker/stage_internal.h"

/* The table counts the micro-batches of the member that has most; others sit out the first ones. */
static qd_pipeline_action own_of(const qd_stage *s, const qd_pipeline_action *action) {
    qd_pipeline_action own = *action;
    own.micro_batch -= s->idle;
    return own;
}

/* ---- between stages ---- */

static int wait_for(qd_stage *s, qd_operation **operations, int count) {
    qd_span_kind before = qd_span_enter(s->config.spans, QD_SPAN_PIPELINE);
    int rc = 0;
    for (int i = 0; i < count; i++) {
        int ended = qd_operation_wait(operations[i]);
        operations[i] = NULL;
        rc = rc ? rc : ended;
    }
    qd_span_enter(s->config.spans, before);
    return rc;
}

static int wait_for_sends(qd_stage *s, qd_stage_chunk *chunk, qd_pipeline_way way,
                          int micro_batch) {
    int values = chunk->values[way];
    return wait_for(s, chunk->sends[way] + micro_batch % chunk->in_flight * values, values);
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

static int take_outputs(qd_stage *s, const qd_pipeline_action *action) {
    const qd_stage_chunk *chunk = &s->chunks[action->chunk];
    qd_handover open[QD_STAGE_MOST_HANDED];
    int stages = s->table->stages, from = (s->config.place.p + stages - 1) % stages, rc = 0;
    int count = open_handovers(s, chunk, true, action->micro_batch, QD_PIPELINE_OUTPUTS, open);
    qd_span_kind before = qd_span_enter(s->config.spans, QD_SPAN_PIPELINE);
    for (int i = 0; i < count && !rc; i++)
        rc = qd_receive(s->group[QD_PIPELINE_OUTPUTS], from, open[i].value, (int64_t)open[i].bytes);
    qd_span_enter(s->config.spans, before);
    return rc;
}

static int ask_for(qd_stage *s, const qd_pipeline_action *action) {
    const qd_stage_chunk *chunk = &s->chunks[action->chunk];
    qd_handover open[QD_STAGE_MOST_HANDED];
    int from = (s->config.place.p + 1) % s->table->stages, rc = 0;
    int count = open_handovers(s, chunk, false, action->micro_batch, QD_PIPELINE_GRADIENTS, open);
    qd_operation **returns = chunk->returns + action->micro_batch % chunk->in_flight * count;
    for (int i = 0; i < count && !rc; i++)
        rc = qd_receive_start(s->group[QD_PIPELINE_GRADIENTS], from, open[i].value,
                              (int64_t)open[i].bytes, &returns[i]);
    return rc;
}

/* Gradients that come back have their place from forward on, and are received in the order in which
 * they are sent. */
static int ask_for_gradients(qd_stage *s) {
    const qd_pipeline_stage *list = &s->table->stage[s->config.place.p];
    int rc = 0;
    for (; s->next_return < list->count && !rc; s->next_return++) {
        const qd_pipeline_action *action = &list->actions[s->next_return];
        qd_pipeline_action own = own_of(s, action);
        if (own.micro_batch < 0 ||
            !qd_pipeline_takes(s->table, s->config.place.p, action, QD_PIPELINE_GRADIENTS))
            continue;
        if (own.micro_batch >= s->chunks[own.chunk].forwards)
            break;
        rc = ask_for(s, &own);
    }
    return rc;
}

static int take_gradients(qd_stage *s, const qd_pipeline_action *action) {
    const qd_stage_chunk *chunk = &s->chunks[action->chunk];
    int count = chunk->returned, rc = ask_for_gradients(s);
    qd_operation **returns = chunk->returns + action->micro_batch % chunk->in_flight * count;
    return rc ? rc : wait_for(s, returns, count);
}

static int send_own(qd_stage *s, const qd_pipeline_action *action, qd_pipeline_way way) {
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

static int find_batch(qd_stage *s, int number, int micro_batch) {
    qd_stage_chunk *chunk = &s->chunks[number];
    int64_t slot = micro_batch / qd_job_micro_batches(s->config.job);
    if (slot < chunk->next_slot || !qd_stage_reads_data(s, number))
        return 0;
    chunk->next_slot++;
    return s->feed->next(s->feed->context, number, &chunk->batch);
}

/*
 * With several chunks, a stage that asked for gradients only when it needs them could leave another
 * waiting to be rid of them, for the place where the next micro-batch is to stand, and both for
 * each other: interleaved, 2 stages of 3 chunks and 5 micro-batches, where messages are longer than
 * a channel. With one chunk no schedule does; and gpipe would wait for its first gradient, while
 * others are at work, as long as all forwards take.
 */
static int forward(qd_stage *s, const qd_pipeline_action *action) {
    qd_stage_chunk *chunk = &s->chunks[action->chunk];
    int rc = find_batch(s, action->chunk, action->micro_batch);
    for (int u = chunk->first; u < chunk->end && !rc; u++) {
        if (u > chunk->first)
            rc = hand_over(s, u - 1, u, action->micro_batch);
        if (!rc)
            rc = qd_engine_forward(s->units[u].engine, action->micro_batch, &chunk->batch);
    }
    chunk->forwards++;
    return rc || s->table->chunks == 1 ? rc : ask_for_gradients(s);
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

static int sit_out(qd_stage *s, const qd_pipeline_action *action) {
    static const qd_engine_stretch stretches[QD_PIPELINE_ACTIONS] = {
        [QD_PIPELINE_FORWARD] = QD_ENGINE_FORWARD,
        [QD_PIPELINE_BACKWARD] = QD_ENGINE_BACKWARD,
        [QD_PIPELINE_BACKWARD_INPUT] = QD_ENGINE_BACKWARD_INPUT,
        [QD_PIPELINE_BACKWARD_WEIGHT] = QD_ENGINE_BACKWARD_WEIGHT,
    };
    const qd_stage_chunk *chunk = &s->chunks[action->chunk];
    bool forward = action->kind == QD_PIPELINE_FORWARD;
    int rc = 0;
    for (int i = 0; i < chunk->end - chunk->first && !rc; i++) {
        int u = forward ? chunk->first + i : chunk->end - 1 - i;
        rc = qd_engine_attend(s->units[u].engine, stretches[action->kind]);
    }
    return rc;
}

static int run(void *context, const qd_pipeline_action *action) {
    qd_stage *s = context;
    qd_pipeline_action own = own_of(s, action);
    int rc = s->feed->between(s->feed->context);
    if (rc)
        return rc;
    if (own.micro_batch < 0)
        return sit_out(s, action);
    switch (own.kind) {
    case QD_PIPELINE_FORWARD:
        return forward(s, &own);
    case QD_PIPELINE_BACKWARD:
        return backward(s, &own, qd_engine_backward);
    case QD_PIPELINE_BACKWARD_INPUT:
        return backward(s, &own, qd_engine_backward_input);
    case QD_PIPELINE_BACKWARD_WEIGHT:
        return backward_weights(s, &own);
    case QD_PIPELINE_ACTIONS:
        break;
    }
    return 0;
}

static int take(void *context, const qd_pipeline_action *action, qd_pipeline_way way) {
    qd_stage *s = context;
    qd_pipeline_action own = own_of(s, action);
    if (own.micro_batch < 0)
        return 0;
    if (way == QD_PIPELINE_GRADIENTS)
        return take_gradients(s, &own);
    /* What stood in the pool before has left. */
    int rc = wait_for_sends(s, &s->chunks[own.chunk], QD_PIPELINE_GRADIENTS, own.micro_batch);
    return rc ? rc : take_outputs(s, &own);
}

static int send(void *context, const qd_pipeline_action *action, qd_pipeline_way way) {
    qd_stage *s = context;
    qd_pipeline_action own = own_of(s, action);
    return own.micro_batch < 0 ? 0 : send_own(s, &own, way);
}

int qd_stage_run(qd_stage *s, const qd_stage_feed *feed) {
    qd_pipeline_driver driver = {.context = s, .take = take, .run = run, .send = send};
    s->feed = feed;
    s->next_return = 0;
    for (int c = 0; c < s->table->chunks; c++)
        s->chunks[c].next_slot = s->chunks[c].forwards = 0;
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
        rc = take_outputs(s, &action);
    for (int u = chunk->first; u < chunk->end && !rc; u++) {
        if (u > chunk->first)
            rc = hand_over(s, u - 1, u, 0);
        if (!rc)
            rc = qd_engine_evaluate(s->units[u].engine, batch, valid, loss_sum, correct);
    }
    if (rc || !qd_pipeline_sends(s->table, s->config.place.p, &action, QD_PIPELINE_OUTPUTS))
        return rc;
    rc = send_own(s, &action, QD_PIPELINE_OUTPUTS);
    return rc ? rc : wait_for_sends(s, &s->chunks[number], QD_PIPELINE_OUTPUTS, 0);
}

int qd_stage_evaluate(qd_stage *s, const qd_batch *batch, int64_t valid, double *loss_sum,
                      int64_t *correct) {
    int rc = 0;
    for (int c = 0; c < s->table->chunks && !rc; c++)
        rc = evaluate_chunk(s, c, batch, valid, loss_sum, correct);
    return rc;
}
