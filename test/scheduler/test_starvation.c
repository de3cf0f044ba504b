/*
 * Nobody starves: under the policies that promise it, no job of 10,000 drawn traces waits for
 * longer than a bound that is worked out from the trace alone.
 *
 * Let D be the longest run of a trace, and k the number of jobs that a job may have to let go
 * first: those that wait when it comes, and under multifactor those that come within
 *
 *   A = age_s * (sum of the weights but age's) / (weight of age)      (policy_multifactor.c)
 *
 * of it, since nobody who comes later ever gets ahead. Whoever is first in the queue starts within
 * D: all that run then have ended, and what was backfilled does not delay it. So a job starts
 * within A + (k + 1) * D. Shortest first promises nothing of the kind.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core_trial.h"
#include "runtime/error.h"
#include "scheduler/policy.h"
#include "scheduler/simulator.h"
#include "scheduling_of.h"

enum { TRACES = 10000, PARTS = 4, JOBS = 40, RANKS = 8 };
static const int64_t second_ns = 1000000000;

static const char *const policies[PARTS] = {"fifo", "easy", "conservative", "multifactor"};

/* Mostly narrow and often, so that wide ones have a hard time. */
static qd_trace draw_trace(uint64_t *seed) {
    qd_trace trace = {.name = "drawn"};
    int64_t at_s = 0;
    for (int i = 0; i < JOBS; i++) {
        int ranks = trial_draw_splitmix(seed, 8) ? 1 + (int)trial_draw_splitmix(seed, 2)
                                                 : 1 + (int)trial_draw_splitmix(seed, RANKS);
        at_s += trial_draw_splitmix(seed, 12);
        int64_t run_s = 1 + trial_draw_splitmix(seed, 60);
        ck_assert_int_eq(qd_trace_add(&trace, at_s * second_ns, run_s * second_ns, ranks), 0);
        trace.jobs[i].importance = (int)trial_draw_splitmix(seed, 201) - 100;
    }
    return trace;
}

static int64_t passing_ns(const qd_scheduling *s) {
    if (strcmp(qd_policies[s->policy]->name, "multifactor") != 0)
        return 0;
    double others =
        (double)(s->weight_class + s->weight_urgency + s->weight_fair_share + s->weight_size);
    return (int64_t)(s->age_s * others / (double)s->weight_age * 1e9);
}

/* How close the closest of all came to its bound. */
static double look_at(const qd_trace *trace, const qd_simulation *r, int64_t passing) {
    int64_t longest = 0;
    double closest = 0;
    for (int i = 0; i < trace->count; i++)
        if (trace->jobs[i].duration_ns > longest)
            longest = trace->jobs[i].duration_ns;
    for (int i = 0; i < trace->count; i++) {
        int64_t submit = trace->jobs[i].submit_ns, before = 0;
        for (int k = 0; k < trace->count; k++)
            before += k != i && trace->jobs[k].submit_ns <= submit + passing &&
                      (k < i || passing > 0) && r->jobs[k].start_ns >= submit;
        int64_t bound = passing + (before + 1) * longest;
        ck_assert_msg(r->jobs[i].wait_ns <= bound, "job %d waits for %lld s, not for %lld at most",
                      i, (long long)(r->jobs[i].wait_ns / second_ns),
                      (long long)(bound / second_ns));
        double share = (double)r->jobs[i].wait_ns / (double)bound;
        closest = share > closest ? share : closest;
    }
    return closest;
}

START_TEST(nobody_waits_for_longer_than_the_bound) {
    qd_scheduling scheduling = *scheduling_of(policies[_i]);
    scheduling.age_s = 1;
    uint64_t seed = (uint64_t)_i;
    double closest = 0;
    for (int n = 0; n < TRACES / PARTS; n++) {
        qd_simulation r;
        qd_trace trace = draw_trace(&seed);
        qd_simulation_config config = {.trace = &trace, .ranks = RANKS, .scheduling = &scheduling};
        ck_assert_msg(qd_simulate(&config, &r) == 0, "%s", qd_error_message());
        double share = look_at(&trace, &r, passing_ns(&scheduling));
        closest = share > closest ? share : closest;
        qd_simulation_fini(&r);
        qd_trace_fini(&trace);
    }
    printf("%s: %d traces, longest wait %.0f %% of its bound\n", policies[_i], TRACES / PARTS,
           100 * closest);
    /* A bound that nobody comes near would say nothing. */
    ck_assert_double_ge(closest, 0.2);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("starvation");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, nobody_waits_for_longer_than_the_bound, 0, PARTS);
    Suite *suite = suite_create("scheduler/starvation");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad != 0;
}
