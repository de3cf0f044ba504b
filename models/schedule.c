#include "models/schedule.h"

#include <math.h>

/* From `from` (x = 0) to `to` (x = 1); exact at both ends. */
static double along_line(double from, double to, double x) {
    return (1 - x) * from + x * to;
}

/* As along_line, level at both ends. */
static double along_cosine(double from, double to, double x) {
    return along_line(from, to, (1 - cos(M_PI * x)) / 2);
}

static double one_cycle(const qd_schedule_spec *s, double x) {
    return x <= s->peak ? along_cosine(1 / s->div, 1, x / s->peak)
                        : along_cosine(1, s->final, (x - s->peak) / (1 - s->peak));
}

/* before: steps of the schedule proper that lie before this one. */
static double falls(const qd_schedule_spec *s, int64_t before) {
    return pow(s->gamma, (double)(before / s->every));
}

/* A decay longer than what is left after the warm-up (a run cut short) begins at once. */
static double stable_then_decay(const qd_schedule_spec *s, int64_t i, int64_t n) {
    int64_t decay = s->decay_steps < n ? s->decay_steps : n;
    return i <= n - decay ? 1 : along_line(1, s->final, (double)(i - (n - decay)) / (double)decay);
}

double qd_schedule_factor(const qd_schedule_spec *spec, int64_t step, int64_t total_steps) {
    int64_t length = spec->steps > 0 ? spec->steps : total_steps;
    if (step <= spec->warmup)
        return (double)step / (double)spec->warmup;
    int64_t before = step - spec->warmup - 1; /* of the schedule proper, ahead of this step */
    if (spec->kind == QD_SCHEDULE_STEP)
        return falls(spec, before);
    int64_t n = length > spec->warmup ? length - spec->warmup : 1;
    if (before > n - 1)
        before = n - 1;
    double x = n > 1 ? (double)before / (double)(n - 1) : 0;
    switch (spec->kind) {
    case QD_SCHEDULE_LINEAR:
        return along_line(1, spec->final, x);
    case QD_SCHEDULE_COSINE:
        return along_cosine(1, spec->final, x);
    case QD_SCHEDULE_WSD:
        return stable_then_decay(spec, before + 1, n);
    case QD_SCHEDULE_ONE_CYCLE:
        return one_cycle(spec, x);
    case QD_SCHEDULE_CONSTANT:
    case QD_SCHEDULE_STEP:
    case QD_SCHEDULE_PLATEAU:
        break;
    }
    return 1;
}
