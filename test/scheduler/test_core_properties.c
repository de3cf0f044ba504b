/*
 * 12,000 random histories of the core (fewer where a sanitizer looks on), under all policies, each
 * under the eyes of a witness that knows the rules but no code of the core (core_witness.h). A
 * history that breaks a rule is named by its seed.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "core_trial.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { HISTORIES = 2000 };
#else
enum { HISTORIES = 12000 };
#endif
enum { PARTS = 4, EVENTS = 100 };

static struct {
    int64_t histories, events, taken, starts, shutdowns, forecasts;
    int64_t states[QD_STATES];
    int64_t judged; /* reservations ahead */
    int64_t kinds[QD_EVENTS];
} seen;

static void count(const trial *t, const qd_event *e) {
    seen.events++;
    if (!t->taken)
        return;
    seen.taken++;
    seen.kinds[e->kind]++;
    for (int i = 0; i < t->actions.count; i++) {
        const qd_action *a = &t->actions.actions[i];
        seen.starts += a->kind == QD_ACTION_START;
        seen.shutdowns += a->kind == QD_ACTION_SHUTDOWN;
        if (a->kind == QD_ACTION_JOB_STATE)
            seen.states[a->state]++;
    }
}

static void run_history(uint64_t number) {
    trial t;
    uint64_t seed = number;
    ck_assert(trial_begin(&t, (trial_source){trial_draw_splitmix, &seed}));
    bool fine = true;
    for (int i = 0; fine && i < EVENTS; i++) {
        qd_event e = trial_draw_event(&t);
        fine = trial_step(&t, &e);
        if (fine)
            count(&t, &e);
    }
    seen.judged += t.witness.judged;
    fine = fine && trial_finish(&t, number % 2 == 0);
    ck_assert_msg(fine, "history %llu: %s", (unsigned long long)number, t.broken);
    seen.histories++;
    seen.forecasts += t.forecasts;
    trial_end(&t);
}

START_TEST(no_history_breaks_a_rule_and_every_one_ends) {
    for (uint64_t i = 0; i < HISTORIES / PARTS; i++)
        run_history((uint64_t)_i * (HISTORIES / PARTS) + i);
    printf("part %d of %d: %lld histories, %lld events, %lld starts, %lld forecasts\n", _i + 1,
           PARTS, (long long)seen.histories, (long long)seen.events, (long long)seen.starts,
           (long long)seen.forecasts);
}
END_TEST

/* Makes the history of that number; counts how often gangs, and parts of gangs, made room, and how
 * often jobs grew. */
static void share(uint64_t number, int *gangs, int *parts, int *grown) {
    trial t;
    uint64_t seed = number;
    ck_assert(trial_begin_sharing(&t, (trial_source){trial_draw_splitmix, &seed}));
    bool fine = true;
    for (int i = 0; fine && i < EVENTS; i++) {
        qd_event e = trial_draw_busy_event(&t);
        fine = trial_step(&t, &e);
        for (int k = 0; fine && t.taken && k < t.actions.count; k++) {
            const qd_action *a = &t.actions.actions[k];
            *gangs += a->kind == QD_ACTION_STOP && strncmp(a->reason, "makes room", 10) == 0;
            *parts += a->kind == QD_ACTION_RESIZE && strstr(a->reason, "makes room");
            *grown += a->kind == QD_ACTION_RESIZE && strstr(a->reason, "ranks are idle");
        }
    }
    fine = fine && trial_finish(&t, number % 2 == 0);
    ck_assert_msg(fine, "history %llu: %s", (unsigned long long)number, t.broken);
    trial_end(&t);
}

START_TEST(no_history_of_teams_that_lend_breaks_a_rule) {
    int gangs = 0, parts = 0, grown = 0;
    for (uint64_t i = 0; i < HISTORIES / 12; i++)
        share(UINT64_C(3000000) + i, &gangs, &parts, &grown);
    ck_assert_int_ge(gangs, HISTORIES / 100);
    ck_assert_int_ge(parts, HISTORIES / 1000);
    ck_assert_int_ge(grown, HISTORIES / 300);
}
END_TEST

/* Histories in which nothing happens would prove nothing. */
START_TEST(the_histories_reach_every_state_and_kind_of_event) {
    for (uint64_t i = 0; i < 1300; i++)
        run_history(UINT64_C(1000000) + i);
    for (int state = 0; state < QD_STATES; state++)
        ck_assert_msg(seen.states[state] >= 100, "%s: %lld", qd_job_state_names[state],
                      (long long)seen.states[state]);
    for (int kind = 0; kind < QD_EVENTS; kind++)
        ck_assert_msg(seen.kinds[kind] >= 100, "%s: %lld", qd_event_names[kind],
                      (long long)seen.kinds[kind]);
    ck_assert_int_ge(seen.starts, 1000);
    ck_assert_int_ge(seen.judged, 1000);
    ck_assert_int_ge(seen.shutdowns, 100);
    ck_assert_int_ge(seen.events - seen.taken, 1000);
}
END_TEST

static bool is_lost_already(const witness_job *job) {
    return job->cancelled || job->ended[QD_OUTCOME_FAILED] > 0;
}

/* Hides one word of a member from the core, not from the witness, and goes on to the end. Returns
 * 1 when the witness objects, 0 when not, -1 when there was no such word to hide. What a member of
 * a cancelled or failed job says does not matter: should its rank be lost later, nobody can tell;
 * nor whether a drained rank is free. */
static int hide_one_event(uint64_t seed) {
    trial t;
    ck_assert(trial_begin(&t, (trial_source){trial_draw_splitmix, &seed}));
    bool fine = true, hidden = false;
    for (int i = 0; fine && i < EVENTS; i++) {
        qd_event e = trial_draw_event(&t);
        bool live_word = e.kind == QD_EVENT_MEMBER_ENDED && witness_expects(&t.witness, &e) &&
                         t.witness.ranks[e.rank].job == e.job && !t.witness.ranks[e.rank].drained &&
                         !is_lost_already(witness_find(&t.witness, e.job));
        qd_action_list nothing = {0};
        if (live_word && !hidden)
            fine = witness_see(&t.witness, &e, &nothing, t.core);
        else
            fine = trial_step(&t, &e);
        hidden = hidden || live_word;
    }
    fine = fine && trial_finish(&t, true);
    trial_end(&t);
    return hidden ? !fine : -1;
}

/* A witness that is blind would prove nothing either. */
START_TEST(the_witness_notices_whenever_an_event_is_lost) {
    int hidden = 0;
    for (uint64_t seed = 2000000; seed < 2000200; seed++) {
        int noticed = hide_one_event(seed);
        ck_assert_msg(noticed != 0, "history %llu", (unsigned long long)seed);
        hidden += noticed > 0;
    }
    ck_assert_int_ge(hidden, 100);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("core properties");
    TCase *tc = tcase_create("histories");
    tcase_set_timeout(tc, 240);
    suite_add_tcase(suite, tc);
    tcase_add_loop_test(tc, no_history_breaks_a_rule_and_every_one_ends, 0, PARTS);
    tcase_add_test(tc, no_history_of_teams_that_lend_breaks_a_rule);
    tcase_add_test(tc, the_histories_reach_every_state_and_kind_of_event);
    tcase_add_test(tc, the_witness_notices_whenever_an_event_is_lost);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad != 0;
}
