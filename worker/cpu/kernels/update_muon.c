#include <math.h>

#include "runtime/align.h"
#include "worker/cpu/kernels/update.h"
#include "worker/cpu/matrix_parts.h"
#include "worker/cpu/onednn.h"

/* The quintic a x + b x^3 + c x^5 takes singular values of 0 .. 1 to about 1 (0.7 .. 1.2) in five
 * steps (Jordan et al.; as torch.optim.Muon). */
enum { STEPS = 5 };
static const float a = 3.4445f, b = -4.7750f, c = 2.0315f;
static const double least_norm = 1e-7;

static void gather(float *restrict ahead, float *restrict m, const float *restrict g,
                   const float *restrict w, qd_slope s, float momentum, float rest, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        float slope = rest * qd_slope_at(s, g[i], w[i]);
        m[i] = momentum * m[i] + slope;
        ahead[i] = momentum * m[i] + slope;
    }
}

static void scale(float *x, float factor, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        x[i] *= factor;
}

/* to = b of + c to. */
static void combine(float *restrict to, const float *restrict of, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        to[i] = b * of[i] + c * to[i];
}

static void apply(float *restrict w, const float *restrict move, float rate, float decay,
                  int64_t count) {
    for (int64_t i = 0; i < count; i++)
        w[i] -= decay * w[i] + rate * move[i];
}

/* The pieces of a tensor's scratch (qd_optimizer_matrix_scratch). */
typedef struct matrices {
    int threads;
    int64_t rows, columns, side; /* side: the shorter one */
    float *x, *next;             /* [rows, columns] */
    float *gram, *poly;          /* [side, side] */
} matrices;

static float *take(float **scratch, int64_t floats) {
    float *taken = *scratch;
    *scratch += qd_align_floats(floats);
    return taken;
}

static matrices place(const qd_optimizer_tensor *t, int threads) {
    float *scratch = t->scratch;
    matrices s = {.threads = threads, .rows = t->rows, .columns = t->columns};
    s.side = t->rows < t->columns ? t->rows : t->columns;
    s.x = take(&scratch, s.rows * s.columns);
    s.next = take(&scratch, s.rows * s.columns);
    s.gram = take(&scratch, s.side * s.side);
    s.poly = take(&scratch, s.side * s.side);
    return s;
}

/* gram = X X^T, or X^T X where that is the smaller one: both lead to the same X. */
static int find_gram(const matrices *s) {
    bool wide = s->rows <= s->columns;
    return qd_onednn_sgemm(s->threads, s->side, s->side, wide ? s->columns : s->rows,
                           (qd_matrix){.data = s->x, .transposed = !wide},
                           (qd_matrix){.data = s->x, .transposed = wide},
                           (qd_product){.data = s->gram});
}

/* next = (a + b gram + c gram^2) X, or X times that. */
static int find_next(const matrices *s) {
    int64_t n = s->side;
    int rc = qd_onednn_sgemm(s->threads, n, n, n, (qd_matrix){.data = s->gram},
                             (qd_matrix){.data = s->gram}, (qd_product){.data = s->poly});
    if (rc)
        return rc;
    combine(s->poly, s->gram, n * n);
    for (int64_t i = 0; i < n; i++)
        s->poly[i * n + i] += a;
    bool wide = s->rows <= s->columns;
    return qd_onednn_sgemm(
        s->threads, s->rows, s->columns, n, (qd_matrix){.data = wide ? s->poly : s->x},
        (qd_matrix){.data = wide ? s->x : s->poly}, (qd_product){.data = s->next});
}

/* Takes X to U V^T, nearly, of its singular value decomposition U S V^T. */
static int make_orthogonal(matrices *s) {
    int64_t count = s->rows * s->columns;
    double norm = sqrt(QD_CPU(norm_squared)(s->x, count));
    scale(s->x, (float)(1 / fmax(norm, least_norm)), count);
    for (int i = 0; i < STEPS; i++) {
        int rc = find_gram(s);
        if (!rc)
            rc = find_next(s);
        if (rc)
            return rc;
        float *x = s->x;
        s->x = s->next;
        s->next = x;
    }
    return 0;
}

/* Moves what is here of the matrix by its part of x. */
static void move(const qd_optimizer_tensor *t, const float *x, float rate, float decay) {
    qd_matrix_runs runs = qd_matrix_runs_of(t);
    for (int64_t r = 0; r < runs.rows; r++)
        apply(t->params + r * runs.columns, x + runs.first + r * runs.stride, rate, decay,
              runs.columns);
}

/*
 * K. Jordan et al., 2024 (models/optimizer.h), as torch.optim.Muon, but in float throughout: of
 * matrices m = momentum m + (1 - momentum) g, and (1 - momentum) g + momentum m (Nesterov) is made
 * orthogonal, nearly, by five steps of a Newton-Schulz iteration; w -= lr sqrt(max(1, rows /
 * columns)) of that, and w -= lr weight_decay w. All else is AdamW's, at adamw_learning_rate.
 */
int QD_CPU(update_muon)(qd_backend_context *context, const qd_optimizer_spec *spec,
                        const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *t) {
    if (!t->rows)
        return QD_CPU(update_adamw)(context, spec, scalars, t);
    matrices s = place(t, context->threads);
    gather(qd_matrix_own_part(t, s.x, s.next), t->state[0], t->grads, t->params,
           qd_slope_of(spec, scalars, t, false), (float)spec->momentum, (float)(1 - spec->momentum),
           t->count);
    int rc = qd_matrix_unite(t, s.x, s.next);
    if (!rc)
        rc = make_orthogonal(&s);
    if (rc)
        return rc;
    double longer = sqrt(fmax(1, (double)t->rows / (double)t->columns));
    move(t, s.x, (float)((double)scalars->matrix_learning_rate * longer),
         t->decays ? scalars->matrix_decay : 0);
    return 0;
}
