#include "worker/cpu/matrix_parts.h"

#include <string.h>

#include "models/op.h"

static bool is_whole(const qd_optimizer_tensor *t) {
    return !t->part.param;
}

static bool cuts_rows(const qd_optimizer_tensor *t) {
    return t->part.param->cut_dim == 0;
}

/* Columns of a member lie together, [rows][own columns], where others' are gathered to. */
float *qd_matrix_own_part(const qd_optimizer_tensor *t, float *whole, float *other) {
    if (is_whole(t))
        return whole;
    int64_t first = t->part.param->cut_first;
    return cuts_rows(t) ? whole + first * t->columns : other + first * t->rows;
}

static void copy_columns(float *restrict to, const float *restrict from, qd_matrix_runs runs) {
    for (int64_t r = 0; r < runs.rows; r++)
        memcpy(to + runs.first + r * runs.stride, from + r * runs.columns,
               (size_t)runs.columns * sizeof *to);
}

static void place_columns(const qd_optimizer_tensor *t, float *whole, const float *gathered) {
    const qd_param *param = t->part.param;
    qd_graph of = {.tensor_slots = t->part.of->tensor_slots,
                   .tensor_members = t->part.of->tensor_members};
    for (; of.tensor_member < of.tensor_members; of.tensor_member++) {
        int64_t first, end;
        qd_cut_held(&of, t->columns, param->cut_unit, &first, &end);
        copy_columns(whole, gathered + first * t->rows,
                     (qd_matrix_runs){first, t->rows, end - first, t->columns});
    }
}

int qd_matrix_unite(const qd_optimizer_tensor *t, float *whole, float *other) {
    if (is_whole(t))
        return 0;
    const qd_tensor_exchange *x = t->part.exchange;
    int64_t unit = t->part.param->cut_unit > 0 ? t->part.param->cut_unit : 1;
    bool rows = cuts_rows(t);
    int64_t units = (rows ? t->rows : t->columns) / unit;
    int64_t unit_bytes = unit * (rows ? t->columns : t->rows) * (int64_t)sizeof(float);
    int rc = x->gather_rows(x->context, rows ? whole : other, units, unit_bytes);
    if (!rc && !rows)
        place_columns(t, whole, other);
    return rc;
}

qd_matrix_runs qd_matrix_runs_of(const qd_optimizer_tensor *t) {
    if (is_whole(t))
        return (qd_matrix_runs){0, 1, t->count, t->count};
    int64_t first = t->part.param->cut_first;
    if (cuts_rows(t))
        return (qd_matrix_runs){first * t->columns, 1, t->count, t->count};
    return (qd_matrix_runs){first, t->rows, t->count / t->rows, t->columns};
}
