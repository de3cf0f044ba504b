/* What a member updates of the parameters: its pieces of each bucket. */
#include "worker/engine_internal.h"

/* Blocks `first` to `end` - 1 of one parameter in bucket b. */
static qd_engine_piece piece_of(const qd_engine *e, int b, int first, int end) {
    const qd_row_blocks *blocks = e->buckets->blocks;
    int own, own_end;
    qd_shards_blocks(e->shards, b, e->index, &own, &own_end);
    return (qd_engine_piece){
        .param = blocks->param[first],
        .first = first,
        .end = end,
        .at = blocks->offset[first],
        .home = e->home[b] + blocks->offset[first] - blocks->offset[own],
        .count = blocks->offset[end - 1] + blocks->elements[end - 1] - blocks->offset[first],
    };
}

int qd_engine_visit_bucket(qd_engine *engine, int bucket, qd_engine_visit *visit, void *of) {
    const int *param = engine->buckets->blocks->param;
    int first, end, rc = 0;
    qd_shards_blocks(engine->shards, bucket, engine->index, &first, &end);
    while (first < end && !rc) {
        int next = first + 1;
        while (next < end && param[next] == param[first])
            next++;
        qd_engine_piece piece = piece_of(engine, bucket, first, next);
        rc = visit(engine, &piece, of);
        first = next;
    }
    return rc;
}

int qd_engine_visit_pieces(qd_engine *engine, qd_engine_visit *visit, void *of) {
    int rc = 0;
    for (int b = 0; b < engine->buckets->count && !rc; b++)
        rc = qd_engine_visit_bucket(engine, b, visit, of);
    return rc;
}

float *qd_engine_piece_gradient(const qd_engine *engine, const qd_engine_piece *piece) {
    return qd_engine_sum_at(engine, piece->at, piece->home);
}

int qd_engine_share(qd_engine *engine, double *numbers, const int64_t *first) {
    int rc = engine->backend->wait(engine->context);
    if (!rc && engine->shards->members > 1)
        rc = qd_exchange_share(engine->exchange, numbers, first);
    return rc;
}

typedef struct search {
    int param, run; /* runs yet to pass */
    float *found;
    int64_t count;
} search;

static int note_run(qd_engine *e, const qd_engine_piece *piece, void *of) {
    search *s = of;
    if (piece->param != s->param || s->found || s->run-- > 0)
        return 0;
    s->found = qd_engine_piece_gradient(e, piece);
    s->count = piece->count;
    return 0;
}

float *qd_engine_gradient(qd_engine *engine, int param, int run, int64_t *count) {
    search s = {.param = param, .run = run};
    for (int b = engine->bucket_of[param]; b < engine->buckets->count && !s.found; b++) {
        if (engine->buckets->bucket[b].first_param > param)
            break;
        qd_engine_visit_bucket(engine, b, note_run, &s);
    }
    *count = s.count;
    return s.found;
}
