/* A scheduler that is killed and comes back goes on from its journal as if nothing had been. */
#include <stdlib.h>
#include <unistd.h>

#include "core_kit.h"
#include "runtime/file.h"
#include "scheduler/journal.h"
#include "scheduler/policy.h"
#include "scheduler/simulator.h"

static char folder[64], path[128];
static qd_journal *journal;
static int events;

static void tell(double seconds, qd_event event) {
    qd_action_list actions;
    event.time_ns = (int64_t)(seconds * 1e9);
    kit.time_ns = event.time_ns;
    ck_assert_msg(qd_core_handle(kit.core, &event, &actions) == 0, "%s", qd_error_message());
    ck_assert_int_eq(qd_journal_record(journal, &event, &actions), 0);
    events++;
}

static void open_journalled(int ranks, const char *policy) {
    snprintf(folder, sizeof folder, "/tmp/quadrille-restart-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/journal.sqlite", folder);
    ck_assert_int_eq(qd_journal_open(path, ranks, scheduling_of(policy), &journal), 0);
    ck_assert_int_eq(qd_core_create(ranks, scheduling_of(policy), &kit.core), 0);
    events = 0;
    for (int rank = 1; rank <= ranks; rank++)
        tell(0, ready(rank));
}

static void close_journalled(void) {
    qd_journal_close(journal);
    qd_file_remove_tree(folder);
    kit_close();
}

/* The core is gone; its events make another, which leads to the same actions (journal.h). */
static void restart(void) {
    uint64_t before = qd_core_digest(kit.core);
    qd_core_destroy(kit.core);
    kit.core = NULL;
    ck_assert_msg(qd_journal_replay(path, 0, &kit.core) == 0, "%s", qd_error_message());
    ck_assert_uint_eq(qd_core_digest(kit.core), before);
}

static void end_all(double seconds, int64_t job, qd_outcome outcome, bool more) {
    qd_job_view view = kit_job(job);
    for (int i = 0, count = view.rank_count; i < count; i++) {
        qd_event event = ended(job, view.ranks[i], outcome);
        event.attempt = view.attempt;
        event.more = more || i < count - 1;
        tell(seconds, event);
    }
}

/* Trap 26. */
START_TEST(a_rank_drained_inside_a_gang_stays_so_over_a_restart) {
    open_journalled(8, "easy");
    tell(1, estimated(1, 4, 199));
    tell(50, drain_rank(3));
    ck_assert_int_eq(kit_free_ranks(), 4);
    restart();
    expect_state(1, QD_STATE_RUNNING);
    ck_assert_int_eq(kit_free_ranks(), 4);
    end_all(200, 1, QD_OUTCOME_DONE, false);
    ck_assert_int_eq(kit_free_ranks(), 7);
    tell(201, resume_rank(3));
    ck_assert_int_eq(kit_free_ranks(), 8);
    close_journalled();
}
END_TEST

/* Trap 41: the scheduler dies between the end of J2 and the decision that follows. */
START_TEST(jobs_that_have_ended_do_not_come_back_and_who_waited_for_them_is_released_once) {
    open_journalled(1, "multifactor");
    tell(1, estimated(1, 1, 10));
    tell(2, estimated(2, 1, 10));
    qd_event third = estimated(3, 1, 10);
    snprintf(third.submit.after, sizeof third.submit.after, "any:2");
    tell(3, third);
    end_all(11, 1, QD_OUTCOME_DONE, false);
    end_all(20, 2, QD_OUTCOME_FAILED, true);
    restart();
    expect_state(1, QD_STATE_COMPLETED);
    expect_state(2, QD_STATE_FAILED);
    expect_state(3, QD_STATE_PENDING);
    tell(20, now());
    expect_state(3, QD_STATE_RUNNING);
    restart();
    end_all(30, 3, QD_OUTCOME_DONE, false);
    restart();
    for (int64_t job = 1; job <= 3; job++)
        ck_assert_int_eq(kit_job(job).attempt, 1);
    ck_assert_int_eq(kit_free_ranks(), 1);
    ck_assert_int_eq(events, 1 + 3 + 3 + 1); /* each written once: replay counts them */
    close_journalled();
}
END_TEST

/* Trap 32: four jobs of one class in the same second on 2 ranks, under each policy. */
START_TEST(ties_are_broken_alike_live_replayed_and_simulated) {
    qd_trace trace = {.name = "ties"};
    qd_simulation simulated;
    open_journalled(2, qd_policy_names[_i]);
    for (int64_t job = 1; job <= 4; job++) {
        qd_event event = estimated(job, 1, 10);
        event.more = job < 4;
        tell(0, event);
        ck_assert_int_eq(qd_trace_add(&trace, 0, INT64_C(10000000000), 1), 0);
    }
    restart();
    end_all(10, 1, QD_OUTCOME_DONE, true);
    end_all(10, 2, QD_OUTCOME_DONE, false);
    restart();
    qd_simulation_config config = {.trace = &trace,
                                   .ranks = 2,
                                   .scheduling = scheduling_of(qd_policy_names[_i]),
                                   .keep_segments = true};
    ck_assert_int_eq(qd_simulate(&config, &simulated), 0);
    for (int64_t job = 1; job <= 4; job++) {
        ck_assert_int_eq(kit_job(job).ranks[0], job % 2 ? 1 : 2);
        ck_assert_int_eq(simulated.jobs[job - 1].start_ns, job > 2 ? INT64_C(10000000000) : 0);
    }
    for (size_t i = 0; i < simulated.segment_count; i++)
        ck_assert_int_eq(simulated.segments[i].first_rank, simulated.segments[i].job % 2 + 1);
    qd_simulation_fini(&simulated);
    qd_trace_fini(&trace);
    close_journalled();
}
END_TEST

int main(void) {
    int policies = 0;
    while (qd_policy_names[policies])
        policies++;
    TCase *tc = tcase_create("restart");
    tcase_add_test(tc, a_rank_drained_inside_a_gang_stays_so_over_a_restart);
    tcase_add_test(tc,
                   jobs_that_have_ended_do_not_come_back_and_who_waited_for_them_is_released_once);
    tcase_add_loop_test(tc, ties_are_broken_alike_live_replayed_and_simulated, 0, policies);
    Suite *suite = suite_create("scheduler/restart");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad != 0;
}
