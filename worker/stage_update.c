/* What the parts of a model have to know of each other in a step: totals, shared gradients,
 * lengths. */
#include <string.h>

#include "collectives/exchange.h"
#include "models/memory_plan.h"
#include "runtime/error.h"
#include "worker/stage_internal.h"

static qd_group *group_of(const qd_stage *s) {
    return s->group[QD_PIPELINE_OUTPUTS];
}

void qd_stage_begin_step(qd_stage *s, int64_t step) {
    for (int u = 0; u < s->unit_count; u++)
        qd_engine_begin_step(s->units[u].engine, step);
}

void qd_stage_add_total(qd_stage *s, int total, float value) {
    qd_engine_add_total(s->units[0].engine, total, value);
}

/* ---- totals ---- */

/* Each part has its own: those of the loss the last, votes the first of each member. */
static int unite_totals(qd_stage *s) {
    float own[QD_TOTALS];
    int rc = 0;
    memset(s->totals, 0, QD_MEMORY_TOTALS * sizeof *s->totals);
    for (int u = 0; u < s->unit_count && !rc; u++) {
        rc = qd_engine_get_totals(s->units[u].engine, own);
        for (int i = 0; i < QD_TOTALS && !rc; i++)
            s->totals[i] += own[i];
    }
    qd_slot_ranges ranges = {.leaves = s->config.grid.pp, .starts = s->one_each};
    if (!rc && s->config.grid.pp > 1)
        rc = qd_allreduce_ordered(group_of(s), &ranges, &s->totals, 1, s->totals, QD_MEMORY_TOTALS);
    for (int u = 0; u < s->unit_count && !rc; u++)
        rc = qd_engine_set_totals(s->units[u].engine, s->totals);
    return rc;
}

int qd_stage_finish_sums(qd_stage *s) {
    int rc = 0;
    for (int u = 0; u < s->unit_count && !rc; u++)
        rc = qd_engine_finish_sums(s->units[u].engine);
    if (rc || s->parts == 1)
        return rc;
    qd_span_kind before = qd_span_enter(s->config.spans, QD_SPAN_COMMUNICATION);
    rc = unite_totals(s);
    qd_span_enter(s->config.spans, before);
    return rc;
}

float qd_stage_total(const qd_stage *s, int total) {
    return qd_engine_total(s->units[0].engine, total);
}

/* ---- lengths ---- */

/* Squares of all parameters of the whole, each from the first part that reads it. */
static int gather_squares(qd_stage *s) {
    int count = s->whole->param_count, stages = s->config.grid.pp, rc = 0;
    double *own = s->squares + (int64_t)s->config.place.p * count;
    memset(own, 0, (size_t)count * sizeof *own);
    for (int u = 0; u < s->unit_count; u++) {
        const qd_stage_unit *unit = &s->units[u];
        const double *squares = qd_engine_squares(unit->engine);
        for (int p = 0; p < qd_engine_graph(unit->engine)->param_count; p++)
            if (unit->leads[p])
                own[unit->params[p]] = squares[p];
    }
    if (stages > 1)
        rc = qd_all_gather(group_of(s), s->squares, s->bounds);
    for (int i = 1; i < stages && !rc; i++)
        for (int p = 0; p < count; p++)
            s->squares[p] += s->squares[i * count + p];
    return rc;
}

int qd_stage_update(qd_stage *s, int64_t total_steps) {
    double squares = 0;
    int rc = qd_stage_sum_shared(s);
    for (int u = 0; u < s->unit_count && !rc; u++)
        rc = qd_engine_measure(s->units[u].engine);
    qd_span_kind before = qd_span_enter(s->config.spans, QD_SPAN_COMMUNICATION);
    if (!rc)
        rc = gather_squares(s);
    qd_span_enter(s->config.spans, before);
    for (int p = 0; p < s->whole->param_count; p++)
        squares += s->squares[p];
    for (int u = 0; u < s->unit_count && !rc; u++)
        rc = qd_engine_apply(s->units[u].engine, total_steps, squares);
    return rc;
}

double qd_stage_gradient_norm(const qd_stage *s) {
    return qd_engine_gradient_norm(s->units[0].engine);
}

void qd_stage_set_rate_factor(qd_stage *s, double factor) {
    for (int u = 0; u < s->unit_count; u++)
        qd_engine_set_rate_factor(s->units[u].engine, factor);
}
