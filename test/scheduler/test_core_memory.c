/*
 * The core without memory, under each policy: in a scenario that meets every kind of event, the
 * n-th allocation fails, for every n. The event at hand must be refused with QD_ENOMEM and leave
 * the state as it was; told again, it must lead to what it leads to with memory. malloc, calloc and
 * realloc are wrapped by the linker (see tests.cmake).
 */
#include <stdlib.h>

#include "core_kit.h"
#include "scheduler/policy.h"

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *block, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes);

/* Allocations until one fails; negative: none fails. */
static long allocations_left = -1;

static bool refused(void) {
    return allocations_left >= 0 && allocations_left-- == 0;
}

void *__wrap_malloc(size_t bytes) {
    return refused() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes) {
    return refused() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *block, size_t bytes) {
    return refused() ? NULL : __real_realloc(block, bytes);
}

enum { WORKERS = 6, MAX_EVENTS = 128 };

static int policy; /* index into qd_policy_names */
static qd_event scenario[MAX_EVENTS];
static int scenario_events;

static void add(qd_event event) {
    ck_assert_int_lt(scenario_events, MAX_EVENTS);
    event.time_ns = scenario_events;
    scenario[scenario_events++] = event;
}

/* More jobs than the first table of jobs has room for, and each kind of event and outcome. */
static void make_scenario(void) {
    scenario_events = 0;
    add(submit(1, 3, 3));
    for (int rank = 1; rank <= WORKERS; rank++)
        add(ready(rank));
    for (int job = 2; job <= 40; job++)
        add(estimated(job, 1 + job % 3, job * 1e-9));
    add(ended(1, 1, QD_OUTCOME_DONE));
    add(ended(1, 2, QD_OUTCOME_DONE));
    add(failed(1, 3, QD_EIO, "disk full"));
    add(cancel(5, "by user"));
    add(lost(4, "silent for 10 s"));
    add(cancel(7, "by user"));
    add(lost(6, "silent for 20 s"));
    add(drain("stopped by signal 15"));
    add(submit(41, 1, 1));
    add(closed());
}

/* Feeds the event; in text what it led to. */
static int feed(qd_core *core, const qd_event *event, qd_text *text) {
    qd_action_list list;
    int rc = qd_core_handle(core, event, &list);
    for (int i = 0; !rc && i < list.count; i++)
        qd_action_format(&list.actions[i], text);
    return rc;
}

/* One event to a core for which the allocation number failing fails. Returns whether one did. */
static bool feed_without_memory(qd_core *core, const qd_event *event, long failing) {
    qd_action_list list = {.count = -1};
    uint64_t before = qd_core_digest(core);
    allocations_left = failing;
    int rc = qd_core_handle(core, event, &list);
    bool failed_one = allocations_left < 0;
    allocations_left = -1;
    ck_assert_int_eq(rc, failed_one ? QD_ENOMEM : 0);
    if (failed_one) {
        ck_assert_uint_eq(qd_core_digest(core), before);
        ck_assert_int_eq(list.count, -1);
        ck_assert_ptr_nonnull(strstr(qd_error_message(), "memory"));
    }
    return failed_one;
}

/* A core that has handled the first events of the scenario. */
static qd_core *core_after(int events) {
    qd_core *core;
    qd_text ignored = {0};
    ck_assert_int_eq(qd_core_create(WORKERS, scheduling_of(qd_policy_names[policy]), &core), 0);
    for (int i = 0; i < events; i++)
        ck_assert_int_eq(feed(core, &scenario[i], &ignored), 0);
    qd_text_fini(&ignored);
    return core;
}

START_TEST(an_event_without_memory_changes_nothing_and_can_be_told_again) {
    policy = _i;
    int refusals = 0;
    make_scenario();
    for (int i = 0; i < scenario_events; i++)
        for (long failing = 0;; failing++) {
            qd_text then = {0}, now = {0};
            qd_core *with = core_after(i), *without = core_after(i);
            ck_assert_int_eq(feed(with, &scenario[i], &then), 0);
            bool failed_one = feed_without_memory(without, &scenario[i], failing);
            if (failed_one) {
                refusals++;
                ck_assert_int_eq(feed(without, &scenario[i], &now), 0);
                ck_assert_str_eq(now.bytes ? now.bytes : "", then.bytes ? then.bytes : "");
            }
            ck_assert_uint_eq(qd_core_digest(with), qd_core_digest(without));
            qd_text_fini(&then);
            qd_text_fini(&now);
            qd_core_destroy(with);
            qd_core_destroy(without);
            if (!failed_one)
                break;
        }
    /* One for each submission at least, so that the test is known to have bitten. */
    ck_assert_int_ge(refusals, 41);
}
END_TEST

START_TEST(every_allocation_of_the_whole_scenario_may_fail) {
    policy = _i;
    make_scenario();
    for (long failing = 0;; failing++) {
        qd_core *core = core_after(0), *reference = core_after(scenario_events);
        int refusals = 0, errors = 0;
        allocations_left = failing;
        for (int i = 0; i < scenario_events; i++) {
            qd_action_list list;
            int rc = qd_core_handle(core, &scenario[i], &list);
            if (rc == QD_ENOMEM) {
                refusals++;
                rc = qd_core_handle(core, &scenario[i], &list);
            }
            errors += rc != 0; /* Check itself allocates, so it has to wait */
        }
        allocations_left = -1;
        ck_assert_int_eq(errors, 0);
        ck_assert_uint_eq(qd_core_digest(core), qd_core_digest(reference));
        qd_core_destroy(core);
        qd_core_destroy(reference);
        if (refusals == 0)
            break;
    }
}
END_TEST

START_TEST(a_core_that_cannot_be_made_leaves_nothing) {
    policy = _i;
    for (long failing = 0;; failing++) {
        qd_core *core = NULL;
        allocations_left = failing;
        int rc = qd_core_create(WORKERS, scheduling_of(qd_policy_names[policy]), &core);
        allocations_left = -1;
        if (rc == 0) {
            ck_assert_int_gt(failing, 0);
            qd_core_destroy(core);
            break;
        }
        ck_assert_int_eq(rc, QD_ENOMEM);
        ck_assert_ptr_null(core);
    }
}
END_TEST

/* At the middle of the scenario, where jobs wait, run and have ended. */
START_TEST(a_copy_that_cannot_be_made_leaves_nothing) {
    policy = _i;
    make_scenario();
    qd_core *core = core_after(scenario_events / 2);
    for (long failing = 0;; failing++) {
        qd_core *copy = NULL;
        allocations_left = failing;
        int rc = qd_core_copy(core, &copy);
        allocations_left = -1;
        if (rc == 0) {
            ck_assert_int_gt(failing, 20);
            ck_assert_uint_eq(qd_core_digest(copy), qd_core_digest(core));
            qd_core_destroy(copy);
            break;
        }
        ck_assert_int_eq(rc, QD_ENOMEM);
        ck_assert_ptr_null(copy);
    }
    qd_core_destroy(core);
}
END_TEST

int main(void) {
    int policies = 0;
    while (qd_policy_names[policies])
        policies++;
    Suite *suite = suite_create("core memory");
    TCase *tc = tcase_create("memory");
    tcase_set_timeout(tc, 60);
    suite_add_tcase(suite, tc);
    tcase_add_loop_test(tc, an_event_without_memory_changes_nothing_and_can_be_told_again, 0,
                        policies);
    tcase_add_loop_test(tc, every_allocation_of_the_whole_scenario_may_fail, 0, policies);
    tcase_add_loop_test(tc, a_core_that_cannot_be_made_leaves_nothing, 0, policies);
    tcase_add_loop_test(tc, a_copy_that_cannot_be_made_leaves_nothing, 0, policies);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad != 0;
}
