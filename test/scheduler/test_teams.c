/* Teams in a tree: what they own, lend and call back, what they may hold, and whose turn it is. */
#include <math.h>

#include "core_kit.h"
#include "scheduler/shares.h"
#include "scheduler/teams.h"
#include "scheduler/why.h"

enum { LO = -50, MID = 0, HI = 50 };

/* Settings as a cluster file gives them: the list of teams, and more keys behind it. */
static const qd_scheduling *settings(const char *teams, const char *more) {
    static qd_scheduling scheduling;
    char text[2048];
    snprintf(text, sizeof text, "policy: multifactor\n%s\nteams:\n%s", more, teams);
    ck_assert_msg(qd_scheduling_parse("s.yaml", text, strlen(text), &scheduling) == 0, "%s",
                  qd_error_message());
    return &scheduling;
}

static void open_teams(int ranks, const char *teams) {
    kit_open_policy(ranks, settings(teams, "preemption: {by: class, min_run_s: 1, grace_s: 60}"));
}

static qd_event of(int account, int importance, qd_event event) {
    event.submit.account = account;
    event.submit.importance = importance;
    return event;
}

static int preemptions(void) {
    qd_job_view view;
    int sum = 0;
    for (int i = 0; i < qd_core_job_count(kit.core); i++) {
        qd_core_job(kit.core, i, &view);
        sum += view.preemptions;
    }
    return sum;
}

/* ---- lending and calling back ---- */

enum { A, B, C };
static const char two_teams[] = "  - {name: a, quota: 4}\n  - {name: b, quota: 4}\n";

/* Trap 17. */
START_TEST(a_job_that_can_never_fit_its_quota_and_what_is_lent_is_refused) {
    open_teams(3, "  - {name: a, quota: 3}\n  - {name: b, quota: 0}\n");
    feed_at(0, of(B, MID, submit(1, 1, 1)));
    expect_state(1, QD_STATE_RUNNING);
    feed_at(10, of(A, MID, submit(2, 4, 4)));
    expect_state(2, QD_STATE_CANCELLED);
    expect_state(1, QD_STATE_RUNNING);
    feed_at(20, of(A, MID, submit(3, 3, 3)));
    expect_state(1, QD_STATE_COMPLETING);
    end_at(21, 1, QD_OUTCOME_SAVED);
    expect_state(3, QD_STATE_RUNNING);
    expect_state(1, QD_STATE_PENDING);
    end_at(50, 3, QD_OUTCOME_DONE);
    expect_state(1, QD_STATE_RUNNING);
    ck_assert_int_eq(preemptions(), 1);
    kit_close();
}
END_TEST

/* The same where the cluster has ranks enough, and their owner does not lend them. */
START_TEST(a_job_wider_than_what_its_team_owns_and_others_lend_is_refused) {
    open_teams(8, "  - {name: a, quota: 3}\n  - {name: b, quota: 3, lends: false}\n");
    feed_at(0, of(A, MID, submit(1, 6, 6)));
    expect_state(1, QD_STATE_CANCELLED);
    ck_assert_str_eq(kit_job(1).reason,
                     "AssocGrpQuota: needs 6 ranks, a can never have more than 5");
    qd_event keeps = of(A, MID, submit(2, 4, 4));
    keeps.submit.keeps_ranks = 1;
    feed_at(1, keeps);
    ck_assert_str_eq(kit_job(2).reason,
                     "AssocGrpQuota: needs 4 ranks, a can never have more than 3 "
                     "that it does not give back");
    feed_at(2, of(A, MID, submit(3, 5, 5)));
    expect_state(3, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* Trap 18: X deserves 3, Y 5. */
START_TEST(who_is_beyond_its_quota_yields_once_and_does_not_hold_what_is_left) {
    open_teams(8, "  - {name: x, quota: 3}\n  - {name: y, quota: 5}\n");
    feed_at(0, of(A, MID, submit(1, 4, 4)));
    feed_at(1, of(B, MID, submit(2, 1, 1)));
    feed_at(10, of(B, MID, submit(3, 4, 4)));
    expect_state(1, QD_STATE_COMPLETING);
    end_at(11, 1, QD_OUTCOME_SAVED);
    expect_state(3, QD_STATE_RUNNING);
    expect_state(1, QD_STATE_PENDING);
    for (int k = 0; k < 100; k++)
        feed_at(100 + 10 * k, now());
    expect_state(1, QD_STATE_PENDING);
    feed_at(2000, of(A, MID, submit(4, 3, 3)));
    expect_state(4, QD_STATE_RUNNING);
    ck_assert_int_eq(preemptions(), 1);
    kit_close();
}
END_TEST

/* Trap 18, the end: x1 may run on 3. */
START_TEST(who_can_shrink_into_its_quota_does_so_instead) {
    open_teams(8, "  - {name: x, quota: 3}\n  - {name: y, quota: 5}\n");
    feed_at(0, of(A, HI, submit(1, 3, 4)));
    qd_event wider = {.kind = QD_EVENT_RESIZE, .job = 1};
    wider.submit.ranks_min = 4;
    feed_at(0, wider);
    end_at(0, 1, QD_OUTCOME_SAVED);
    feed_at(1, of(B, MID, submit(2, 1, 1)));
    feed_at(10, of(B, LO, submit(3, 4, 4)));
    ck_assert_str_eq(kit_job(1).reason, "shrinks to 3 ranks: makes room for job 3");
    end_at(11, 1, QD_OUTCOME_SAVED);
    for (int job = 1; job <= 3; job++)
        expect_state(job, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* Trap 40. */
START_TEST(the_owner_gets_its_own_back_whatever_class_the_borrowers_team_has_waiting) {
    for (int by_class = 0; by_class < 2; by_class++) {
        char more[64];
        snprintf(more, sizeof more, "preemption: {by: %s, min_run_s: 1}",
                 by_class ? "class" : "none");
        kit_open_policy(8, settings(two_teams, more));
        feed_at(0, of(B, LO, submit(1, 8, 8)));
        qd_event a1 = of(A, MID, submit(2, 4, 4));
        a1.more = true;
        feed_at(10, a1);
        feed_at(10, of(B, HI, submit(3, 4, 4)));
        expect_state(1, QD_STATE_COMPLETING);
        end_at(12, 1, QD_OUTCOME_SAVED);
        expect_state(2, QD_STATE_RUNNING);
        expect_state(3, QD_STATE_RUNNING);
        expect_state(1, QD_STATE_PENDING);
        end_at(20, 2, QD_OUTCOME_DONE);
        expect_state(1, QD_STATE_PENDING);
        end_at(21, 3, QD_OUTCOME_DONE);
        expect_state(1, QD_STATE_RUNNING);
        ck_assert_int_eq(preemptions(), 1);
        kit_close();
    }
}
END_TEST

START_TEST(a_borrower_may_borrow_again_only_when_nothing_of_the_owner_waits) {
    open_teams(8, two_teams);
    feed_at(0, of(A, MID, estimated(1, 1, 1000)));
    feed_at(1, of(B, MID, estimated(2, 4, 1000)));
    feed_at(2, of(B, HI, estimated(3, 3, 1000))); /* all that is idle */
    expect_state(3, QD_STATE_RUNNING);
    feed_at(2.5, of(A, LO, submit(4, 3, 3))); /* job 3 is too young */
    feed_at(2.6, of(B, HI, estimated(5, 1, 1)));
    expect_state(4, QD_STATE_PENDING);
    expect_state(5, QD_STATE_PENDING);
    feed_at(3.5, now());
    ck_assert_int_eq(kit_job(2).preemptions + kit_job(3).preemptions, 1);
    kit_close();

    open_teams(8, two_teams);
    feed_at(0, of(B, MID, submit(1, 6, 6)));
    feed_at(0.5, of(A, MID, submit(2, 4, 4))); /* 2 are free, and job 1 is too young */
    feed_at(0.6, of(B, HI, submit(3, 2, 2)));
    expect_state(3, QD_STATE_PENDING);
    feed_at(5, now());
    expect_state(1, QD_STATE_COMPLETING);
    end_at(6, 1, QD_OUTCOME_SAVED);
    expect_state(2, QD_STATE_RUNNING);
    expect_state(3, QD_STATE_RUNNING); /* within what b owns */
    expect_state(1, QD_STATE_PENDING);
    kit_close();
}
END_TEST

/* Nobody else's class matters to who holds no more than his team owns. */
START_TEST(an_owner_within_its_quota_makes_room_for_nobody_of_another_team) {
    open_teams(8, two_teams);
    feed_at(0, of(A, LO, submit(1, 4, 4)));
    feed_at(1, of(B, HI, submit(2, 4, 4)));
    feed_at(10, of(B, HI, submit(3, 4, 4)));
    feed_at(1000, now());
    expect_state(1, QD_STATE_RUNNING);
    expect_state(3, QD_STATE_PENDING);
    ck_assert_int_eq(preemptions(), 0);
    kit_close();
}
END_TEST

/* All of a's quota is in use by itself, and nothing idle: its own lower class makes room, b's does
 * not. */
START_TEST(within_a_team_the_class_decides_as_ever) {
    open_teams(8, two_teams);
    feed_at(0, of(A, MID, submit(1, 2, 2)));
    feed_at(1, of(A, LO, submit(2, 2, 2)));
    feed_at(2, of(B, LO, submit(3, 4, 4)));
    feed_at(10, of(A, HI, submit(4, 2, 2)));
    expect_state(1, QD_STATE_RUNNING);
    expect_state(2, QD_STATE_COMPLETING);
    expect_state(3, QD_STATE_RUNNING);
    end_at(11, 2, QD_OUTCOME_SAVED);
    expect_state(4, QD_STATE_RUNNING);
    feed_at(20, of(A, HI, submit(5, 4, 4)));
    expect_state(1, QD_STATE_RUNNING); /* alone not enough, and job 4 is of the same class */
    kit_close();
}
END_TEST

START_TEST(only_jobs_that_can_be_preempted_borrow) {
    open_teams(8, two_teams);
    qd_event keeps = of(A, MID, submit(1, 3, 3));
    keeps.submit.keeps_ranks = 1;
    feed_at(0, keeps);
    keeps.submit.job = 2;
    feed_at(1, keeps);
    expect_state(1, QD_STATE_RUNNING);
    expect_state(2, QD_STATE_PENDING);
    feed_at(2, of(A, MID, submit(3, 5, 5)));
    expect_state(3, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

START_TEST(who_does_not_lend_finds_its_ranks_idle) {
    open_teams(8, "  - {name: a, quota: 4, lends: false}\n  - {name: b, quota: 4}\n");
    feed_at(0, of(B, MID, submit(1, 4, 4)));
    feed_at(1, of(B, MID, submit(2, 1, 1)));
    expect_state(1, QD_STATE_RUNNING);
    expect_state(2, QD_STATE_PENDING);
    feed_at(2, of(A, MID, submit(3, 4, 4)));
    expect_state(3, QD_STATE_RUNNING);
    ck_assert_int_eq(preemptions(), 0);
    kit_close();
}
END_TEST

/* r owns 6: a 4 of them, b 2; o owns 2. Accounts: a 1, b 2, o 3. */
static const char nested[] = "  - {name: r, quota: 6}\n"
                             "  - {name: a, parent: r, quota: 4}\n"
                             "  - {name: b, parent: r, quota: 2}\n"
                             "  - {name: o, quota: 2}\n";

START_TEST(a_team_lends_within_its_parent_first_and_calls_back_from_outside_and_inside) {
    open_teams(8, nested);
    feed_at(0, of(3, MID, submit(1, 4, 4)));  /* o borrows 2 of r's */
    feed_at(1, of(1, MID, submit(2, 4, 4)));  /* a: its own */
    feed_at(10, of(1, MID, submit(3, 2, 2))); /* a borrows b's: r is within its own */
    expect_state(1, QD_STATE_COMPLETING);
    end_at(11, 1, QD_OUTCOME_SAVED);
    expect_state(3, QD_STATE_RUNNING);
    feed_at(12, of(3, MID, submit(4, 2, 2)));
    expect_state(4, QD_STATE_RUNNING); /* o: its own */
    feed_at(20, of(2, MID, submit(5, 2, 2)));
    expect_state(4, QD_STATE_RUNNING);
    ck_assert_int_eq(kit_job(2).state == QD_STATE_COMPLETING, 0); /* the smaller one is enough */
    expect_state(3, QD_STATE_COMPLETING);
    end_at(21, 3, QD_OUTCOME_SAVED);
    expect_state(5, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* ---- limits ---- */

START_TEST(users_and_teams_have_limits_of_their_own) {
    kit_open_policy(16, settings("  - {name: t, ranks: 5}\n"
                                 "  - {name: u, parent: t}\n"
                                 "  - {name: v, parent: t, jobs: 3}\n"
                                 "  - {name: w}\n",
                                 "limits: {jobs: 1}"));
    feed_at(0, of(1, MID, submit(1, 2, 2)));
    feed_at(1, of(1, MID, submit(2, 1, 1)));
    ck_assert_str_eq(kit_job(2).reason, "AssocGrpJobsLimit: waits for others of u");
    feed_at(2, of(2, MID, submit(3, 2, 2)));
    expect_state(3, QD_STATE_RUNNING);
    feed_at(3, of(2, MID, submit(4, 2, 2)));
    ck_assert_str_eq(kit_job(4).reason, "AssocGrpNodeLimit: waits for others of t");
    feed_at(4, of(2, MID, submit(5, 1, 1))); /* would fit, and does not pass job 4 */
    expect_state(5, QD_STATE_PENDING);
    feed_at(5, of(3, MID, submit(6, 8, 8)));
    expect_state(6, QD_STATE_RUNNING);
    feed_at(6, of(3, MID, submit(7, 1, 1)));
    ck_assert_str_eq(kit_job(7).reason, "AssocGrpJobsLimit: waits for others of w");
    end_at(7, 1, QD_OUTCOME_DONE);
    expect_state(2, QD_STATE_RUNNING); /* it came before job 4 */
    expect_state(4, QD_STATE_RUNNING);
    expect_state(5, QD_STATE_PENDING);
    kit_close();
}
END_TEST

START_TEST(a_job_wider_than_its_team_may_ever_be_is_refused_with_its_name) {
    kit_open_policy(8, settings("  - {name: t, ranks: 3}\n  - {name: u, parent: t}\n", ""));
    feed_at(0, of(1, MID, submit(1, 4, 4)));
    ck_assert_str_eq(kit_job(1).reason, "AssocGrpNodeLimit: needs 4 ranks, t may hold 3");
    expect_state(1, QD_STATE_CANCELLED);
    kit_close();
}
END_TEST

START_TEST(a_job_names_a_member_not_a_team_with_members) {
    kit_open_policy(8, settings(nested, ""));
    kit_refused(of(0, MID, submit(1, 1, 1)), "SUBMIT: job 1: account 0 is a team with members");
    kit_refused(of(4, MID, submit(1, 1, 1)),
                "SUBMIT: job 1: importance 0, nice 0, account 4; accepted: -100 .. 100, -1000000 "
                ".. 1000000, 0 .. 3");
    kit_close();
}
END_TEST

/* ---- fair share ---- */

static double factor(const qd_shares *shares, int account) {
    return qd_shares_factor(shares, account);
}

static void begin_shares(qd_shares *shares, qd_team_tree **tree, const char *teams,
                         double half_life_s, int accounts) {
    ck_assert_int_eq(qd_teams_create(settings(teams, ""), tree), 0);
    qd_shares_init(shares, half_life_s, *tree);
    for (int i = 0; i < accounts; i++)
        if ((*tree)->team[i].is_account)
            qd_shares_see(shares, i);
}

/* By hand: p used 30 of 40 with half the shares, q 10. In p, u used 20 of 30 with 1 of 4 shares, v
 * 10 with 3. */
START_TEST(the_factor_is_the_product_of_those_of_the_levels) {
    qd_shares shares;
    qd_team_tree *tree;
    begin_shares(&shares, &tree,
                 "  - {name: p}\n  - {name: u, parent: p}\n  - {name: v, parent: p, shares: 3}\n"
                 "  - {name: q}\n",
                 1000, 4);
    qd_shares_use(&shares, 1, 0, 20);
    qd_shares_use(&shares, 2, 0, 10);
    qd_shares_use(&shares, 3, 0, 10);
    double p = (30.0 / 40) / (1.0 / 2);
    ck_assert_double_eq_tol(factor(&shares, 1), exp2(-p - (20.0 / 30) / (1.0 / 4)), 1e-12);
    ck_assert_double_eq_tol(factor(&shares, 2), exp2(-p - (10.0 / 30) / (3.0 / 4)), 1e-12);
    ck_assert_double_eq_tol(factor(&shares, 3), exp2(-(10.0 / 40) / (1.0 / 2)), 1e-12);
    free(tree);
}
END_TEST

/* Trap 35: 746.4 = 800 x 2^-0.1 and 696.4 = 800 x 2^-0.2 are what another has to use at 100 and at
 * 200 to be equal. */
START_TEST(usage_fades_with_the_events_clock_alone_and_a_half_life_of_0_is_refused) {
    static const struct { double at_s, equal; } cases[] = {{100, 746.4}, {200, 696.4}};
    qd_scheduling parsed;
    for (int i = 0; i < 2; i++) {
        qd_shares shares;
        qd_team_tree *tree;
        begin_shares(&shares, &tree, "  - {name: u}\n  - {name: v}\n", 1000, 2);
        qd_shares_use(&shares, 0, 0, 800);
        qd_shares_use(&shares, 1, (int64_t)(cases[i].at_s * 1e9), cases[i].equal);
        ck_assert_double_eq_tol(factor(&shares, 0), factor(&shares, 1), 1e-4);
        free(tree);
    }
    ck_assert_int_eq(qd_scheduling_parse("s", "half_life_s: 0", 14, &parsed), QD_ECONFIG);
    /* A clock that falls back is refused as an event. */
    kit_open_policy(1, settings(two_teams, ""));
    feed_at(100, now());
    kit_at(99);
    ck_assert_int_eq(kit_try(now()), QD_EPROTO);
    kit_close();
}
END_TEST

/* Trap 36: u 0, v 1, w 2, z 3. All wait for one rank; who comes first? */
START_TEST(tiny_usage_orders_accounts_and_who_has_no_share_comes_last) {
    kit_open_policy(1, settings("  - {name: u}\n  - {name: v}\n  - {name: w}\n"
                                "  - {name: z, shares: 0}\n  - {name: x}\n",
                                "half_life_s: 2592000\nage_s: 1e9"));
    int64_t job = 0;
    double at = 0;
    for (int i = 0; i < 11; i++) {
        feed_at(at, of(i < 10 ? 0 : 1, MID, estimated(++job, 1, 1)));
        at += i < 10 ? 0.001 : 0.005;
        end_at(at, job, QD_OUTCOME_DONE);
    }
    feed_at(at + 1, of(4, HI, estimated(++job, 1, 10)));
    int64_t busy = job;
    for (int account = 0; account < 4; account++)
        feed_at(at + 2 + account * 1e-6, of(account, MID, estimated(++job, 1, 10)));
    static const int order[] = {2, 1, 0, 3};
    for (int i = 0; i < 4; i++) {
        end_at(at + 10 + i, busy, QD_OUTCOME_DONE);
        busy = job - 3 + order[i];
        expect_state(busy, QD_STATE_RUNNING);
    }
    kit_close();
}
END_TEST

/* Trap 37, with v in a team of its own: u submits 100 jobs at 0, v one at 1. */
START_TEST(a_burst_is_charged_to_its_team_as_it_starts) {
    kit_open_policy(4,
                    settings("  - {name: p}\n  - {name: u, parent: p}\n  - {name: t, parent: p}\n"
                             "  - {name: q}\n  - {name: v, parent: q}\n",
                             ""));
    for (int64_t job = 1; job <= 100; job++)
        feed_at(0.0001 * (double)job, of(job % 2 ? 1 : 2, MID, estimated(job, 1, 100)));
    feed_at(1, of(4, MID, estimated(101, 1, 100)));
    end_at(100, 1, QD_OUTCOME_DONE);
    expect_state(101, QD_STATE_RUNNING);
    expect_state(5, QD_STATE_PENDING);
    kit_close();
}
END_TEST

/* ---- quotas and failures ---- */

/* Trap 31 with a quota: j1 fails, and in one event ranks and quota are back. */
START_TEST(a_failed_job_gives_its_quota_back_in_one_event) {
    open_teams(8, "  - {name: a, quota: 4, lends: false}\n  - {name: b, quota: 4, lends: false}\n");
    feed_at(0, of(A, MID, submit(1, 4, 4)));
    feed_at(1, of(A, MID, submit(2, 4, 4)));
    for (int rank = 1; rank <= 4; rank++) {
        feed_at(10 + rank, failed(1, rank, QD_EIO, "no launch"));
        expect_state(1, rank < 4 ? QD_STATE_COMPLETING : QD_STATE_FAILED);
        expect_state(2, rank < 4 ? QD_STATE_PENDING : QD_STATE_RUNNING);
    }
    kit_close();
}
END_TEST

/* Trap 6 with a quota: the head can't have what is not lent, and is in nobody's way. */
START_TEST(a_head_beyond_its_quota_is_passed_and_promised_nothing) {
    open_teams(8, "  - {name: a, quota: 4, lends: false}\n  - {name: b, quota: 4, lends: false}\n");
    feed_at(0, of(A, MID, estimated(1, 4, 1000)));
    feed_at(1, of(A, MID, estimated(2, 4, 10)));
    feed_at(2, of(B, LO, estimated(3, 4, 2000)));
    expect_state(3, QD_STATE_RUNNING);
    qd_why why;
    ck_assert_int_eq(qd_why_ask(kit.core, 2, &why), 0);
    ck_assert_int_eq(why.reasons[0].reason, QD_REASON_QUOTA);
    ck_assert_str_eq(why.reasons[0].team, "a");
    ck_assert_int_eq(why.reasons[0].ranks, 0);
    ck_assert_int_eq(why.reasons[0].blocker_count, 1);
    ck_assert_int_eq(why.reasons[0].blockers[0].job, 1);
    ck_assert_int_eq(why.start_ns / 1000000, 1000000);
    end_at(900, 1, QD_OUTCOME_DONE);
    expect_state(2, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* ---- quotas and jobs that become wider and narrower ---- */

static void open_growing(int ranks, const char *teams) {
    kit_open_policy(ranks, settings(teams, "preemption: {by: none, min_run_s: 1, grace_s: 60}\n"
                                           "grow: {enabled: true, cost_s: 1, min_run_s: 1}"));
}

static qd_event elastic(int account, int64_t job, int min, int max) {
    qd_event event = of(account, MID, submit(job, min, max));
    event.submit.estimate_ns = INT64_C(10000000000000);
    return event;
}

static void expect_size(int64_t job, int ranks) {
    ck_assert_int_eq(kit_job(job).rank_count, ranks);
}

/* An owner gets back what a job has grown into before a gang has to wait for it, a cheaper one at
 * that; in one event, and no more than it needs. */
START_TEST(what_a_borrower_has_grown_into_is_called_back_before_a_gang_has_to_wait) {
    open_growing(8, two_teams);
    feed_at(0, of(A, MID, submit(1, 1, 1)));
    feed_at(0, of(B, HI, submit(2, 1, 1)));
    feed_at(1, elastic(A, 3, 1, 6));
    expect_size(3, 6); /* nobody else waits: 7 ranks of a, which owns 4 */
    feed_at(10, of(B, LO, submit(4, 2, 2)));
    expect_state(1, QD_STATE_RUNNING);
    expect_state(3, QD_STATE_RESIZING);
    ck_assert_str_eq(kit_job(3).reason, "shrinks to 4 ranks: makes room for job 4");
    end_at(11, 3, QD_OUTCOME_SAVED);
    expect_size(3, 4);
    expect_state(4, QD_STATE_RUNNING);
    /* b has 3 of its 4: one more of a's 5. */
    feed_at(20, of(B, LO, submit(5, 1, 1)));
    end_at(21, 3, QD_OUTCOME_SAVED);
    expect_size(3, 3);
    expect_state(5, QD_STATE_RUNNING);
    feed_at(30, of(B, HI, submit(6, 1, 1)));
    for (int k = 0; k < 10; k++)
        feed_at(100 + 10 * k, now());
    expect_state(6, QD_STATE_PENDING); /* each has what it owns */
    expect_size(3, 3);
    ck_assert_int_eq(preemptions(), 2);
    kit_close();
}
END_TEST

/* Two jobs of a team that has borrowed 2 ranks give 2 together, not 2 each. */
START_TEST(the_members_of_a_team_spare_no_more_than_it_has_borrowed) {
    open_growing(10, "  - {name: a, quota: 4}\n  - {name: b, quota: 2}\n  - {name: c, quota: 4}\n");
    feed_at(0, elastic(A, 1, 1, 3));
    expect_size(1, 3);
    feed_at(1, elastic(A, 2, 1, 3));
    expect_size(2, 3);
    feed_at(2, elastic(B, 3, 2, 4));
    expect_size(3, 4);
    feed_at(10, of(C, LO, submit(4, 4, 4)));
    expect_state(3, QD_STATE_RESIZING);
    ck_assert(strstr(kit_job(3).reason, "shrinks to 2 ranks"));
    end_at(11, 3, QD_OUTCOME_SAVED);
    if (kit_job(1).state == QD_STATE_RESIZING)
        end_at(11, 1, QD_OUTCOME_SAVED);
    if (kit_job(2).state == QD_STATE_RESIZING)
        end_at(11, 2, QD_OUTCOME_SAVED);
    expect_size(3, 2);
    ck_assert_int_eq(kit_job(1).rank_count + kit_job(2).rank_count, 4);
    expect_state(4, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* What is kept for it counts from the moment that it is told. */
START_TEST(who_grows_holds_its_quota_at_once_and_who_shrinks_lets_go_of_it_at_once) {
    open_growing(8,
                 "  - {name: a, quota: 4, lends: false}\n  - {name: b, quota: 4, lends: false}\n");
    feed_at(0, of(A, MID, submit(1, 1, 1)));
    feed_at(0, elastic(A, 2, 1, 6));
    expect_size(2, 3); /* what b owns it does not lend */
    end_at(5, 1, QD_OUTCOME_DONE);
    expect_state(2, QD_STATE_RESIZING);
    ck_assert_str_eq(kit_job(2).reason, "grows to 4 ranks: ranks are idle");
    feed_at(6, of(A, HI, submit(3, 1, 1)));
    ck_assert_str_eq(kit_job(3).reason, "waits for 1 rank");
    qd_why why;
    ck_assert_int_eq(qd_why_ask(kit.core, 3, &why), 0);
    ck_assert_int_eq(why.reasons[0].reason, QD_REASON_QUOTA);
    end_at(7, 2, QD_OUTCOME_SAVED);
    expect_size(2, 4);
    qd_event narrower = {.kind = QD_EVENT_RESIZE, .job = 2};
    narrower.submit.ranks_min = 3;
    feed_at(10, narrower);
    expect_state(3, QD_STATE_RUNNING); /* on a rank that nobody had: all of a's are 4 again */
    end_at(11, 2, QD_OUTCOME_SAVED);
    expect_size(2, 3);
    kit_close();
}
END_TEST

START_TEST(nobody_grows_beyond_the_limit_of_a_team_above) {
    open_growing(8, "  - {name: p, ranks: 5}\n  - {name: u, parent: p, ranks: 4}\n"
                    "  - {name: v, parent: p}\n");
    feed_at(0, of(2, MID, submit(1, 2, 2)));
    feed_at(1, elastic(1, 2, 1, 8));
    expect_size(2, 3); /* p may hold 5 */
    end_at(5, 1, QD_OUTCOME_DONE);
    ck_assert_str_eq(kit_job(2).reason, "grows to 4 ranks: ranks are idle"); /* u may hold 4 */
    end_at(6, 2, QD_OUTCOME_SAVED);
    expect_size(2, 4);
    /* So that one more of v's fits, and two do not. */
    feed_at(7, of(2, MID, submit(3, 1, 1)));
    feed_at(8, of(2, MID, submit(4, 1, 1)));
    expect_state(3, QD_STATE_RUNNING);
    ck_assert_str_eq(kit_job(4).reason, "AssocGrpNodeLimit: waits for others of p");
    qd_event narrower = {.kind = QD_EVENT_RESIZE, .job = 2};
    narrower.submit.ranks_min = 2;
    feed_at(20, narrower);
    expect_state(4, QD_STATE_PENDING); /* its ranks are p's until it has saved */
    end_at(21, 2, QD_OUTCOME_SAVED);
    expect_state(4, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* A job that may not be preempted cannot give back what it grows into. */
START_TEST(who_keeps_its_ranks_starts_no_wider_than_what_its_team_owns) {
    open_growing(8, two_teams);
    qd_event keeps = elastic(A, 1, 1, 8);
    keeps.submit.keeps_ranks = 1;
    feed_at(0, keeps);
    expect_size(1, 4);
    kit_close();
}
END_TEST

/* Of u: 6 ranks for 100 s, 8 while it saves for 10 s to grow to 8, then 8 for 50 s: 1080. */
START_TEST(usage_is_charged_for_the_ranks_that_are_held_at_each_time) {
    for (int used = 1079; used <= 1081; used += 2) {
        kit_open_policy(9, settings("  - {name: u}\n  - {name: v}\n", "half_life_s: 1e9"));
        feed_at(0, of(0, MID, submit(1, 6, 8)));
        feed_at(0, of(1, MID, submit(2, 1, 1)));
        qd_event wider = {.kind = QD_EVENT_RESIZE, .job = 1};
        wider.submit.ranks_min = 8;
        feed_at(100, wider);
        end_at(110, 1, QD_OUTCOME_SAVED);
        expect_size(1, 8);
        end_at(160, 1, QD_OUTCOME_DONE);
        end_at(used, 2, QD_OUTCOME_DONE);
        qd_event first = of(0, MID, submit(3, 9, 9));
        first.more = true;
        feed_at(1100, first);
        feed_at(1100, of(1, MID, submit(4, 9, 9)));
        expect_state(used < 1080 ? 4 : 3, QD_STATE_RUNNING);
        kit_close();
    }
}
END_TEST

/* ---- reservations ---- */

/* 4 of 8 ranks are left to the teams: 2 that b keeps, 2 for a, whatever a has inside. */
START_TEST(ranks_of_a_reservation_are_nobodys_to_own_or_to_lend) {
    open_teams(8, "  - {name: a, quota: 2}\n  - {name: b, quota: 2, lends: false}\n");
    feed_at(0, reserve(1, 4, 0, 1000));
    qd_event inside = of(A, MID, estimated(1, 4, 900));
    inside.submit.reservation = 1;
    feed_at(1, inside);
    expect_state(1, QD_STATE_RUNNING);
    feed_at(2, of(A, MID, estimated(2, 4, 100)));
    qd_why why;
    ck_assert_int_eq(qd_why_ask(kit.core, 2, &why), 0);
    ck_assert_int_eq(why.reasons[0].reason, QD_REASON_QUOTA);
    ck_assert_int_eq(why.reasons[0].ranks, 2);
    qd_event keeps = of(A, MID, estimated(3, 2, 100));
    keeps.submit.keeps_ranks = 1;
    feed_at(3, keeps);
    expect_state(3, QD_STATE_RUNNING);
    end_at(50, 3, QD_OUTCOME_DONE);
    expect_state(2, QD_STATE_PENDING);
    end_at(900, 1, QD_OUTCOME_DONE);
    expect_state(2, QD_STATE_PENDING);
    feed_at(1000, now());
    expect_state(2, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

START_TEST(a_reservation_for_a_team_is_for_all_below_it) {
    open_teams(8, "  - {name: p}\n  - {name: u, parent: p}\n  - {name: q}\n");
    qd_event reservation = reserve(1, 4, 0, 1000);
    reservation.reserve.account = 0;
    feed_at(0, reservation);
    qd_event inside = of(1, MID, estimated(1, 4, 900));
    inside.submit.reservation = 1;
    feed_at(1, inside);
    expect_state(1, QD_STATE_RUNNING);
    qd_event other = of(2, MID, estimated(2, 4, 10));
    other.submit.reservation = 1;
    kit_refused(other, "SUBMIT: job 2: reservation r1 is for account 0, not for 2");
    kit_close();
}
END_TEST

/* ---- singletons ---- */

static qd_event single(int account, int64_t job) {
    qd_event event = of(account, MID, estimated(job, 1, 100));
    snprintf(event.submit.name, sizeof event.submit.name, "nightly");
    snprintf(event.submit.after, sizeof event.submit.after, "singleton");
    return event;
}

START_TEST(a_singleton_waits_for_those_of_its_name_and_user) {
    static const char *const policies[] = {"fifo",         "sjf",         "easy",
                                           "conservative", "multifactor", "attained"};
    qd_why why;
    for (int i = 0; i < 6; i++) {
        kit_open_policy(8, scheduling_of(policies[i]));
        feed_at(0, single(0, 1));
        feed_at(1, single(0, 2));
        feed_at(2, single(1, 3)); /* of another user */
        feed_at(3, single(0, 4));
        expect_state(1, QD_STATE_RUNNING);
        expect_state(2, QD_STATE_PENDING);
        expect_state(3, QD_STATE_RUNNING);
        ck_assert_str_eq(kit_job(2).reason, "Dependency: waits for others of its name");
        ck_assert_int_eq(qd_why_ask(kit.core, 4, &why), 0);
        ck_assert_int_eq(why.reasons[0].reason, QD_REASON_DEPENDENCY);
        ck_assert_int_eq(why.reasons[0].blocker_count, 2);
        ck_assert_int_eq(why.reasons[0].blockers[0].job, 1);
        ck_assert_int_eq(why.reasons[0].blockers[1].job, 2);
        feed_at(5, cancel(2, ""));
        expect_state(4, QD_STATE_PENDING);
        end_at(6, 1, QD_OUTCOME_DONE);
        expect_state(4, QD_STATE_RUNNING);
        kit_close();
    }
}
END_TEST

/* A held singleton is passed by a later job of its name, and waits for that. */
START_TEST(a_singleton_does_not_start_beside_a_later_job_of_its_name) {
    kit_open_policy(8, scheduling_of("easy"));
    feed_at(0, estimated(1, 8, 50));
    qd_event held = single(0, 2), plain = single(0, 3);
    held.submit.ranks_min = held.submit.ranks_max = 2;
    plain.submit.after[0] = '\0';
    held.submit.held = 1;
    feed_at(1, held);
    feed_at(2, plain);
    end_at(50, 1, QD_OUTCOME_DONE);
    expect_state(3, QD_STATE_RUNNING);
    feed_at(51, (qd_event){.kind = QD_EVENT_RELEASE, .job = 2});
    expect_state(2, QD_STATE_PENDING);
    end_at(60, 3, QD_OUTCOME_FAILED);
    expect_state(2, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

/* Two come to the queue; the shorter one, which is none, starts first and keeps the other out. */
START_TEST(a_singleton_leaves_the_queue_when_another_of_its_name_starts) {
    kit_open_policy(8, scheduling_of("sjf"));
    feed_at(0, estimated(1, 8, 50));
    qd_event plain = single(0, 3);
    plain.submit.after[0] = '\0';
    plain.submit.estimate_ns = 1000;
    feed_at(1, single(0, 2));
    feed_at(2, plain);
    end_at(50, 1, QD_OUTCOME_DONE);
    expect_state(3, QD_STATE_RUNNING);
    expect_state(2, QD_STATE_PENDING);
    ck_assert_str_eq(kit_job(2).reason, "Dependency: waits for others of its name");
    end_at(51, 3, QD_OUTCOME_DONE);
    expect_state(2, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("teams");
    tcase_add_test(tc, a_job_that_can_never_fit_its_quota_and_what_is_lent_is_refused);
    tcase_add_test(tc, a_job_wider_than_what_its_team_owns_and_others_lend_is_refused);
    tcase_add_test(tc, who_is_beyond_its_quota_yields_once_and_does_not_hold_what_is_left);
    tcase_add_test(tc, who_can_shrink_into_its_quota_does_so_instead);
    tcase_add_test(tc, the_owner_gets_its_own_back_whatever_class_the_borrowers_team_has_waiting);
    tcase_add_test(tc, a_borrower_may_borrow_again_only_when_nothing_of_the_owner_waits);
    tcase_add_test(tc, an_owner_within_its_quota_makes_room_for_nobody_of_another_team);
    tcase_add_test(tc, within_a_team_the_class_decides_as_ever);
    tcase_add_test(tc, only_jobs_that_can_be_preempted_borrow);
    tcase_add_test(tc, who_does_not_lend_finds_its_ranks_idle);
    tcase_add_test(tc, a_team_lends_within_its_parent_first_and_calls_back_from_outside_and_inside);
    tcase_add_test(tc, users_and_teams_have_limits_of_their_own);
    tcase_add_test(tc, a_job_wider_than_its_team_may_ever_be_is_refused_with_its_name);
    tcase_add_test(tc, a_job_names_a_member_not_a_team_with_members);
    tcase_add_test(tc, the_factor_is_the_product_of_those_of_the_levels);
    tcase_add_test(tc, usage_fades_with_the_events_clock_alone_and_a_half_life_of_0_is_refused);
    tcase_add_test(tc, tiny_usage_orders_accounts_and_who_has_no_share_comes_last);
    tcase_add_test(tc, a_burst_is_charged_to_its_team_as_it_starts);
    tcase_add_test(tc, a_failed_job_gives_its_quota_back_in_one_event);
    tcase_add_test(tc, a_head_beyond_its_quota_is_passed_and_promised_nothing);
    tcase_add_test(tc, what_a_borrower_has_grown_into_is_called_back_before_a_gang_has_to_wait);
    tcase_add_test(tc, the_members_of_a_team_spare_no_more_than_it_has_borrowed);
    tcase_add_test(tc, who_grows_holds_its_quota_at_once_and_who_shrinks_lets_go_of_it_at_once);
    tcase_add_test(tc, nobody_grows_beyond_the_limit_of_a_team_above);
    tcase_add_test(tc, who_keeps_its_ranks_starts_no_wider_than_what_its_team_owns);
    tcase_add_test(tc, usage_is_charged_for_the_ranks_that_are_held_at_each_time);
    tcase_add_test(tc, ranks_of_a_reservation_are_nobodys_to_own_or_to_lend);
    tcase_add_test(tc, a_reservation_for_a_team_is_for_all_below_it);
    tcase_add_test(tc, a_singleton_waits_for_those_of_its_name_and_user);
    tcase_add_test(tc, a_singleton_does_not_start_beside_a_later_job_of_its_name);
    tcase_add_test(tc, a_singleton_leaves_the_queue_when_another_of_its_name_starts);
    Suite *suite = suite_create("scheduler/teams");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
