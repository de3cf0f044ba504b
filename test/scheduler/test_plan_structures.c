/* The profile of free ranks, the queue and the set of free ranks against arrays that are searched
 * from end to end, over drawn histories. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core_trial.h"
#include "scheduler/free_ranks.h"
#include "scheduler/profile.h"
#include "scheduler/queue.h"

static uint64_t seed;

static int draw(int n) {
    return (int)trial_draw_splitmix(&seed, (uint32_t)n);
}

/* ---- profile ---- */

enum { HORIZON = 60, RANKS = 16 };

static int64_t plain_first(const int64_t *free_ranks, int from, int64_t ranks, bool at_least) {
    for (int t = from; t < HORIZON; t++)
        if ((free_ranks[t] >= ranks) == at_least)
            return t;
    return QD_NEVER;
}

static int64_t plain_earliest(const int64_t *free_ranks, int from, int64_t ranks, int duration) {
    for (int start = from; start < HORIZON; start++) {
        int t = start;
        /* Behind the horizon all stays as it is at its end. */
        while (t < start + duration && free_ranks[t < HORIZON ? t : HORIZON - 1] >= ranks)
            t++;
        if (t == start + duration)
            return start;
    }
    return QD_NEVER;
}

static void check_profile(const qd_profile *profile, const int64_t *free_ranks) {
    int from = draw(HORIZON), ranks = draw(RANKS + 3) - 1, duration = 1 + draw(20);
    ck_assert_int_eq(qd_profile_free_at(profile, from), free_ranks[from]);
    ck_assert_int_eq(qd_profile_first_with(profile, from, ranks),
                     plain_first(free_ranks, from, ranks, true));
    ck_assert_int_eq(qd_profile_first_short_of(profile, from, ranks),
                     plain_first(free_ranks, from, ranks, false));
    ck_assert_int_eq(qd_profile_earliest(profile, from, ranks, duration),
                     plain_earliest(free_ranks, from, ranks, duration));
}

START_TEST(the_profile_knows_what_an_array_of_all_instants_knows) {
    for (int history = 0; history < 300; history++) {
        struct {
            int from, to, ranks;
        } claims[40];
        int64_t free_ranks[HORIZON];
        int count = 0;
        qd_profile profile;
        qd_profile_init(&profile);
        ck_assert_int_eq(qd_profile_reserve(&profile, 2 * 40), 0);
        profile.now_free = RANKS;
        for (int t = 0; t < HORIZON; t++)
            free_ranks[t] = RANKS;
        for (int i = 0; i < 80; i++) {
            bool add = count == 0 || (count < 40 && draw(3) > 0);
            int which = add ? count : draw(count);
            if (add) {
                claims[which].from = draw(HORIZON - 1);
                claims[which].to = claims[which].from + 1 + draw(HORIZON - 1 - claims[which].from);
                claims[which].ranks = 1 + draw(6);
            }
            int sign = add ? -1 : 1;
            qd_profile_add(&profile, claims[which].from, sign * claims[which].ranks);
            qd_profile_add(&profile, claims[which].to, -sign * claims[which].ranks);
            for (int t = claims[which].from; t < claims[which].to; t++)
                free_ranks[t] += sign * claims[which].ranks;
            count += add ? 1 : -1;
            if (!add)
                claims[which] = claims[count];
            check_profile(&profile, free_ranks);
        }
        qd_profile_clear(&profile);
        ck_assert_uint_eq(profile.unused_count, profile.allocated);
        qd_profile_fini(&profile);
    }
}
END_TEST

START_TEST(an_end_that_nobody_knows_frees_nothing) {
    qd_profile profile;
    qd_profile_init(&profile);
    ck_assert_int_eq(qd_profile_reserve(&profile, 4), 0);
    profile.now_free = 2;
    qd_profile_add(&profile, QD_NEVER, 6);
    ck_assert_int_eq(qd_profile_first_with(&profile, 0, 3), QD_NEVER);
    ck_assert_int_eq(qd_profile_earliest(&profile, 5, 2, QD_NEVER), 5);
    qd_profile_add(&profile, 50, -1);
    ck_assert_int_eq(qd_profile_earliest(&profile, 5, 2, QD_NEVER), QD_NEVER);
    ck_assert_int_eq(qd_profile_earliest(&profile, 5, 2, 45), 5);
    qd_profile_fini(&profile);
}
END_TEST

START_TEST(time_never_overflows) {
    ck_assert_int_eq(qd_time_after(5, 7), 12);
    ck_assert_int_eq(qd_time_after(QD_NEVER, 7), QD_NEVER);
    ck_assert_int_eq(qd_time_after(7, QD_NEVER), QD_NEVER);
    ck_assert_int_eq(qd_time_after(INT64_MAX - 1, 2), QD_NEVER);
}
END_TEST

/* ---- queue ---- */

enum { ENTRIES = 60, LANES = 3 };

static int offsets[LANES];

static bool comes_before(const qd_queue_entry *a, const qd_queue_entry *b) {
    int64_t x = a->key + offsets[a->lane], y = b->key + offsets[b->lane];
    return x != y ? x < y : a->job < b->job;
}

static const qd_queue_entry *plain_fitting(const qd_queue_entry *all, const bool *in,
                                           const qd_queue_entry *after, const qd_gap *gap) {
    const qd_queue_entry *best = NULL;
    for (int i = 0; i < ENTRIES; i++) {
        const qd_queue_entry *e = &all[i];
        bool fits =
            e->ranks <= gap->ranks && (e->ranks <= gap->beyond || e->run_ns <= gap->window_ns);
        if (in[i] && fits && (!after || comes_before(after, e)) && (!best || comes_before(e, best)))
            best = e;
    }
    return best;
}

START_TEST(the_queue_finds_what_a_search_from_end_to_end_finds) {
    for (int history = 0; history < 300; history++) {
        qd_queue_entry all[ENTRIES] = {0};
        bool in[ENTRIES] = {false};
        qd_queue queue;
        memset(offsets, 0, sizeof offsets);
        ck_assert_int_eq(qd_queue_init(&queue, LANES), 0);
        for (int i = 0; i < 200; i++) {
            int which = draw(ENTRIES);
            if (in[which]) {
                qd_queue_remove(&queue, &all[which]);
            } else {
                all[which] = (qd_queue_entry){.lane = draw(LANES),
                                              .key = draw(8),
                                              .job = which + 1,
                                              .ranks = 1 + draw(40),
                                              .run_ns = draw(8) ? 1 + draw(50) : QD_NEVER};
                qd_queue_add(&queue, &all[which]);
            }
            in[which] = !in[which];
            int lane = draw(LANES);
            queue.lanes[lane].offset = offsets[lane] = draw(9) - 4;
            int64_t ranks = draw(45);
            qd_gap gap = {.ranks = ranks, .beyond = draw((int)ranks + 1), .window_ns = draw(60)};
            const qd_queue_entry *after = draw(2) ? &all[draw(ENTRIES)] : NULL;
            after = after && after->job ? after : NULL;
            ck_assert_ptr_eq(qd_queue_fitting(&queue, after, &gap),
                             plain_fitting(all, in, after, &gap));
            const qd_gap anything = {.ranks = 100, .beyond = 100};
            ck_assert_ptr_eq(qd_queue_first(&queue), plain_fitting(all, in, NULL, &anything));
            if (after)
                ck_assert_ptr_eq(qd_queue_next(&queue, after),
                                 plain_fitting(all, in, after, &anything));
        }
        qd_queue_fini(&queue);
    }
}
END_TEST

/* ---- free ranks ---- */

enum { LAST = 300 };

static int plain_run(const bool *is_free, int count) {
    for (int rank = 0, length = 0; rank <= LAST; rank++) {
        length = is_free[rank] ? length + 1 : 0;
        if (length == count)
            return rank - count + 1;
    }
    return -1;
}

static int plain_next(const bool *is_free, int from) {
    for (; from <= LAST; from++)
        if (is_free[from])
            return from;
    return -1;
}

START_TEST(free_ranks_finds_the_runs_that_a_walk_finds) {
    qd_free_ranks set;
    bool is_free[LAST + 1] = {false};
    ck_assert_int_eq(qd_free_ranks_init(&set, LAST), 0);
    for (int i = 0; i < 4000; i++) {
        int first = draw(LAST + 1), length = 1 + draw(draw(4) ? 5 : 150);
        bool add = draw(2);
        for (int rank = first; rank < first + length && rank <= LAST; rank++) {
            add ? qd_free_ranks_add(&set, rank) : qd_free_ranks_remove(&set, rank);
            is_free[rank] = add;
        }
        int count = 1 + draw(draw(2) ? 8 : 200), from = draw(LAST + 1);
        ck_assert_int_eq(qd_free_ranks_lowest_run(&set, count), plain_run(is_free, count));
        ck_assert_int_eq(qd_free_ranks_next(&set, from), plain_next(is_free, from));
    }
    qd_free_ranks_fini(&set);
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("structures");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, the_profile_knows_what_an_array_of_all_instants_knows);
    tcase_add_test(tc, an_end_that_nobody_knows_frees_nothing);
    tcase_add_test(tc, time_never_overflows);
    tcase_add_test(tc, the_queue_finds_what_a_search_from_end_to_end_finds);
    tcase_add_test(tc, free_ranks_finds_the_runs_that_a_walk_finds);
    Suite *suite = suite_create("scheduler/plan_structures");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
