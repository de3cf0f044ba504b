/*
 * Gradients of parameters that several parts read: from the last part to the first, each adds its
 * own; then all get the sum. The order is that of the parts, wherever they are.
 */
#include "collectives/exchange.h"
#include "runtime/error.h"
#include "worker/stage_internal.h"

/* A part's gradient of the parameter; NULL: the part is elsewhere. */
static float *gradient_of(qd_stage *s, int part, int param) {
    qd_stage_unit *unit = qd_stage_unit_of(s, part);
    for (int p = 0; unit && p < qd_engine_graph(unit->engine)->param_count; p++)
        if (unit->params[p] == param)
            return qd_engine_gradient(unit->engine, p);
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
static int pass_on(qd_stage *s, int from, int to, int param, bool adds) {
    int64_t count = qd_shape_elements(&s->whole->params[param].shape);
    int64_t bytes = count * (int64_t)sizeof(float);
    float *source = gradient_of(s, from, param), *target = gradient_of(s, to, param);
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

static int sum_one(qd_stage *s, int param) {
    int part = next_reader(s, s->parts, -1, param), before, rc = 0;
    while (!rc && (before = next_reader(s, part, -1, param)) >= 0) {
        rc = pass_on(s, part, before, param, true);
        part = before;
    }
    for (int to = part; !rc && (to = next_reader(s, to, 1, param)) >= 0;)
        rc = pass_on(s, part, to, param, false);
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
