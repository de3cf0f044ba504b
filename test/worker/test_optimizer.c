#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "runtime/random.h"
#include "worker/optimizer.h"

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

static void take_steps(run *r, const qd_optimizer_spec *spec, int steps, int64_t count,
                       float (*gradient)(int, int64_t)) {
    const qd_optimizer *optimizer = qd_optimizer_of(spec);
    float *state[] = {r->state[0], r->state[1]};
    *r = (run){0};
    for (int64_t i = 0; i < count; i++)
        r->weights[i] = weight_at(i);
    for (int t = 1; t <= steps; t++) {
        qd_optimizer_scalars scalars;
        for (int64_t i = 0; i < count; i++)
            r->gradients[i] = gradient(t, i);
        optimizer->prepare(spec, t, &scalars);
        optimizer->update(spec, &scalars, r->weights, r->gradients, state, count);
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

/* Half way down a line of 11 steps each rule sees half the rate, and adamw half the decay. */
START_TEST(the_schedule_multiplies_the_learning_rate) {
    static const qd_optimizer_spec *const specs[] = {&sgd, &adam, &adamw};
    for (int k = 0; k < 3; k++) {
        qd_job job = {.optimizer = *specs[k]};
        qd_optimizer_scalars plain, half;
        qd_optimizer_prepare(&job, 6, 11, &plain);
        job.schedule = (qd_schedule_spec){.kind = QD_SCHEDULE_LINEAR};
        qd_optimizer_prepare(&job, 6, 11, &half);
        ck_assert_float_eq(plain.learning_rate, (float)specs[k]->learning_rate);
        ck_assert_float_eq(half.learning_rate, plain.learning_rate / 2);
        ck_assert_float_eq(half.decay, plain.decay / 2);
        ck_assert_float_eq(half.bias_correction1, plain.bias_correction1);
        ck_assert_float_eq(half.bias_correction2, plain.bias_correction2);
    }
}
END_TEST

START_TEST(each_kind_has_its_row) {
    ck_assert_str_eq(qd_optimizer_of(&sgd)->name, "sgd");
    ck_assert_int_eq(qd_optimizer_of(&sgd)->state_vectors, 1);
    ck_assert_str_eq(qd_optimizer_of(&sgd)->state_names[0], "momentum");
    ck_assert_str_eq(qd_optimizer_of(&adam)->name, "adam");
    ck_assert_int_eq(qd_optimizer_of(&adam)->state_vectors, 2);
    ck_assert_str_eq(qd_optimizer_of(&adam)->state_names[0], "m");
    ck_assert_str_eq(qd_optimizer_of(&adam)->state_names[1], "v");
    ck_assert_str_eq(qd_optimizer_of(&adamw)->name, "adamw");
    ck_assert_int_eq(qd_optimizer_of(&adamw)->state_vectors, 2);
    ck_assert_str_eq(qd_optimizer_of(&adamw)->state_names[0], "m");
    ck_assert_str_eq(qd_optimizer_of(&adamw)->state_names[1], "v");
}
END_TEST

int main(void) {
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
    tcase_add_test(tc, the_schedule_multiplies_the_learning_rate);
    tcase_add_test(tc, each_kind_has_its_row);
    Suite *suite = suite_create("worker/optimizer");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
