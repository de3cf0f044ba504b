#include <math.h>

#include "runtime/align.h"
#include "worker/cpu/kernels/update.h"
#include "worker/cpu/onednn.h"

/* The quintic a x + b x^3 + c x^5 takes singular values of 0 .. 1 to about 1 (0.7 .. 1.2) in five
 * steps (Jordan et al.; as torch.optim.Muon). */
enum { STEPS = QD_OPTIMIZER_MATRIX_STEPS };
static const float a = 3.4445f, b = -4.7750f, c = 2.0315f;
static const double least_norm = 1e-7;

/* ahead may be g. */
static void gather(float *ahead, float *restrict m, const float *g, const float *restrict w,
                   qd_slope s, float momentum, float rest, int64_t count) {
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

static matrices place(int64_t rows, int64_t columns, float *scratch, int threads) {
    matrices s = {.threads = threads, .rows = rows, .columns = columns};
    s.side = rows < columns ? rows : columns;
    s.x = take(&scratch, rows * columns);
    s.next = take(&scratch, rows * columns);
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

int QD_CPU(begin_muon)(qd_backend_context *context, const qd_optimizer_spec *spec,
                       const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *t,
                       float *to) {
    (void)context;
    gather(to, t->state[0], t->grads, t->params, qd_slope_of(spec, scalars, t, false),
           (float)spec->momentum, (float)(1 - spec->momentum), t->count);
    return 0;
}

/* Takes X to U V^T, nearly, of its singular value decomposition U S V^T. */
int QD_CPU(orthogonalize)(qd_backend_context *context, int64_t rows, int64_t columns,
                          float *scratch, float **orthogonal) {
    matrices s = place(rows, columns, scratch, context->threads);
    double norm = sqrt(QD_CPU(norm_squared)(s.x, rows * columns));
    scale(s.x, (float)(1 / fmax(norm, least_norm)), rows * columns);
    for (int i = 0; i < STEPS; i++) {
        int rc = find_gram(&s);
        if (!rc)
            rc = find_next(&s);
        if (rc)
            return rc;
        float *x = s.x;
        s.x = s.next;
        s.next = x;
    }
    *orthogonal = s.x;
    return 0;
}

int QD_CPU(end_muon)(qd_backend_context *context, const qd_optimizer_spec *spec,
                     const qd_optimizer_scalars *scalars, const qd_optimizer_tensor *t,
                     const float *orthogonal) {
    double longer = sqrt(fmax(1, (double)t->rows / (double)t->columns));
    (void)context;
    (void)spec;
    apply(t->params, orthogonal, (float)((double)scalars->matrix_learning_rate * longer),
          t->decays ? scalars->matrix_decay : 0, t->count);
    return 0;
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
    float *orthogonal;
    QD_CPU(begin_muon)(context, spec, scalars, t, t->scratch);
    int rc = QD_CPU(orthogonalize)(context, t->rows, t->columns, t->scratch, &orthogonal);
    return rc ? rc : QD_CPU(end_muon)(context, spec, scalars, t, orthogonal);
}
