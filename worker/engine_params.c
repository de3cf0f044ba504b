/*
 * Parameters, bucket by bucket: which of them are here, and where. Kept whole, they lie in the flat
 * vector, and those that others have updated come in while forward begins. Kept by shards, each
 * segment is gathered into a window (models/windows.h) for as long as something reads it.
 */
#include "runtime/error.h"
#include "worker/engine_internal.h"

float *qd_engine_params_at(const qd_engine *e, int64_t at, int64_t home) {
    return e->params + (e->windows ? home : at);
}

void qd_engine_forget_params(qd_engine *e) {
    for (int b = 0; b < e->buckets->count; b++)
        e->fresh[b] = false;
}

/* Where a bucket's parameters are, or are about to be. */
static float *wide_at(const qd_engine *e, int b) {
    if (!e->windows)
        return e->params + e->buckets->bucket[b].begin;
    return qd_engine_at(e, e->wide[b]);
}

static uint16_t *narrow_at(const qd_engine *e, int b) {
    if (e->windows)
        return qd_engine_at(e, e->narrow[b]);
    uint16_t *narrow = qd_engine_at(e, e->plan->narrow_params);
    return narrow ? narrow + e->buckets->bucket[b].begin : NULL;
}

static int refresh(qd_engine *e, int b) {
    const qd_bucket *bucket = &e->buckets->bucket[b];
    uint16_t *narrow = narrow_at(e, b);
    int rc = e->exchange ? qd_exchange_wait_gather(e->exchange, b) : 0;
    if (!rc && narrow)
        rc = e->backend->narrow(e->context, narrow, wide_at(e, b), bucket->end - bucket->begin);
    e->fresh[b] = !rc;
    return rc;
}

/* A window lies where the stretch of the timeline wants it. */
static void point_to_windows(qd_engine *e, int n) {
    const qd_node *node = &e->graph->nodes[n];
    qd_operands *o = qd_engine_operands(e, n);
    for (int i = 0; i < node->param_count; i++) {
        int p = node->params[i], b = e->bucket_of[p];
        int64_t inside = e->graph->params[p].offset - e->buckets->bucket[b].begin;
        uint16_t *narrow = narrow_at(e, b);
        o->params[i] = wide_at(e, b) + inside;
        o->narrow_params[i] = narrow ? narrow + inside : NULL;
    }
}

int qd_engine_need(qd_engine *e, int n) {
    const qd_node *node = &e->graph->nodes[n];
    int rc = 0;
    for (int i = 0; i < node->param_count; i++) {
        int p = node->params[i];
        for (int b = e->bucket_of[p]; b < e->buckets->count && !rc; b++) {
            if (e->buckets->bucket[b].first_param > p)
                break;
            if (!e->fresh[b])
                rc = refresh(e, b);
        }
    }
    if (e->windows)
        point_to_windows(e, n);
    return rc;
}

int qd_engine_settle(qd_engine *e) {
    int rc = 0;
    for (int b = 0; e->exchange && b < e->buckets->count && !rc; b++)
        rc = qd_exchange_wait_gather(e->exchange, b);
    return rc;
}

/* ---- windows ---- */

/* This member's piece goes where it belongs, and the others' come. */
static int gather(qd_engine *e, int b) {
    const int64_t *offset = e->buckets->blocks->offset;
    float *wide = wide_at(e, b);
    int first, end;
    qd_shards_blocks(e->shards, b, e->index, &first, &end);
    e->fresh[b] = false;
    int rc = e->backend->copy(e->context, wide + (offset[first] - e->buckets->bucket[b].begin),
                              e->params + e->home[b],
                              (size_t)(offset[end] - offset[first]) * sizeof *wide);
    if (!rc)
        rc = e->backend->wait(e->context);
    return rc ? rc : qd_exchange_gather(e->exchange, b, wide);
}

static int open_window(qd_engine *e, int w) {
    const qd_segment *s = &e->windows->segments->segment[e->windows->window[w].segment];
    size_t wide = e->plan->window[w], narrow = e->plan->narrow_window[w];
    int rc = 0;
    for (int b = s->first_bucket; b < s->end_bucket && !rc; b++) {
        size_t inside = (size_t)(e->buckets->bucket[b].begin - s->begin);
        e->wide[b] = wide + inside * sizeof(float);
        e->narrow[b] = narrow == SIZE_MAX ? SIZE_MAX : narrow + inside * sizeof(uint16_t);
        rc = gather(e, b);
    }
    return rc;
}

/* What nobody waited for has come nevertheless. */
static int close_window(qd_engine *e, int w) {
    const qd_segment *s = &e->windows->segments->segment[e->windows->window[w].segment];
    int rc = 0;
    for (int b = s->first_bucket; b < s->end_bucket && !rc; b++)
        rc = qd_exchange_wait_gather(e->exchange, b);
    return rc;
}

int qd_engine_open_windows(qd_engine *e, int pass) {
    int rc = 0;
    for (int w = 0; e->windows && w < e->windows->count && !rc; w++)
        if (e->windows->window[w].from == pass)
            rc = open_window(e, w);
    return rc;
}

int qd_engine_close_windows(qd_engine *e, int pass) {
    int rc = 0;
    for (int w = 0; e->windows && w < e->windows->count && !rc; w++)
        if (e->windows->window[w].until == pass)
            rc = close_window(e, w);
    return rc;
}

static int attend(qd_engine *e, int first, int end) {
    int rc = 0;
    for (int i = first; i < end && !rc; i++) {
        rc = qd_engine_open_windows(e, i);
        if (!rc)
            rc = qd_engine_close_windows(e, i);
    }
    return rc;
}

int qd_engine_attend(qd_engine *engine, qd_engine_stretch stretch) {
    const qd_timeline *t = engine->timeline;
    switch (stretch) {
    case QD_ENGINE_FORWARD:
        return attend(engine, 0, t->loss);
    case QD_ENGINE_BACKWARD:
        return attend(engine, t->loss + 1, t->count);
    case QD_ENGINE_BACKWARD_INPUT:
        return attend(engine, t->loss + 1, t->weights);
    case QD_ENGINE_BACKWARD_WEIGHT:
        return attend(engine, t->weights, t->count);
    }
    return 0;
}
