/*
 * The length of the gradient, the same bits on every grid: a parameter that tensor slots deal out
 * counts slot by slot, added up in their tree, wherever they are; all others count once.
 */
#include <math.h>
#include <stdlib.h>

#include "runtime/error.h"
#include "worker/engine_internal.h"

/* Slots of one member, at most. */
static int most_slots(const qd_graph *g) {
    return (g->tensor_slots + g->tensor_members - 1) / g->tensor_members;
}

static bool is_cut(const qd_param *param) {
    return param->kind == QD_PARAM_TRAINED && param->cut_dim >= 0;
}

static int count_cut(const qd_graph *g) {
    int count = 0;
    for (int p = 0; p < g->param_count; p++)
        count += is_cut(&g->params[p]);
    return count;
}

/* Of a member's squares: [cut parameters][most slots]. */
static size_t member_squares(const qd_graph *g) {
    return (size_t)count_cut(g) * (size_t)most_slots(g);
}

int qd_engine_norm_create(qd_engine *e) {
    size_t all = member_squares(e->graph) * (size_t)e->graph->tensor_members;
    e->squares = calloc((size_t)e->graph->param_count, sizeof(double));
    e->slot_squares = calloc(all + 1, sizeof(double));
    if (!e->squares || !e->slot_squares)
        return qd_error_set(QD_ENOMEM, "no memory for %d parameters", e->graph->param_count);
    return 0;
}

void qd_engine_norm_destroy(qd_engine *e) {
    free(e->squares);
    free(e->slot_squares);
}

/* The part of a cut parameter that a slot owns, as rows of what this graph holds. */
static int take_slot(qd_engine *e, const qd_param *param, int slot, double *squares) {
    int64_t first, end, inner = 1, outer = 1;
    qd_cut_range(e->graph->tensor_slots, param->whole.dim[param->cut_dim], param->cut_unit, slot,
                 &first, &end);
    for (int d = param->cut_dim + 1; d < param->shape.dims; d++)
        inner *= param->shape.dim[d];
    for (int d = 0; d < param->cut_dim; d++)
        outer *= param->shape.dim[d];
    const float *at = e->vectors[0] + param->offset + (first - param->cut_first) * inner;
    return e->backend->norm_squared(e->context, at, outer, (end - first) * inner,
                                    param->shape.dim[param->cut_dim] * inner, squares);
}

static int take_own(qd_engine *e) {
    const qd_graph *g = e->graph;
    int first_slot, end_slot, rc = 0;
    qd_cut_slots(g, &first_slot, &end_slot);
    double *own = e->slot_squares + member_squares(g) * (size_t)g->tensor_member;
    for (int p = 0; p < g->param_count && !rc; p++) {
        const qd_param *param = &g->params[p];
        if (param->kind == QD_PARAM_TRAINED && param->cut_dim < 0)
            rc = e->backend->norm_squared(e->context, e->vectors[0] + param->offset, 1,
                                          qd_shape_elements(&param->shape), 0, &e->squares[p]);
        if (!is_cut(param))
            continue;
        for (int slot = first_slot; slot < end_slot && !rc; slot++)
            rc = take_slot(e, param, slot, &own[slot - first_slot]);
        own += most_slots(g);
    }
    return rc ? rc : e->backend->wait(e->context);
}

/* Of slots [first, end) of cut parameter number `cut`, in their tree. */
static double slots_sum(const qd_engine *e, int cut, int first, int end) {
    const qd_graph *g = e->graph;
    if (end - first > 1) {
        int middle = qd_tree_split(first, end);
        return slots_sum(e, cut, first, middle) + slots_sum(e, cut, middle, end);
    }
    qd_graph of = {.tensor_slots = g->tensor_slots, .tensor_members = g->tensor_members};
    int first_slot, end_slot;
    for (;; of.tensor_member++) {
        qd_cut_slots(&of, &first_slot, &end_slot);
        if (first < end_slot)
            break;
    }
    const double *squares = e->slot_squares + member_squares(g) * (size_t)of.tensor_member;
    return squares[cut * most_slots(g) + first - first_slot];
}

int qd_engine_take_squares(qd_engine *e, double *squares) {
    const qd_graph *g = e->graph;
    int rc = take_own(e), cut = 0;
    if (!rc && g->tensor_members > 1)
        rc = e->exchange->gather(e->exchange->context, e->slot_squares,
                                 (int64_t)(member_squares(g) * sizeof(double)));
    if (rc)
        return rc;
    *squares = 0;
    for (int p = 0; p < g->param_count; p++) {
        if (is_cut(&g->params[p]))
            e->squares[p] = slots_sum(e, cut++, 0, g->tensor_slots);
        *squares += e->squares[p];
    }
    return 0;
}
