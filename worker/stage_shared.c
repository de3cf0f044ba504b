/*
 * Gradients of parameters that several parts read: from the last part to the first, each adds its
 * own; then all get the sum. The order is that of the parts, wherever they are.
 */
#include "collectives/exchange.h"
#include "runtime/error.h"
#include "worker/stage_internal.h"

/* What of a shared gradient is added up at once. All parts cut it alike. */
typedef struct run {
    int param; /* of the whole graph */
    int number;
    int64_t count;
} run;

/* A part's gradient; NULL: the part is elsewhere, or has no such run. */
static float *gradient_of(qd_stage *s, int part, const run *r, int64_t *count) {
    qd_stage_unit *unit = qd_stage_unit_of(s, part);
    for (int p = 0; unit && p < qd_engine_graph(unit->engine)->param_count; p++)
        if (unit->params[p] == r->param)
            return qd_engine_gradient(unit->engine, p, r->number, count);
    return NULL;
}

/* The next part before (step -1) or behind this one that reads the parameter; -1: none. */
static int next_reader(const qd_stage *s, int part, int step, int param) {
    for (part += step; part >= 0 && part < s->parts; part += step)
        if (qd_pipeline_part_reads(s->whole, &s->cut->part[part], param))
            return part;
    return -1;
}

/* From part to part: to add, or in place of what is there. */
static int pass_on(qd_stage *s, int from, int to, const run *r, bool adds) {
    int64_t count = r->count, bytes = count * (int64_t)sizeof(float);
    float *source = gradient_of(s, from, r, &count), *target = gradient_of(s, to, r, &count);
    qd_group *group = s->group[QD_PIPELINE_OUTPUTS];
    int rc = 0;
    if (source && !target)
        return qd_send(group, qd_stage_of_part(s, to), source, bytes);
    if (!target)
        return 0;
    if (!source) {
        source = adds ? s->shared : target;
        rc = qd_receive(group, qd_stage_of_part(s, from), source, bytes);
    }
    qd_engine *engine = qd_stage_unit_of(s, to)->engine;
    if (!rc && adds)
        rc = qd_engine_add(engine, target, source, count);
    else if (!rc && source != target)
        rc = qd_engine_copy(engine, target, source, (size_t)bytes);
    return rc;
}

static int sum_run(qd_stage *s, const run *r) {
    int part = next_reader(s, s->parts, -1, r->param), before, rc = 0;
    while (!rc && (before = next_reader(s, part, -1, r->param)) >= 0) {
        rc = pass_on(s, part, before, r, true);
        part = before;
    }
    for (int to = part; !rc && (to = next_reader(s, to, 1, r->param)) >= 0;)
        rc = pass_on(s, part, to, r, false);
    return rc;
}

/* Whether there is such a run, as the parts that are here say; and its length. */
static bool find_run(qd_stage *s, run *r) {
    for (int u = 0; u < s->unit_count; u++)
        if (gradient_of(s, s->units[u].part, r, &r->count))
            return true;
    return false;
}

static int sum_one(qd_stage *s, int param) {
    int rc = 0;
    for (run r = {.param = param}; !rc && find_run(s, &r); r.number++)
        rc = sum_run(s, &r);
    return rc;
}

int qd_stage_sum_shared(qd_stage *s) {
    int rc = 0;
    qd_span_kind before = qd_span_enter(s->config.spans, QD_SPAN_COMMUNICATION);
    for (int i = 0; s->cut && i < s->cut->shared_count && !rc; i++)
        rc = sum_one(s, s->cut->shared[i]);
    qd_span_enter(s->config.spans, before);
    return rc;
}
