/*
 * The simulator, and with it the core and its policies, against a plain scheduler of arrays and
 * loops (naive_scheduler.h) on samples of recorded traces and on drawn ones; and against published
 * figures on whole traces, where QD_TRACES names their folder.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core_trial.h"
#include "naive_scheduler.h"
#include "runtime/error.h"
#include "scheduler/forecast.h"
#include "scheduler/simulation_metrics.h"
#include "scheduling_of.h"

static const char *const policies[] = {"fifo", "sjf", "easy", "conservative"};
enum { POLICIES = sizeof policies / sizeof policies[0] };
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { DRAWN_TRACES = 200 };
#else
enum { DRAWN_TRACES = 2000 };
#endif
static const int64_t minute_ns = 60000000000;

static qd_trace load(const char *path) {
    qd_trace trace;
    ck_assert_msg(qd_trace_load(path, &trace) == 0, "%s", qd_error_message());
    return trace;
}

static qd_simulation simulate(const qd_trace *trace, int ranks, const char *policy) {
    qd_simulation simulation;
    qd_simulation_config config = {.trace = trace,
                                   .ranks = ranks,
                                   .scheduling = scheduling_of(policy),
                                   .save_ns = minute_ns,
                                   .restart_ns = minute_ns};
    ck_assert_msg(qd_simulate(&config, &simulation) == 0, "%s", qd_error_message());
    return simulation;
}

static void assert_as_naive(const qd_trace *trace, int ranks, const char *policy) {
    naive_job *jobs = calloc((size_t)trace->count, sizeof *jobs);
    for (int i = 0; i < trace->count; i++)
        jobs[i] = (naive_job){.submit = trace->jobs[i].submit_ns,
                              .duration = trace->jobs[i].duration_ns,
                              .ranks = trace->jobs[i].ranks};
    naive_schedule(jobs, trace->count, ranks, policy);
    qd_simulation simulation = simulate(trace, ranks, policy);
    for (int i = 0; i < trace->count; i++) {
        ck_assert_msg(simulation.jobs[i].start_ns == jobs[i].start,
                      "%s, %s, %d ranks: job %d starts at %lld, not at %lld", trace->name, policy,
                      ranks, i, (long long)simulation.jobs[i].start_ns, (long long)jobs[i].start);
        ck_assert_int_eq(simulation.jobs[i].end_ns, jobs[i].start + jobs[i].duration);
    }
    qd_simulation_fini(&simulation);
    free(jobs);
}

/* A reservation is a job that starts when it says, whatever the policy. */
static void assert_as_naive_beside_reservations(uint64_t seed, const char *policy) {
    enum { JOBS = 20, RESERVATIONS = 3, RANKS = 8 };
    static const int64_t s = 1000000000;
    qd_trace_job submitted[JOBS];
    qd_reservation reservations[RESERVATIONS];
    naive_job jobs[JOBS + RESERVATIONS];
    qd_simulation simulation;
    qd_book book = {0};
    qd_trace trace = {.jobs = submitted, .count = JOBS};
    int count = JOBS, reserved = 0;
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (naive_job){.submit = 10 * i * s,
                              .duration = (1 + (int64_t)trial_draw_splitmix(&seed, 60)) * s,
                              .ranks = 1 + (int)trial_draw_splitmix(&seed, RANKS)};
        submitted[i] = (qd_trace_job){
            .submit_ns = jobs[i].submit, .duration_ns = jobs[i].duration, .ranks = jobs[i].ranks};
    }
    for (int i = 0; i < RESERVATIONS; i++) {
        int64_t from = (1 + (int64_t)trial_draw_splitmix(&seed, 300)) * s;
        int64_t length = (1 + (int64_t)trial_draw_splitmix(&seed, 50)) * s;
        int ranks = 1 + (int)trial_draw_splitmix(&seed, RANKS);
        qd_reservation r = {.number = i + 1,
                            .ranks = ranks,
                            .account = -1,
                            .from_ns = from,
                            .until_ns = from + length};
        snprintf(r.name, sizeof r.name, "r%d", i);
        if (qd_book_add(&book, &r, RANKS, 0, 0) != 0)
            continue;
        reservations[reserved++] = r;
        jobs[count++] = (naive_job){
            .submit = from, .duration = length, .ranks = ranks, .start = from, .reserved = true};
    }
    naive_schedule(jobs, count, RANKS, policy);
    qd_simulation_config config = {.trace = &trace,
                                   .ranks = RANKS,
                                   .scheduling = scheduling_of(policy),
                                   .reservations = reservations,
                                   .reservation_count = reserved};
    ck_assert_msg(qd_simulate(&config, &simulation) == 0, "%s", qd_error_message());
    for (int i = 0; i < JOBS; i++)
        ck_assert_msg(simulation.jobs[i].start_ns == jobs[i].start, "%s: job %d at %lld, not %lld",
                      policy, i, (long long)simulation.jobs[i].start_ns, (long long)jobs[i].start);
    qd_simulation_fini(&simulation);
}

START_TEST(beside_reservations_jobs_start_when_a_plain_scheduler_starts_them) {
    static const char *const plain[] = {"fifo", "sjf", "conservative"};
    for (uint64_t seed = 1; seed <= DRAWN_TRACES / 10; seed++)
        for (int i = 0; i < 3; i++)
            assert_as_naive_beside_reservations(seed, plain[i]);
}
END_TEST

START_TEST(recorded_samples_run_as_a_plain_scheduler_runs_them) {
    qd_trace philly = load(QD_TEST_DATA "/traces/philly-sample.csv");
    qd_trace lublin = load(QD_TEST_DATA "/traces/lublin-sample.swf.gz");
    ck_assert_int_eq(philly.count, 400);
    ck_assert_int_eq(lublin.count, 300);
    ck_assert_str_eq(lublin.name, "lublin-sample");
    for (int i = 0; i < POLICIES; i++) {
        assert_as_naive(&philly, philly.widest, policies[i]);
        assert_as_naive(&lublin, lublin.widest, policies[i]);
    }
    qd_trace_fini(&philly);
    qd_trace_fini(&lublin);
}
END_TEST

/* Small numbers, so that many things happen at one instant. */
static qd_trace draw_trace(uint64_t *seed, int count, int ranks) {
    qd_trace trace = {.name = "drawn"};
    int64_t at = 0;
    for (int i = 0; i < count; i++) {
        at += trial_draw_splitmix(seed, 4);
        ck_assert_int_eq(qd_trace_add(&trace, at, 1 + trial_draw_splitmix(seed, 12),
                                      1 + trial_draw_splitmix(seed, (uint32_t)ranks)),
                         0);
    }
    return trace;
}

START_TEST(drawn_traces_run_as_a_plain_scheduler_runs_them) {
    for (uint64_t number = 0; number < DRAWN_TRACES; number++) {
        uint64_t seed = number;
        int ranks = 1 + (int)trial_draw_splitmix(&seed, 8);
        qd_trace trace = draw_trace(&seed, 24, ranks);
        for (int i = 0; i < POLICIES; i++)
            assert_as_naive(&trace, ranks, policies[i]);
        qd_trace_fini(&trace);
    }
}
END_TEST

static void feed(qd_core *core, const qd_event *event) {
    qd_action_list actions;
    ck_assert_msg(qd_core_handle(core, event, &actions) == 0, "%s", qd_error_message());
}

/* The jobs that run and end now, as the plain scheduler has it. */
static void feed_ends(qd_core *core, const naive_job *jobs, int64_t now_ns) {
    for (int i = 0; i < qd_core_job_count(core); i++) {
        qd_job_view view;
        qd_core_job(core, i, &view);
        if (view.state != QD_STATE_RUNNING || jobs[i].start + jobs[i].duration != now_ns)
            continue;
        for (int k = 0, size = view.rank_count; k < size; k++)
            feed(core, &(qd_event){.kind = QD_EVENT_MEMBER_ENDED,
                                   .time_ns = now_ns,
                                   .more = true,
                                   .job = view.job,
                                   .attempt = view.attempt,
                                   .rank = view.ranks[k]});
    }
}

static void feed_arrivals(qd_core *core, const naive_job *jobs, int count, int64_t now_ns) {
    for (int i = 0; i < count; i++)
        if (jobs[i].submit == now_ns)
            feed(core, &(qd_event){.kind = QD_EVENT_SUBMIT,
                                   .time_ns = now_ns,
                                   .more = true,
                                   .submit = {.job = i + 1,
                                              .ranks_min = jobs[i].ranks,
                                              .ranks_max = jobs[i].ranks,
                                              .estimate_ns = jobs[i].duration}});
}

/* A core in which all has happened up to the last arrival. */
static qd_core *core_at_last_arrival(const naive_job *jobs, int count, int ranks,
                                     const char *policy) {
    qd_core *core;
    ck_assert_int_eq(qd_core_create(ranks, scheduling_of(policy), &core), 0);
    for (int rank = 1; rank <= ranks; rank++)
        feed(core, &(qd_event){.kind = QD_EVENT_WORKER_READY, .rank = rank, .more = true});
    for (int64_t now_ns = 0; now_ns <= jobs[count - 1].submit; now_ns++) {
        feed_ends(core, jobs, now_ns);
        feed_arrivals(core, jobs, count, now_ns);
        feed(core, &(qd_event){.kind = QD_EVENT_TIME, .time_ns = now_ns});
    }
    return core;
}

static void assert_forecast_as_naive(const qd_trace *trace, int ranks, const char *policy) {
    naive_job jobs[64];
    qd_forecast forecast;
    for (int i = 0; i < trace->count; i++)
        jobs[i] = (naive_job){.submit = trace->jobs[i].submit_ns,
                              .duration = trace->jobs[i].duration_ns,
                              .ranks = trace->jobs[i].ranks};
    naive_schedule(jobs, trace->count, ranks, policy);
    qd_core *core = core_at_last_arrival(jobs, trace->count, ranks, policy);
    ck_assert_int_eq(qd_forecast_create(core, &forecast), 0);
    for (int i = 0; i < forecast.count; i++) {
        const naive_job *job = &jobs[forecast.entries[i].job - 1];
        ck_assert_int_gt(job->start, jobs[trace->count - 1].submit);
        /* Under EASY those behind the head may start earlier, or have to give way later. */
        if (i == 0 || strcmp(policy, "easy") != 0)
            ck_assert_int_eq(forecast.entries[i].start_ns, job->start);
    }
    qd_forecast_fini(&forecast);
    qd_core_destroy(core);
}

START_TEST(a_forecast_comes_true_when_all_goes_as_predicted) {
    for (uint64_t number = 0; number < DRAWN_TRACES; number++) {
        uint64_t seed = 7000000 + number;
        int ranks = 1 + (int)trial_draw_splitmix(&seed, 8);
        qd_trace trace = draw_trace(&seed, 24, ranks);
        for (int i = 0; i < POLICIES; i++)
            assert_forecast_as_naive(&trace, ranks, policies[i]);
        qd_trace_fini(&trace);
    }
}
END_TEST

START_TEST(a_job_wider_than_the_cluster_is_refused_and_counted) {
    qd_trace trace = {.name = "wide"};
    qd_simulation_metrics metrics;
    ck_assert_int_eq(qd_trace_add(&trace, 0, 10, 5), 0);
    ck_assert_int_eq(qd_trace_add(&trace, 1, 10, 4), 0);
    qd_simulation simulation = simulate(&trace, 4, "easy");
    ck_assert_int_eq(qd_simulation_measure(&trace, 4, &simulation, &metrics), 0);
    ck_assert_int_eq(metrics.refused, 1);
    ck_assert_int_eq(metrics.completed, 1);
    ck_assert_int_eq(simulation.jobs[1].end_ns, 11);
    qd_simulation_fini(&simulation);
    qd_trace_fini(&trace);
}
END_TEST

/* One rank, quantum 1800 s, limits 3600 .. : A (2 h) comes first; B (1 h) at 2000 s. At the look at
 * 3600 s A has had 3600 rank-seconds and sinks; it saves until 3660, B runs from there for an hour;
 * A comes back at 7260, restarts for 60 s and has 3600 s left. */
START_TEST(attained_service_lets_the_one_that_had_less_go_first) {
    qd_trace trace = {.name = "two"};
    const int64_t s = 1000000000;
    ck_assert_int_eq(qd_trace_add(&trace, 0, 7200 * s, 1), 0);
    ck_assert_int_eq(qd_trace_add(&trace, 2000 * s, 3600 * s, 1), 0);
    qd_simulation r = simulate(&trace, 1, "attained");
    ck_assert_int_eq(r.jobs[1].start_ns, 3660 * s);
    ck_assert_int_eq(r.jobs[1].end_ns, 7260 * s);
    ck_assert_int_eq(r.jobs[0].end_ns, (7260 + 60 + 3600) * s);
    ck_assert_int_eq(r.jobs[0].preemptions, 1);
    ck_assert_int_eq(r.jobs[0].longest_wait_ns, 3600 * s);
    ck_assert_int_eq(r.jobs[0].held_ns, (3660 + 60 + 3600) * s);
    qd_simulation_fini(&r);
    qd_trace_fini(&trace);
}
END_TEST

START_TEST(attained_service_ends_every_job_and_loses_no_second_of_training) {
    qd_trace trace = load(QD_TEST_DATA "/traces/philly-sample.csv");
    qd_simulation r = simulate(&trace, 16, "attained");
    int preemptions = 0;
    for (int i = 0; i < trace.count; i++) {
        const qd_simulated_job *job = &r.jobs[i];
        preemptions += job->preemptions;
        ck_assert_int_eq(job->end_ns, trace.jobs[i].submit_ns + job->wait_ns + job->held_ns);
        /* A save and a restart each, but for those told to save while they restarted. */
        ck_assert_int_le(job->held_ns,
                         trace.jobs[i].duration_ns + 2 * minute_ns * job->preemptions);
        ck_assert_int_ge(job->held_ns, trace.jobs[i].duration_ns + minute_ns * job->preemptions);
    }
    ck_assert_int_gt(preemptions, 0);
    qd_simulation_fini(&r);
    qd_trace_fini(&trace);
}
END_TEST

/* One rank, saves take 60 s: A (1000 s) is told at 500 to save for B (100 s), of a higher class.
 * Within a grace of 120 s it saves until 560, comes back at 660, restarts for 60 s and has 500 s
 * left. With 30 s it is cut off at 530, comes back at 630, and trains all of it again. */
START_TEST(who_is_cut_off_trains_again_what_it_had_not_saved) {
    const int64_t s = 1000000000;
    const struct {
        double grace_s;
        int64_t start_s, end_s;
    } cases[] = {{120, 560, 660 + 60 + 500}, {30, 530, 630 + 60 + 1000}};
    for (int i = 0; i < 2; i++) {
        qd_scheduling scheduling = *scheduling_of("multifactor");
        scheduling.preempt_by = QD_PREEMPT_CLASS;
        scheduling.save_grace_s = cases[i].grace_s;
        qd_trace trace = {.name = "two"};
        qd_simulation r;
        ck_assert_int_eq(qd_trace_add(&trace, 0, 1000 * s, 1), 0);
        ck_assert_int_eq(qd_trace_add(&trace, 500 * s, 100 * s, 1), 0);
        trace.jobs[1].importance = 50;
        qd_simulation_config config = {.trace = &trace,
                                       .ranks = 1,
                                       .scheduling = &scheduling,
                                       .save_ns = minute_ns,
                                       .restart_ns = minute_ns};
        ck_assert_int_eq(qd_simulate(&config, &r), 0);
        ck_assert_int_eq(r.jobs[1].start_ns, cases[i].start_s * s);
        ck_assert_int_eq(r.jobs[0].end_ns, cases[i].end_s * s);
        ck_assert_int_eq(r.jobs[0].preemptions, 1);
        qd_simulation_fini(&r);
        qd_trace_fini(&trace);
    }
}
END_TEST

/* Two ranks; a save takes 5 s, a restart 3 s. E: {1..2}, 100 s on one, starts alone, on both. At 10
 * a more important job comes for 10 s: E has done 20 of 100, saves until 15, and goes on on one
 * rank at 18; the other job runs from 15 to 25. Then E, with 73 left, saves until 30, and does them
 * on both from 33 on, in 36.5 s. It has held ranks for 15 x 2 + 15 x 1 + 39.5 x 2 rank-seconds. */
START_TEST(an_elastic_job_shrinks_and_grows_and_pays_for_both) {
    const int64_t s = 1000000000;
    qd_scheduling scheduling = *scheduling_of("multifactor");
    scheduling.preempt_by = QD_PREEMPT_SURPLUS;
    scheduling.min_run_s = scheduling.grow_min_run_s = 0;
    scheduling.grow = true;
    scheduling.grow_cost_s = 8;
    qd_trace trace = {.name = "two"};
    qd_simulation r;
    ck_assert_int_eq(qd_trace_add(&trace, 0, 100 * s, 1), 0);
    ck_assert_int_eq(qd_trace_add(&trace, 10 * s, 10 * s, 1), 0);
    trace.jobs[0].ranks_max = 2;
    trace.jobs[1].importance = 50;
    qd_simulation_config config = {.trace = &trace,
                                   .ranks = 2,
                                   .scheduling = &scheduling,
                                   .save_ns = 5 * s,
                                   .restart_ns = 3 * s};
    ck_assert_int_eq(qd_simulate(&config, &r), 0);
    ck_assert_int_eq(r.jobs[1].start_ns, 15 * s);
    ck_assert_int_eq(r.jobs[1].end_ns, 25 * s);
    ck_assert_int_eq(r.jobs[0].end_ns, 69 * s + s / 2);
    ck_assert_int_eq(r.jobs[0].held_ns, 124 * s);
    ck_assert_int_eq(r.jobs[0].wait_ns, 0);
    ck_assert_int_eq(r.jobs[0].preemptions, 1);
    qd_simulation_fini(&r);
    qd_trace_fini(&trace);
}
END_TEST

static const char two_members[] = "policy: multifactor\npreemption: {min_run_s: 0}\nteams:\n"
                                  "  - {name: p}\n  - {name: a, parent: p, quota: 2}\n"
                                  "  - {name: b, parent: p, quota: 2}\n";

/* Four ranks; b's job borrows those of a's, which come back to a's at 10, when they are saved. */
START_TEST(what_a_team_has_lent_comes_back_for_its_first_job) {
    const int64_t s = 1000000000;
    qd_scheduling scheduling;
    ck_assert_int_eq(qd_scheduling_parse("s.yaml", two_members, strlen(two_members), &scheduling),
                     0);
    qd_trace trace = {.name = "two", .accounts = {"b", "a"}, .account_count = 2};
    qd_simulation r;
    ck_assert_int_eq(qd_trace_add(&trace, 0, 100 * s, 4), 0);
    ck_assert_int_eq(qd_trace_add(&trace, 10 * s, 10 * s, 2), 0);
    trace.jobs[1].account = 1;
    qd_simulation_config config = {.trace = &trace,
                                   .ranks = 4,
                                   .scheduling = &scheduling,
                                   .save_ns = 5 * s,
                                   .restart_ns = 3 * s};
    ck_assert_int_eq(qd_simulate(&config, &r), 0);
    ck_assert_int_eq(r.jobs[1].start_ns, 15 * s);
    ck_assert_int_eq(r.jobs[1].end_ns, 25 * s);
    ck_assert_int_eq(r.jobs[0].end_ns, 118 * s); /* 25 + 3 + 90 */
    ck_assert_int_eq(r.jobs[0].preemptions, 1);
    qd_simulation_fini(&r);
    trace.account_count = 0; /* all are a's, the first account: nobody is told anything */
    trace.jobs[1].account = 0;
    ck_assert_int_eq(qd_simulate(&config, &r), 0);
    ck_assert_int_eq(r.jobs[1].start_ns, 100 * s);
    qd_simulation_fini(&r);
    trace.account_count = 1;
    memcpy(trace.accounts[0], "p", 2);
    ck_assert_int_eq(qd_simulate(&config, &r), QD_ECONFIG);
    ck_assert(strstr(qd_error_message(), "two: account: 'p' is a team with members"));
    qd_trace_fini(&trace);
}
END_TEST

/* Rank 1 takes twice as long, 5 and 6 are idle. At 30 the gang has done 15 of 1000 s, and its
 * members tell; it saves until 35, and does the rest on ranks 2 to 5 from 38 on. */
START_TEST(a_gang_leaves_a_slow_rank_and_pays_for_it) {
    const int64_t s = 1000000000;
    for (int swap = 0; swap < 2; swap++) {
        qd_scheduling scheduling = *scheduling_of("easy");
        scheduling.swap = swap;
        scheduling.swap_cost_s = 8;
        qd_trace trace = {.name = "slow"};
        qd_simulation r;
        ck_assert_int_eq(qd_trace_add(&trace, 0, 1000 * s, 4), 0);
        qd_simulation_config config = {.trace = &trace,
                                       .ranks = 6,
                                       .slow_ranks = 1,
                                       .slow_factor = 2,
                                       .scheduling = &scheduling,
                                       .save_ns = 5 * s,
                                       .restart_ns = 3 * s};
        ck_assert_int_eq(qd_simulate(&config, &r), 0);
        ck_assert_int_eq(r.jobs[0].end_ns, (swap ? 38 + 985 : 2000) * s);
        ck_assert_int_eq(r.jobs[0].held_ns, (swap ? 35 + 3 + 985 : 2000) * s);
        ck_assert_int_eq(r.jobs[0].preemptions, 0);
        qd_simulation_fini(&r);
        qd_trace_fini(&trace);
    }
}
END_TEST

/* ---- whole traces ---- */

/* Figures of an independent, exact, event-driven program, with the definitions of the four policies
 * in policy.h; of seconds and utilization to the digits given. */
static const struct {
    const char *trace;
    int ranks;
    const char *policy;
    double mean_jct, median_jct, p99_jct, mean_wait, makespan, utilization;
} published[] = {
    {"lublin_256.swf.gz", 256, "fifo", 2393306.5, 2416712, 4714445, 2388443.8, 12482549, 0.6549},
    {"lublin_256.swf.gz", 256, "sjf", 280167.0, 2583, 7138237, 275304.2, 11359058, 0.7197},
    {"lublin_256.swf.gz", 256, "easy", 102018.8, 25581, 858722, 97156.0, 8730698, 0.9363},
    {"lublin_256.swf.gz", 256, "conservative", 136430.3, 22621, 827557, 131567.5, 8729497, 0.9365},
    {"philly-6c71a0.csv.gz", 48, "fifo", 818597.1, 831367, 1160406, 802561.7, 7749024, 0.7956},
    {"philly-6c71a0.csv.gz", 48, "sjf", 51116.9, 7157, 880540, 35081.5, 7749024, 0.7956},
    {"philly-6c71a0.csv.gz", 48, "easy", 701285.9, 760676, 1069752, 685250.5, 7749024, 0.7956},
    {"philly-6c71a0.csv.gz", 48, "conservative", 697717.0, 756827, 1066420, 681681.6, 7749024,
     0.7956},
    {"philly-all.csv.gz", 448, "fifo", 977157.1, 938828, 1583893, 964021.2, 9780657, 0.8036},
    {"philly-all.csv.gz", 448, "sjf", 32827.4, 3326, 468043, 19691.5, 11428447, 0.6877},
    {"philly-all.csv.gz", 448, "easy", 882579.4, 885301, 1553081, 869443.5, 9745661, 0.8065},
    {"philly-all.csv.gz", 448, "conservative", 885528.5, 884535, 1556047, 872392.5, 9745903,
     0.8064},
};
enum { PUBLISHED = sizeof published / sizeof published[0] };

/* False, said so, when there are none. */
static bool find_traces(const char *file, qd_trace *trace) {
    const char *folder = getenv("QD_TRACES");
    char path[1024];
    if (!folder) {
        printf("skipped: QD_TRACES names no folder with %s\n", file);
        return false;
    }
    snprintf(path, sizeof path, "%s/%s", folder, file);
    *trace = load(path);
    return true;
}

static qd_simulation_metrics measure(const qd_trace *trace, int ranks, const char *policy) {
    qd_simulation_metrics metrics;
    qd_simulation simulation = simulate(trace, ranks, policy);
    ck_assert_int_eq(qd_simulation_measure(trace, ranks, &simulation, &metrics), 0);
    qd_simulation_fini(&simulation);
    return metrics;
}

START_TEST(whole_traces_give_the_published_figures) {
    qd_trace trace;
    if (!find_traces(published[_i].trace, &trace))
        return;
    qd_simulation_metrics m = measure(&trace, published[_i].ranks, published[_i].policy);
    ck_assert_double_le(fabs(m.mean_jct_s - published[_i].mean_jct), 0.05 + 1e-9);
    ck_assert_double_eq(m.median_jct_s, published[_i].median_jct);
    ck_assert_double_eq(m.p99_jct_s, published[_i].p99_jct);
    ck_assert_double_le(fabs(m.mean_wait_s - published[_i].mean_wait), 0.05 + 1e-9);
    ck_assert_double_eq(m.makespan_s, published[_i].makespan);
    ck_assert_double_le(fabs(m.utilization - published[_i].utilization), 0.00005 + 1e-9);
    qd_trace_fini(&trace);
}
END_TEST

START_TEST(attained_service_is_far_faster_than_fifo_and_starves_nobody) {
    qd_trace trace;
    if (!find_traces("philly-all.csv.gz", &trace))
        return;
    qd_simulation_metrics fifo = measure(&trace, 448, "fifo");
    qd_simulation_metrics easy = measure(&trace, 448, "easy");
    qd_simulation_metrics attained = measure(&trace, 448, "attained");
    ck_assert_double_ge(fifo.mean_jct_s / attained.mean_jct_s, 25);
    ck_assert_double_ge(easy.mean_jct_s / attained.mean_jct_s, 22);
    ck_assert_double_le(attained.makespan_s / fifo.makespan_s, 1.05);
    ck_assert_double_le(attained.longest_wait_s, fifo.longest_wait_s);
    ck_assert_double_ge(attained.goodput, 0.98);
    qd_trace_fini(&trace);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("simulator");
    tcase_set_timeout(tc, 240);
    tcase_add_test(tc, beside_reservations_jobs_start_when_a_plain_scheduler_starts_them);
    tcase_add_test(tc, recorded_samples_run_as_a_plain_scheduler_runs_them);
    tcase_add_test(tc, drawn_traces_run_as_a_plain_scheduler_runs_them);
    tcase_add_test(tc, a_forecast_comes_true_when_all_goes_as_predicted);
    tcase_add_test(tc, a_job_wider_than_the_cluster_is_refused_and_counted);
    tcase_add_test(tc, attained_service_lets_the_one_that_had_less_go_first);
    tcase_add_test(tc, attained_service_ends_every_job_and_loses_no_second_of_training);
    tcase_add_test(tc, who_is_cut_off_trains_again_what_it_had_not_saved);
    tcase_add_test(tc, an_elastic_job_shrinks_and_grows_and_pays_for_both);
    tcase_add_test(tc, what_a_team_has_lent_comes_back_for_its_first_job);
    tcase_add_test(tc, a_gang_leaves_a_slow_rank_and_pays_for_it);
    tcase_add_loop_test(tc, whole_traces_give_the_published_figures, 0, PUBLISHED);
    tcase_add_test(tc, attained_service_is_far_faster_than_fifo_and_starves_nobody);
    Suite *suite = suite_create("scheduler/simulator");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
