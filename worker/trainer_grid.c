/* A member's place in the grid: its groups, and what it exchanges along them. */
#include <stdlib.h>
#include <string.h>

#include "runtime/error.h"
#include "worker/trainer_internal.h"

/* ---- groups ---- */

/* Groups that a member is in; each has an id of its own, made of the attempt's. */
enum { GANG, DATA, TENSOR, OUTPUTS, GRADIENTS, GROUPS };

static int create_group(qd_trainer *t, int which, const int *ranks, int count,
                        qd_progress *progress, qd_group **group) {
    const qd_assignment *a = t->a;
    bool sums = which == DATA; /* gradients; all else is exact */
    qd_group_config config = {
        .world = a->world,
        .id = a->epoch * GROUPS + (uint32_t)which,
        .members = ranks,
        .member_count = count,
        .transport = a->transport,
        .reduction = sums ? (qd_reduction_kind)t->job->layout_reduction : QD_REDUCTION_ORDERED,
        .wire = sums && t->job->train.reduce_precision == QD_PRECISION_BF16 ? QD_WIRE_BF16
                                                                            : QD_WIRE_FP32,
        .deadline_s = a->deadline_s,
        .poll = t->hooks->poll,
        .poll_context = t->hooks->context,
        .progress = progress,
    };
    return qd_group_create(&config, group);
}

static int create_along(qd_trainer *t, int which, qd_axis axis, qd_progress *progress,
                        qd_group **group) {
    int count = qd_grid_degree(&t->grid, axis);
    int *ranks = calloc((size_t)count, sizeof *ranks);
    if (!ranks)
        return qd_error_set(QD_ENOMEM, "no memory for a group of %d", count);
    qd_grid_group(&t->grid, t->index, axis, ranks);
    for (int i = 0; i < count; i++)
        ranks[i] = t->a->ranks[ranks[i]];
    int rc = create_group(t, which, ranks, count, progress, group);
    free(ranks);
    return rc;
}

/* ---- connecting ---- */

/* A group of the whole gang serves as the one along an axis that the gang lies on. */
static int open_groups(qd_trainer *t) {
    bool lies_on_data = t->grid.tp == 1 && t->grid.pp == 1;
    int rc = create_group(t, lies_on_data ? DATA : GANG, t->a->ranks, t->a->rank_count,
                          lies_on_data ? t->progress : NULL, &t->group);
    if (lies_on_data)
        t->data_group = t->group;
    else if (!rc)
        rc = create_along(t, DATA, QD_AXIS_DATA, t->progress, &t->data_group);
    if (!rc && t->grid.tp > 1)
        rc = create_along(t, TENSOR, QD_AXIS_TENSOR, NULL, &t->tensor_group);
    if (!rc && t->grid.pp > 1)
        rc = create_along(t, OUTPUTS, QD_AXIS_PIPELINE, t->progress, &t->outputs);
    if (!rc && t->grid.pp > 1)
        rc = create_along(t, GRADIENTS, QD_AXIS_PIPELINE, t->progress, &t->gradients);
    return rc;
}

static int connect_tensor(qd_trainer *t) {
    int rc = qd_tensor_group_create(t->tensor_group, (int)t->job->slots_tensor, &t->spans,
                                    &t->tensor_exchange);
    if (!rc)
        qd_stage_connect_tensor(t->stage, qd_tensor_group_exchange(t->tensor_exchange));
    return rc;
}

int qd_trainer_open_groups(qd_trainer *t) {
    qd_slot_ranges ranges = {.leaves = (int)t->job->slots_data, .starts = t->slot_starts};
    qd_span_kind before = qd_span_enter(&t->spans, QD_SPAN_IDLE);
    int rc = t->grid.dp > 1 || t->grid.pp > 1 ? qd_progress_create(&t->progress) : 0;
    if (!rc)
        rc = open_groups(t);
    if (!rc && t->grid.dp > 1)
        rc = qd_stage_connect_data(t->stage, t->data_group, &ranges);
    if (!rc && t->grid.tp > 1)
        rc = connect_tensor(t);
    if (!rc && t->grid.pp > 1)
        qd_stage_connect_pipeline(t->stage, t->outputs, t->gradients);
    qd_span_enter(&t->spans, before);
    return rc;
}

void qd_trainer_close_groups(qd_trainer *t) {
    qd_tensor_group_destroy(t->tensor_exchange);
    qd_group_destroy(t->gradients);
    qd_group_destroy(t->outputs);
    qd_group_destroy(t->tensor_group);
    if (t->data_group != t->group)
        qd_group_destroy(t->data_group);
    qd_group_destroy(t->group);
    qd_progress_destroy(t->progress);
}

/* Totals of the step are sums over data members; what each tensor member has added for itself is
 * added up here. */
int qd_trainer_count_votes(qd_trainer *t) {
    float votes[] = {qd_stage_total(t->stage, QD_TOTAL_STOP),
                     qd_stage_total(t->stage, QD_TOTAL_SAVED)};
    int rc = 0;
    if (t->grid.tp > 1) {
        memset(t->agree, 0, QD_AGREE_MAX * sizeof *t->agree);
        memcpy(t->agree, votes, sizeof votes);
        const qd_tensor_exchange *x = qd_tensor_group_exchange(t->tensor_exchange);
        rc = x->unite(x->context, t->agree, QD_AGREE_MAX);
        memcpy(votes, t->agree, sizeof votes);
    }
    t->stop_votes = votes[0];
    t->saved_votes = votes[1];
    return rc;
}

/* ---- places ---- */

int qd_trainer_find_place(qd_trainer *t) {
    const qd_assignment *a = t->a;
    int tp = (int)t->job->layout_tp, copy = (int)qd_job_copy_ranks(t->job);
    int dp = a->rank_count / copy;
    if (dp * copy != a->rank_count)
        return qd_error_set(QD_EPROTO, "a gang of %d for copies of the model on %d", a->rank_count,
                            copy);
    t->grid = (qd_grid){.dp = dp, .pp = copy / tp, .tp = tp};
    t->place = qd_grid_place_of(&t->grid, t->index);
    size_t entries = (size_t)a->rank_count + 1;
    t->slot_starts = calloc(entries, sizeof *t->slot_starts);
    t->one_each = calloc(entries, sizeof *t->one_each);
    if (!t->slot_starts || !t->one_each)
        return qd_error_set(QD_ENOMEM, "no memory for a gang of %d", a->rank_count);
    for (int i = 0; i < a->rank_count; i++)
        t->one_each[i + 1] = i + 1;
    for (int d = 0; d < dp; d++)
        qd_job_slot_range(t->job, dp, d, &t->slot_starts[d], &t->slot_starts[d + 1]);
    t->first_slot = t->slot_starts[t->place.d];
    t->end_slot = t->slot_starts[t->place.d + 1];
    return 0;
}
