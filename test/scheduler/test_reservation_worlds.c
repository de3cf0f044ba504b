/* Drawn worlds in which workers obey, and the core is woken when it asks for it: ranks are idle
 * when a reservation begins, to the nanosecond, whoever ran before. */
#include "core_kit.h"
#include "core_trial.h"

static int64_t ns(double seconds) {
    return (int64_t)(seconds * 1e9);
}

static const char *const all_policies[] = {"fifo",         "sjf",         "easy",
                                           "conservative", "multifactor", "attained"};
enum { POLICIES = sizeof all_policies / sizeof all_policies[0] };
enum { WORLD_JOBS = 24, WORLD_RANKS = 8, WORLD_RESERVATIONS = 4 };

static struct {
    int64_t submit_ns, start_ns;
    int64_t left_ns; /* that its run takes on its least ranks */
    int64_t save_ns; /* less than the grace */
    int64_t end_ns;  /* of its newest attempt; < 0: it holds no ranks */
    int size;
    qd_outcome outcome;
    qd_event event;
} world[WORLD_JOBS];

static uint64_t world_seed;
static int shrunk, grown;

static int draw(int n) {
    return (int)trial_draw_splitmix(&world_seed, (uint32_t)n);
}

/* A save takes no more than 10 s. */
static void open_world(const char *policy, bool elastic) {
    qd_scheduling scheduling = *scheduling_of(policy);
    scheduling.save_grace_s = 10;
    scheduling.min_run_s = 5;
    scheduling.grow = elastic;
    scheduling.grow_min_run_s = 5;
    scheduling.grow_cost_s = 1;
    kit_open_policy(WORLD_RANKS, &scheduling);
}

/* Half say how long they run, and keep their word; the others say nothing. Elastic ones come at
 * longer intervals, so that there is room for them to be wide. */
static void draw_world(bool elastic) {
    for (int i = 0; i < WORLD_JOBS; i++) {
        world[i].submit_ns = ns((elastic ? 15 : 5) * i + draw(5));
        int64_t run_s = 1 + draw(elastic ? 120 : 60);
        world[i].left_ns = ns((double)run_s);
        world[i].save_ns = ns(1 + draw(9));
        world[i].end_ns = -1;
        int ranks = 1 + draw(elastic ? WORLD_RANKS / 2 : WORLD_RANKS);
        world[i].event =
            draw(2) ? estimated(i + 1, ranks, (double)run_s) : submit(i + 1, ranks, ranks);
        if (elastic)
            world[i].event.submit.ranks_max += draw(WORLD_RANKS - ranks + 1);
    }
}

/* What the last event asked of the workers. */
static void obey(const qd_action_list *list, int64_t now_ns) {
    for (int i = 0; i < list->count; i++) {
        const qd_action *a = &list->actions[i];
        int job = (int)a->job - 1, least = world[job].event.submit.ranks_min;
        ck_assert_int_ne(a->kind, QD_ACTION_ABORT); /* all save within the grace */
        if (a->kind == QD_ACTION_START) {
            world[job].start_ns = now_ns;
            world[job].size = a->rank_count;
            world[job].end_ns = now_ns + world[job].left_ns * least / a->rank_count;
            world[job].outcome = QD_OUTCOME_DONE;
        } else if (a->kind == QD_ACTION_STOP) {
            world[job].end_ns = now_ns + world[job].save_ns;
            world[job].outcome = QD_OUTCOME_SAVED;
        } else if (a->kind == QD_ACTION_RESIZE) {
            shrunk += a->rank_count < world[job].size;
            grown += a->rank_count > world[job].size;
        }
    }
}

static void tell(qd_event event, int64_t now_ns, bool more) {
    qd_action_list list;
    event.time_ns = now_ns;
    event.more = more;
    ck_assert_msg(qd_core_handle(kit.core, &event, &list) == 0, "%s", qd_error_message());
    obey(&list, now_ns);
}

/* The work of what it ran, rounded up: it ends no later than it said. */
static void count_run(int job, int64_t now_ns) {
    int least = world[job].event.submit.ranks_min;
    int64_t done_ns = (now_ns - world[job].start_ns) * world[job].size;
    world[job].left_ns -= (done_ns + least - 1) / least;
    world[job].left_ns = world[job].left_ns < ns(1) ? ns(1) : world[job].left_ns;
    world[job].end_ns = -1;
}

static void tell_all_of(int64_t now_ns) {
    for (int i = 0; i < WORLD_JOBS; i++) {
        if (world[i].end_ns != now_ns)
            continue;
        count_run(i, now_ns);
        qd_job_view view = kit_job(i + 1);
        int ranks[WORLD_RANKS], count = view.rank_count;
        memcpy(ranks, view.ranks, (size_t)count * sizeof ranks[0]);
        for (int k = 0; k < count; k++) {
            qd_event event = ended(i + 1, ranks[k], world[i].outcome);
            event.attempt = view.attempt;
            tell(event, now_ns, true);
        }
    }
    for (int i = 0; i < WORLD_JOBS; i++)
        if (world[i].submit_ns == now_ns)
            tell(world[i].event, now_ns, true);
    tell(now(), now_ns, false);
}

static int64_t next_ns(int64_t now_ns) {
    int64_t next = qd_core_wake_ns(kit.core);
    for (int i = 0; i < WORLD_JOBS; i++) {
        if (world[i].submit_ns > now_ns && world[i].submit_ns < next)
            next = world[i].submit_ns;
        if (world[i].end_ns > now_ns && world[i].end_ns < next)
            next = world[i].end_ns;
    }
    return next;
}

static int check_starts(void) {
    qd_reservation_view view;
    int running = 0;
    for (int i = 0; qd_core_reservation(kit.core, i, &view); i++) {
        running += view.running;
        if (view.running)
            ck_assert_int_eq(view.has, view.is.ranks);
    }
    return running;
}

static void draw_reservations(void) {
    for (int i = 0; i < WORLD_RESERVATIONS; i++) {
        qd_event event = {.kind = QD_EVENT_RESERVE};
        qd_action_list list;
        int64_t from_ns = ns(20 + draw(150));
        event.reserve = (qd_reservation){
            .number = i + 1, .ranks = 1 + draw(WORLD_RANKS), .account = -1, .from_ns = from_ns};
        event.reserve.until_ns = from_ns + ns(1 + draw(40));
        snprintf(event.reserve.name, sizeof event.reserve.name, "r%d", i + 1);
        if (qd_core_handle(kit.core, &event, &list) != 0) /* a conflict */
            return;
    }
}

/* Returns how often a reservation was seen to run. */
static int live_through(uint64_t seed, const char *policy, bool elastic) {
    int seen = 0;
    world_seed = seed;
    open_world(policy, elastic);
    draw_world(elastic);
    draw_reservations();
    for (int64_t now_ns = 0; now_ns < INT64_MAX; now_ns = next_ns(now_ns)) {
        tell_all_of(now_ns);
        seen += check_starts();
    }
    for (int i = 0; i < WORLD_JOBS; i++)
        expect_state(i + 1, QD_STATE_COMPLETED);
    kit_close();
    return seen;
}

START_TEST(ranks_are_idle_at_the_start_to_the_nanosecond_whoever_ran_before) {
    int seen = 0;
    for (uint64_t seed = 1; seed < 40; seed++)
        seen += live_through(seed, all_policies[_i], false);
    ck_assert_int_ge(seen, 100);
}
END_TEST

/* Trap 14, of reservations with a beginning. */
START_TEST(what_elastic_jobs_were_lent_is_idle_at_the_start_to_the_nanosecond) {
    int seen = 0;
    shrunk = grown = 0;
    for (uint64_t seed = 1; seed < 600; seed++)
        seen += live_through(seed, all_policies[_i], true);
    ck_assert_int_ge(seen, 100);
    ck_assert_int_ge(shrunk, 20);
    ck_assert_int_ge(grown, 5);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("reservation worlds");
    TCase *tc = tcase_create("reservation worlds");
    tcase_set_timeout(tc, 30);
    suite_add_tcase(suite, tc);
    tcase_add_loop_test(tc, ranks_are_idle_at_the_start_to_the_nanosecond_whoever_ran_before, 0,
                        POLICIES);
    tcase_add_loop_test(tc, what_elastic_jobs_were_lent_is_idle_at_the_start_to_the_nanosecond, 0,
                        POLICIES);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad != 0;
}
