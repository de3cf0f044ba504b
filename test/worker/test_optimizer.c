#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "runtime/random.h"
#include "worker/backend.h"

/* Update rules against their closed formulas: what t steps amount to, summed in double from the
 * gradients alone, without the recurrence the rule itself goes through. */

enum { STEPS = 6, MAX_COUNT = 1000 };
static const int64_t counts[] = {1, 3, 7, 16, 17, MAX_COUNT};

static const qd_optimizer_spec sgd = {
    .kind = QD_OPTIMIZER_SGD, .learning_rate = 0.05, .momentum = 0.9};
static const qd_optimizer_spec adam = {.kind = QD_OPTIMIZER_ADAM,
                                       .learning_rate = 0.002,
                                       .beta1 = 0.9,
                                       .beta2 = 0.999,
                                       .epsilon = 1e-8};

static const qd_optimizer_spec adamw = {.kind = QD_OPTIMIZER_ADAMW,
                                        .learning_rate = 0.002,
                                        .beta1 = 0.9,
                                        .beta2 = 0.999,
                                        .epsilon = 1e-8,
                                        .weight_decay = 0.01};

static float weight_at(int64_t i) {
    return qd_random_normal((qd_random_key){1, 20}, 0, (uint64_t)i);
}

/* Gradients of steps 1 .. STEPS; no two alike. */
static float gradient_at(int step, int64_t i) {
    return 0.1f * qd_random_normal((qd_random_key){1, 21}, (uint32_t)step, (uint64_t)i);
}

typedef struct run {
    float weights[MAX_COUNT], gradients[MAX_COUNT], state[2][MAX_COUNT];
} run;

static qd_backend_context *context; /* made by main */

static void prepare(const qd_optimizer_spec *spec, int64_t step, qd_optimizer_scalars *scalars) {
    qd_job job = {.optimizer = *spec};
    qd_optimizer_prepare(&job, step, 1, 0, scalars);
}

static void update(const qd_optimizer_spec *spec, const qd_optimizer_scalars *scalars,
                   const qd_optimizer_tensor *tensor) {
    qd_optimizer_tensor whole = *tensor;
    if (qd_optimizer_facts_of(spec)->adapts) {
        double weights, moves;
        ck_assert_int_eq(qd_backend_cpu.measure(context, spec, scalars, tensor, &weights, &moves),
                         0);
        whole.ratio = qd_optimizer_ratio(weights, moves);
    }
    ck_assert_int_eq(qd_backend_cpu.update(context, spec, scalars, &whole), 0);
}

static double norm_squared(const float *x, int64_t count) {
    double sum = NAN;
    ck_assert_int_eq(qd_backend_cpu.norm_squared(context, x, 1, count, count, &sum), 0);
    return sum;
}

/* Of a vector: no matrix, and given to decay. */
static void take_steps(run *r, const qd_optimizer_spec *spec, int steps, int64_t count,
                       float (*gradient)(int, int64_t)) {
    qd_optimizer_tensor tensor = {.params = r->weights,
                                  .grads = r->gradients,
                                  .state = {r->state[0], r->state[1]},
                                  .count = count,
                                  .decays = true};
    *r = (run){0};
    for (int64_t i = 0; i < count; i++)
        r->weights[i] = weight_at(i);
    for (int t = 1; t <= steps; t++) {
        qd_optimizer_scalars scalars;
        for (int64_t i = 0; i < count; i++)
            r->gradients[i] = gradient(t, i);
        prepare(spec, t, &scalars);
        update(spec, &scalars, &tensor);
    }
}

/* Gradient i has reached the weight through the velocities of steps i .. T:
 * w_T = w_0 - lr sum_i g_i (1 - mu^(T - i + 1)) / (1 - mu). */
static double sgd_weight(int64_t i) {
    double sum = 0;
    for (int t = 1; t <= STEPS; t++)
        sum +=
            (double)gradient_at(t, i) * (1 - pow(sgd.momentum, STEPS - t + 1)) / (1 - sgd.momentum);
    return (double)weight_at(i) - sgd.learning_rate * sum;
}

START_TEST(sgd_with_momentum_follows_its_closed_formula) {
    static run r;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        take_steps(&r, &sgd, STEPS, counts[c], gradient_at);
        for (int64_t i = 0; i < counts[c]; i++)
            ck_assert_double_eq_tol((double)r.weights[i], sgd_weight(i), 2e-6);
    }
}
END_TEST

START_TEST(the_first_velocity_of_sgd_is_the_gradient) {
    static run r;
    take_steps(&r, &sgd, 1, 17, gradient_at);
    for (int64_t i = 0; i < 17; i++)
        ck_assert_float_eq(r.state[0][i], gradient_at(1, i));
}
END_TEST

START_TEST(sgd_without_momentum_is_plain_descent) {
    static run r;
    qd_optimizer_spec spec = sgd;
    spec.momentum = 0;
    take_steps(&r, &spec, STEPS, 17, gradient_at);
    for (int64_t i = 0; i < 17; i++) {
        double sum = 0;
        for (int t = 1; t <= STEPS; t++)
            sum += (double)gradient_at(t, i);
        ck_assert_double_eq_tol((double)r.weights[i],
                                (double)weight_at(i) - spec.learning_rate * sum, 1e-6);
    }
}
END_TEST

/* The moments as weighted sums: m_t = (1 - beta) sum_i beta^(t - i) g_i^power. */
static double moment(double beta, int power, int t, int64_t i) {
    double sum = 0;
    for (int s = 1; s <= t; s++)
        sum += pow(beta, t - s) * pow((double)gradient_at(s, i), power);
    return (1 - beta) * sum;
}

static double adam_weight(int64_t i) {
    double w = (double)weight_at(i);
    for (int t = 1; t <= STEPS; t++) {
        double m = moment(adam.beta1, 1, t, i) / (1 - pow(adam.beta1, t));
        double v = moment(adam.beta2, 2, t, i) / (1 - pow(adam.beta2, t));
        w -= adam.learning_rate * m / (sqrt(v) + adam.epsilon);
    }
    return w;
}

START_TEST(adam_follows_its_closed_formula) {
    static run r;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        take_steps(&r, &adam, STEPS, counts[c], gradient_at);
        for (int64_t i = 0; i < counts[c]; i++)
            ck_assert_double_eq_tol((double)r.weights[i], adam_weight(i), 2e-6);
    }
}
END_TEST

/* torch.optim.SGD's algorithm as its documentation gives it, in double. */
static double documented_sgd(const qd_optimizer_spec *s, int64_t i) {
    double w = (double)weight_at(i), b = 0;
    for (int t = 1; t <= STEPS; t++) {
        double g = (double)gradient_at(t, i);
        if (s->weight_decay != 0)
            g = g + s->weight_decay * w;
        if (s->momentum != 0) {
            b = t > 1 ? s->momentum * b + g : g;
            g = s->nesterov ? g + s->momentum * b : b;
        }
        w = w - s->learning_rate * g;
    }
    return w;
}

/* torch.optim.Adam's. */
static double documented_adam(const qd_optimizer_spec *s, int64_t i) {
    double w = (double)weight_at(i), m = 0, v = 0;
    for (int t = 1; t <= STEPS; t++) {
        double g = (double)gradient_at(t, i) + s->weight_decay * w;
        m = s->beta1 * m + (1 - s->beta1) * g;
        v = s->beta2 * v + (1 - s->beta2) * g * g;
        w -= s->learning_rate * (m / (1 - pow(s->beta1, t))) /
             (sqrt(v / (1 - pow(s->beta2, t))) + s->epsilon);
    }
    return w;
}

/* torch.optim.AdamW's: the weight shrinks first, and the gradient is left alone. */
static double documented_adamw(const qd_optimizer_spec *s, int64_t i) {
    double w = (double)weight_at(i);
    for (int t = 1; t <= STEPS; t++) {
        double m = moment(s->beta1, 1, t, i) / (1 - pow(s->beta1, t));
        double v = moment(s->beta2, 2, t, i) / (1 - pow(s->beta2, t));
        w = w - s->learning_rate * s->weight_decay * w;
        w = w - s->learning_rate * m / (sqrt(v) + s->epsilon);
    }
    return w;
}

static void check_rule(const qd_optimizer_spec *spec,
                       double (*documented)(const qd_optimizer_spec *, int64_t)) {
    static run r;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        take_steps(&r, spec, STEPS, counts[c], gradient_at);
        for (int64_t i = 0; i < counts[c]; i++)
            ck_assert_double_eq_tol((double)r.weights[i], documented(spec, i), 2e-6);
    }
}

START_TEST(sgd_with_every_option_follows_the_documentation) {
    static const double decays[] = {0, 0.01, 0.5, 1}, momenta[] = {0, 0.5, 0.9};
    for (int d = 0; d < 4; d++)
        for (int m = 0; m < 3; m++)
            for (int nesterov = 0; nesterov <= (m > 0); nesterov++) {
                qd_optimizer_spec spec = sgd;
                spec.weight_decay = decays[d];
                spec.momentum = momenta[m];
                spec.nesterov = nesterov;
                check_rule(&spec, documented_sgd);
            }
}
END_TEST

/* Gradient i moves the weight at once and through the velocities of steps i .. T:
 * w_T = w_0 - lr sum_i g_i (1 + mu (1 - mu^(T - i + 1)) / (1 - mu)). */
START_TEST(nesterov_follows_its_closed_formula) {
    static run r;
    qd_optimizer_spec spec = sgd;
    spec.nesterov = true;
    take_steps(&r, &spec, STEPS, 17, gradient_at);
    for (int64_t i = 0; i < 17; i++) {
        double sum = 0, mu = spec.momentum;
        for (int t = 1; t <= STEPS; t++)
            sum += (double)gradient_at(t, i) * (1 + mu * (1 - pow(mu, STEPS - t + 1)) / (1 - mu));
        ck_assert_double_eq_tol((double)r.weights[i],
                                (double)weight_at(i) - spec.learning_rate * sum, 2e-6);
    }
}
END_TEST

START_TEST(adam_with_l2_follows_the_documentation) {
    static const double decays[] = {0.001, 0.1, 1};
    for (int d = 0; d < 3; d++) {
        qd_optimizer_spec spec = adam;
        spec.weight_decay = decays[d];
        check_rule(&spec, documented_adam);
    }
}
END_TEST

START_TEST(adamw_follows_the_documentation) {
    static const double decays[] = {0, 0.01, 0.1, 1};
    for (int d = 0; d < 4; d++) {
        qd_optimizer_spec spec = adamw;
        spec.learning_rate = 0.02;
        spec.weight_decay = decays[d];
        check_rule(&spec, documented_adamw);
    }
}
END_TEST

static float constant_gradient(int step, int64_t i) {
    (void)step;
    return i % 2 ? -0.25f : 4.0f;
}

/* With g the same in every step both corrected moments are exact: m = g, v = g^2. */
START_TEST(adam_moves_by_the_learning_rate_against_a_steady_gradient) {
    static run r;
    take_steps(&r, &adam, STEPS, 17, constant_gradient);
    for (int64_t i = 0; i < 17; i++) {
        double move = STEPS * adam.learning_rate * (i % 2 ? -1 : 1);
        ck_assert_double_eq_tol((double)r.weights[i], (double)weight_at(i) - move, 2e-6);
    }
}
END_TEST

static float no_gradient(int step, int64_t i) {
    (void)step;
    (void)i;
    return 0;
}

START_TEST(adamw_without_gradient_shrinks_by_a_power) {
    static run r;
    qd_optimizer_spec spec = adamw;
    spec.learning_rate = 0.1;
    spec.weight_decay = 0.5;
    take_steps(&r, &spec, STEPS, 17, no_gradient);
    for (int64_t i = 0; i < 17; i++)
        ck_assert_double_eq_tol((double)r.weights[i], (double)weight_at(i) * pow(0.95, STEPS),
                                1e-6);
}
END_TEST

/* One loop serves both: to the bit. */
START_TEST(adamw_without_decay_is_adam) {
    static run r, s;
    qd_optimizer_spec spec = adamw;
    spec.weight_decay = 0;
    take_steps(&r, &spec, STEPS, MAX_COUNT, gradient_at);
    take_steps(&s, &adam, STEPS, MAX_COUNT, gradient_at);
    for (int64_t i = 0; i < MAX_COUNT; i++)
        ck_assert_float_eq(r.weights[i], s.weights[i]);
}
END_TEST

/* Padding between parameters has gradient zero and must stay what it is. */
START_TEST(a_gradient_of_zero_changes_nothing) {
    static run r;
    const qd_optimizer_spec *specs[] = {&sgd, &adam};
    for (int k = 0; k < 2; k++) {
        take_steps(&r, specs[k], STEPS, 17, no_gradient);
        for (int64_t i = 0; i < 17; i++) {
            ck_assert_float_eq(r.weights[i], weight_at(i));
            ck_assert(r.state[0][i] == 0 && r.state[1][i] == 0);
        }
    }
}
END_TEST

/* With half the rate adamw has half the decay. */
START_TEST(a_factor_multiplies_the_learning_rate) {
    static const qd_optimizer_spec *const specs[] = {&sgd, &adam, &adamw};
    for (int k = 0; k < 3; k++) {
        qd_job job = {.optimizer = *specs[k]};
        qd_optimizer_scalars plain, half;
        qd_optimizer_prepare(&job, 6, 1, 1, &plain);
        qd_optimizer_prepare(&job, 6, 0.5, 1, &half);
        ck_assert_float_eq(plain.learning_rate, (float)specs[k]->learning_rate);
        ck_assert_float_eq(half.learning_rate, plain.learning_rate / 2);
        ck_assert_float_eq(half.decay, plain.decay / 2);
        ck_assert_float_eq(half.bias_correction1, plain.bias_correction1);
        ck_assert_float_eq(half.bias_correction2, plain.bias_correction2);
    }
}
END_TEST

/* ---- l1, decay groups, clipping ---- */

static double sign(double x) {
    return (x > 0) - (x < 0);
}

/* As a loss of which l1 |w| is a part would have it. */
START_TEST(l1_adds_the_sign_of_the_weight_to_the_gradient) {
    static run r;
    qd_optimizer_spec spec = sgd;
    spec.momentum = 0;
    spec.l1 = 0.25;
    take_steps(&r, &spec, 1, MAX_COUNT, gradient_at);
    for (int64_t i = 0; i < MAX_COUNT; i++) {
        double w = (double)weight_at(i), g = (double)gradient_at(1, i) + 0.25 * sign(w);
        ck_assert_double_eq_tol((double)r.weights[i], w - spec.learning_rate * g, 1e-6);
    }
}
END_TEST

/* A weight that is 0 has no side to be drawn from. */
START_TEST(l1_leaves_a_weight_of_zero_alone) {
    static const qd_optimizer_kind kinds[] = {QD_OPTIMIZER_SGD, QD_OPTIMIZER_ADAM,
                                              QD_OPTIMIZER_ADAMW, QD_OPTIMIZER_LAMB,
                                              QD_OPTIMIZER_MUON};
    for (int k = 0; k < 5; k++) {
        float w[3] = {0, -0.0f, 0}, g[3] = {0}, m[3] = {0}, v[3] = {0};
        qd_optimizer_spec spec = adam;
        qd_optimizer_scalars scalars;
        spec.kind = kinds[k];
        spec.l1 = 1;
        qd_optimizer_tensor tensor = {
            .params = w, .grads = g, .state = {m, v}, .count = 3, .decays = true};
        prepare(&spec, 1, &scalars);
        update(&spec, &scalars, &tensor);
        for (int i = 0; i < 3; i++)
            ck_assert(w[i] == 0 && m[i] == 0 && v[i] == 0);
    }
}
END_TEST

/* One step of spec over 17 weights that decay is not meant for. */
static void step_without_decay(run *r, const qd_optimizer_spec *spec) {
    qd_optimizer_scalars scalars;
    qd_optimizer_tensor tensor = {.params = r->weights,
                                  .grads = r->gradients,
                                  .state = {r->state[0], r->state[1]},
                                  .count = 17};
    *r = (run){0};
    for (int64_t i = 0; i < 17; i++) {
        r->weights[i] = weight_at(i);
        r->gradients[i] = gradient_at(1, i);
    }
    prepare(spec, 1, &scalars);
    update(spec, &scalars, &tensor);
}

START_TEST(what_is_not_in_the_group_is_moved_as_without_decay) {
    static const qd_optimizer_kind kinds[] = {QD_OPTIMIZER_SGD, QD_OPTIMIZER_ADAM,
                                              QD_OPTIMIZER_ADAMW, QD_OPTIMIZER_LAMB,
                                              QD_OPTIMIZER_MUON};
    static run with, without;
    for (int k = 0; k < 5; k++) {
        qd_optimizer_spec spec = adamw;
        spec.kind = kinds[k];
        spec.momentum = 0.9;
        spec.adamw_learning_rate = 0.01;
        spec.weight_decay = 0;
        take_steps(&without, &spec, 1, 17, gradient_at);
        spec.weight_decay = 0.5;
        spec.l1 = 0.5;
        step_without_decay(&with, &spec);
        for (int64_t i = 0; i < 17; i++)
            ck_assert_float_eq(with.weights[i], without.weights[i]);
    }
}
END_TEST

/* torch.nn.utils.clip_grad_norm_: the coefficient max_norm / (norm + 1e-6), at most 1. */
START_TEST(a_gradient_that_is_too_long_is_cut_to_its_length) {
    qd_optimizer_spec spec = {.clip = 2};
    ck_assert_double_eq(qd_optimizer_clip_factor(&spec, 1.5), 1);
    ck_assert_double_eq(qd_optimizer_clip_factor(&spec, 0), 1);
    ck_assert_double_eq_tol(qd_optimizer_clip_factor(&spec, 8), 2 / (8 + 1e-6), 1e-15);
    spec.clip = 0;
    ck_assert_double_eq(qd_optimizer_clip_factor(&spec, 1e30), 1);
}
END_TEST

static float quarter_gradient(int step, int64_t i) {
    return gradient_at(step, i) / 4;
}

/* A quarter is exact: the same bits as of a gradient that was short to begin with. */
START_TEST(every_rule_multiplies_the_gradient_by_the_factor) {
    static const qd_optimizer_kind kinds[] = {QD_OPTIMIZER_SGD, QD_OPTIMIZER_ADAM,
                                              QD_OPTIMIZER_ADAMW, QD_OPTIMIZER_LAMB,
                                              QD_OPTIMIZER_MUON};
    static run cut, quarter;
    for (int k = 0; k < 5; k++) {
        qd_job job = {.optimizer = adamw};
        job.optimizer.kind = kinds[k];
        job.optimizer.momentum = 0.9;
        job.optimizer.l1 = 0.125;
        job.optimizer.adamw_learning_rate = 0.01;
        take_steps(&quarter, &job.optimizer, 1, MAX_COUNT, quarter_gradient);
        job.optimizer.clip = 1e6; /* beside which the 1e-6 of the formula is nothing in float */
        qd_optimizer_scalars scalars;
        qd_optimizer_prepare(&job, 1, 1, 4e6, &scalars);
        ck_assert_float_eq(scalars.gradient_factor, 0.25f);
        take_steps(&cut, &job.optimizer, 0, MAX_COUNT, gradient_at);
        for (int64_t i = 0; i < MAX_COUNT; i++)
            cut.gradients[i] = gradient_at(1, i);
        qd_optimizer_tensor tensor = {.params = cut.weights,
                                      .grads = cut.gradients,
                                      .state = {cut.state[0], cut.state[1]},
                                      .count = MAX_COUNT,
                                      .decays = true};
        update(&job.optimizer, &scalars, &tensor);
        for (int64_t i = 0; i < MAX_COUNT; i++)
            ck_assert_float_eq(cut.weights[i], quarter.weights[i]);
    }
}
END_TEST

START_TEST(a_norm_is_that_of_the_squares_in_double) {
    static float x[MAX_COUNT];
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        double squares = 0;
        for (int64_t i = 0; i < counts[c]; i++) {
            x[i] = gradient_at(1, i);
            squares += (double)x[i] * (double)x[i];
        }
        ck_assert_double_eq_tol(norm_squared(x, counts[c]), squares, 1e-14 * squares);
    }
    /* Squares that a float could not hold. */
    x[0] = 3e30f, x[1] = 4e30f;
    ck_assert_double_eq_tol(sqrt(norm_squared(x, 2)), 5e30, 1e24);
    x[0] = 3e-30f, x[1] = 4e-30f;
    ck_assert_double_eq_tol(sqrt(norm_squared(x, 2)), 5e-30, 1e-36);
    ck_assert_double_eq(norm_squared(x, 0), 0);
    x[1] = NAN;
    ck_assert(isnan(norm_squared(x, 2)));
    x[1] = INFINITY;
    ck_assert(isinf(norm_squared(x, 2)));
}
END_TEST

/* ---- lamb ---- */

static const qd_optimizer_spec lamb = {.kind = QD_OPTIMIZER_LAMB,
                                       .learning_rate = 0.01,
                                       .beta1 = 0.9,
                                       .beta2 = 0.999,
                                       .epsilon = 1e-6,
                                       .weight_decay = 0.01};

/* Algorithm 2 of arXiv 1904.00962, in double. */
static void documented_lamb(const qd_optimizer_spec *s, int64_t count, double *w) {
    static double r[MAX_COUNT];
    for (int t = 1; t <= STEPS; t++) {
        double own = 0, length = 0;
        for (int64_t i = 0; i < count; i++) {
            double m = moment(s->beta1, 1, t, i) / (1 - pow(s->beta1, t));
            double v = moment(s->beta2, 2, t, i) / (1 - pow(s->beta2, t));
            r[i] = m / (sqrt(v) + s->epsilon) + s->weight_decay * w[i];
            own += w[i] * w[i];
            length += r[i] * r[i];
        }
        for (int64_t i = 0; i < count; i++)
            w[i] -= s->learning_rate * sqrt(own) / sqrt(length) * r[i];
    }
}

START_TEST(lamb_follows_its_paper) {
    static run r;
    static double w[MAX_COUNT];
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        take_steps(&r, &lamb, STEPS, counts[c], gradient_at);
        for (int64_t i = 0; i < counts[c]; i++)
            w[i] = (double)weight_at(i);
        documented_lamb(&lamb, counts[c], w);
        for (int64_t i = 0; i < counts[c]; i++)
            ck_assert_double_eq_tol((double)r.weights[i], w[i], 2e-6);
    }
}
END_TEST

/* Whatever the gradient, a tensor moves by lr times its own length. */
START_TEST(lamb_moves_a_tensor_by_a_share_of_its_length) {
    static run r;
    double own = 0, moved = 0;
    take_steps(&r, &lamb, 1, MAX_COUNT, gradient_at);
    for (int64_t i = 0; i < MAX_COUNT; i++) {
        double w = (double)weight_at(i), d = (double)r.weights[i] - w;
        own += w * w;
        moved += d * d;
    }
    ck_assert_double_eq_tol(sqrt(moved), lamb.learning_rate * sqrt(own), 1e-5 * sqrt(own));
}
END_TEST

/* A bias that starts at zero has no length to take a share of: it moves as adam would. */
START_TEST(lamb_moves_a_tensor_of_zeros) {
    float w[3] = {0}, g[3] = {1, -2, 4}, m[3] = {0}, v[3] = {0};
    qd_optimizer_scalars scalars;
    qd_optimizer_tensor tensor = {
        .params = w, .grads = g, .state = {m, v}, .count = 3, .decays = true};
    prepare(&lamb, 1, &scalars);
    update(&lamb, &scalars, &tensor);
    for (int i = 0; i < 3; i++)
        ck_assert_double_eq_tol((double)w[i], -lamb.learning_rate * sign((double)g[i]), 1e-7);
}
END_TEST

/* ---- muon ---- */

static const qd_optimizer_spec muon = {.kind = QD_OPTIMIZER_MUON,
                                       .learning_rate = 0.02,
                                       .adamw_learning_rate = 0.002,
                                       .momentum = 0.95,
                                       .beta1 = 0.9,
                                       .beta2 = 0.999,
                                       .epsilon = 1e-8,
                                       .weight_decay = 0.1};

enum { MAX_SIDE = 40 };

/* c[m, n] = a[m, k] b[k, n] */
static void product(const double *a, const double *b, double *c, int m, int k, int n) {
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            c[i * n + j] = 0;
            for (int l = 0; l < k; l++)
                c[i * n + j] += a[i * k + l] * b[l * n + j];
        }
}

static void transpose(const double *a, double *t, int rows, int columns) {
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            t[j * rows + i] = a[i * columns + j];
}

/* X becomes a X + (b A + c A A) X with A = X X^T, five times, as torch.optim.Muon documents it: the
 * longer side is columns. */
static void newton_schulz(double *x, int rows, int columns) {
    static double turned[MAX_SIDE * MAX_SIDE], gram[MAX_SIDE * MAX_SIDE],
        square[MAX_SIDE * MAX_SIDE], more[MAX_SIDE * MAX_SIDE];
    double norm = 0;
    for (int i = 0; i < rows * columns; i++)
        norm += x[i] * x[i];
    for (int i = 0; i < rows * columns; i++)
        x[i] /= fmax(sqrt(norm), 1e-7);
    for (int step = 0; step < 5; step++) {
        transpose(x, turned, rows, columns);
        product(x, turned, gram, rows, columns, rows);
        product(gram, gram, square, rows, rows, rows);
        for (int i = 0; i < rows * rows; i++)
            square[i] = -4.7750 * gram[i] + 2.0315 * square[i];
        product(square, x, more, rows, rows, columns);
        for (int i = 0; i < rows * columns; i++)
            x[i] = 3.4445 * x[i] + more[i];
    }
}

static void documented_muon(double *w, int rows, int columns) {
    static double x[MAX_SIDE * MAX_SIDE], turned[MAX_SIDE * MAX_SIDE], m[MAX_SIDE * MAX_SIDE];
    for (int i = 0; i < rows * columns; i++)
        m[i] = 0;
    for (int t = 1; t <= 3; t++) {
        for (int i = 0; i < rows * columns; i++) {
            double g = (double)gradient_at(t, i);
            m[i] += (1 - muon.momentum) * (g - m[i]);
            x[i] = g + muon.momentum * (m[i] - g);
        }
        if (rows > columns) {
            transpose(x, turned, rows, columns);
            newton_schulz(turned, columns, rows);
            transpose(turned, x, columns, rows);
        } else {
            newton_schulz(x, rows, columns);
        }
        double rate = muon.learning_rate * sqrt(fmax(1, (double)rows / columns));
        for (int i = 0; i < rows * columns; i++)
            w[i] = w[i] * (1 - muon.learning_rate * muon.weight_decay) - rate * x[i];
    }
}

/* w holds three steps of muon over a matrix that starts as weight_at. */
static void muon_steps(float *w, int rows, int columns, const qd_optimizer_spec *spec, int steps) {
    static float g[MAX_SIDE * MAX_SIDE], m[MAX_SIDE * MAX_SIDE], v[MAX_SIDE * MAX_SIDE];
    int64_t floats = qd_optimizer_matrix_scratch(rows, columns);
    float *scratch = aligned_alloc(64, (size_t)floats * sizeof *scratch);
    qd_optimizer_tensor tensor = {.params = w,
                                  .grads = g,
                                  .state = {m, v},
                                  .count = rows * columns,
                                  .decays = true,
                                  .rows = rows,
                                  .columns = columns,
                                  .scratch = scratch};
    for (int64_t i = 0; i < tensor.count; i++) {
        w[i] = weight_at(i);
        m[i] = 0;
    }
    for (int t = 1; t <= steps; t++) {
        qd_optimizer_scalars scalars;
        for (int64_t i = 0; i < tensor.count; i++)
            g[i] = gradient_at(t, i);
        prepare(spec, t, &scalars);
        update(spec, &scalars, &tensor);
    }
    free(scratch);
}

static const int shapes[][2] = {{1, 1}, {1, 7}, {7, 1}, {5, 5}, {8, 33}, {33, 8}, {40, 24}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

START_TEST(muon_follows_the_documentation) {
    static float w[MAX_SIDE * MAX_SIDE];
    static double expected[MAX_SIDE * MAX_SIDE];
    for (int s = 0; s < SHAPES; s++) {
        int rows = shapes[s][0], columns = shapes[s][1];
        muon_steps(w, rows, columns, &muon, 3);
        for (int i = 0; i < rows * columns; i++)
            expected[i] = (double)weight_at(i);
        documented_muon(expected, rows, columns);
        for (int i = 0; i < rows * columns; i++)
            ck_assert_double_eq_tol((double)w[i], expected[i], 2e-6);
    }
}
END_TEST

/* Without decay the move over the learning rate has singular values that are all about 1: its
 * squares sum up to about the length of the shorter side. */
START_TEST(muon_moves_by_about_an_orthogonal_matrix) {
    static float w[MAX_SIDE * MAX_SIDE];
    qd_optimizer_spec spec = muon;
    spec.weight_decay = 0;
    muon_steps(w, 8, 33, &spec, 1);
    double squares = 0;
    for (int i = 0; i < 8 * 33; i++)
        squares += pow(((double)w[i] - (double)weight_at(i)) / spec.learning_rate, 2);
    ck_assert_double_ge(squares, 0.7 * 0.7 * 8);
    ck_assert_double_le(squares, 1.25 * 1.25 * 8);
}
END_TEST

/* What is no hidden matrix goes the way of AdamW, to the bit. */
START_TEST(muon_leaves_the_rest_to_adamw) {
    static run r, s;
    qd_optimizer_spec spec = muon;
    spec.weight_decay = adamw.weight_decay;
    spec.adamw_learning_rate = adamw.learning_rate;
    take_steps(&r, &spec, STEPS, MAX_COUNT, gradient_at);
    take_steps(&s, &adamw, STEPS, MAX_COUNT, gradient_at);
    for (int64_t i = 0; i < MAX_COUNT; i++)
        ck_assert_float_eq(r.weights[i], s.weights[i]);
}
END_TEST

int main(void) {
    if (qd_backend_cpu.create(1, &context))
        return EXIT_FAILURE;
    TCase *tc = tcase_create("optimizer");
    tcase_add_test(tc, sgd_with_momentum_follows_its_closed_formula);
    tcase_add_test(tc, the_first_velocity_of_sgd_is_the_gradient);
    tcase_add_test(tc, sgd_without_momentum_is_plain_descent);
    tcase_add_test(tc, adam_follows_its_closed_formula);
    tcase_add_test(tc, sgd_with_every_option_follows_the_documentation);
    tcase_add_test(tc, nesterov_follows_its_closed_formula);
    tcase_add_test(tc, adam_with_l2_follows_the_documentation);
    tcase_add_test(tc, adamw_follows_the_documentation);
    tcase_add_test(tc, adamw_without_gradient_shrinks_by_a_power);
    tcase_add_test(tc, adamw_without_decay_is_adam);
    tcase_add_test(tc, adam_moves_by_the_learning_rate_against_a_steady_gradient);
    tcase_add_test(tc, a_gradient_of_zero_changes_nothing);
    tcase_add_test(tc, a_factor_multiplies_the_learning_rate);
    tcase_add_test(tc, l1_adds_the_sign_of_the_weight_to_the_gradient);
    tcase_add_test(tc, l1_leaves_a_weight_of_zero_alone);
    tcase_add_test(tc, what_is_not_in_the_group_is_moved_as_without_decay);
    tcase_add_test(tc, a_gradient_that_is_too_long_is_cut_to_its_length);
    tcase_add_test(tc, every_rule_multiplies_the_gradient_by_the_factor);
    tcase_add_test(tc, a_norm_is_that_of_the_squares_in_double);
    tcase_add_test(tc, lamb_follows_its_paper);
    tcase_add_test(tc, lamb_moves_a_tensor_by_a_share_of_its_length);
    tcase_add_test(tc, lamb_moves_a_tensor_of_zeros);
    tcase_add_test(tc, muon_follows_the_documentation);
    tcase_add_test(tc, muon_moves_by_about_an_orthogonal_matrix);
    tcase_add_test(tc, muon_leaves_the_rest_to_adamw);
    Suite *suite = suite_create("worker/optimizer");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    qd_backend_cpu.destroy(context);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
