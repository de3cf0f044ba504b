/* Which ranks a gang gets: islands, hosts, peers, memory; against a plain count of what is free. */
#include <stdlib.h>

#include "core_kit.h"
#include "scheduler/placement.h"
#include "scheduler/simulation_metrics.h"
#include "scheduler/why.h"

enum { MOST = 24, GIB = 1 << 30 };

/* ---- the choice itself ---- */

typedef struct layout {
    int count;
    qd_place place[MOST + 1];
    bool free[MOST + 1];
    qd_demand demand;
    int wanted;
} layout;

static uint32_t draw(uint64_t *seed, uint32_t n) {
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33) % n;
}

static void draw_layout(uint64_t seed, layout *l) {
    static const int peers[] = {0, 2, 3, 4};
    *l = (layout){.count = 1 + (int)draw(&seed, MOST)};
    int hosts = 1 + (int)draw(&seed, 4), islands = 1 + (int)draw(&seed, 3);
    int sizes = 1 + (int)draw(&seed, 2);
    bool in_order = draw(&seed, 2);
    for (int rank = 1; rank <= l->count; rank++) {
        int host = in_order ? (rank - 1) * hosts / l->count : (int)draw(&seed, (uint32_t)hosts);
        l->place[rank] =
            (qd_place){.host = host,
                       .island = (int)draw(&seed, (uint32_t)islands),
                       .memory_bytes = (1 + draw(&seed, (uint32_t)sizes)) * (int64_t)GIB};
        l->free[rank] = draw(&seed, 3) > 0;
    }
    l->demand = (qd_demand){.within = (int)draw(&seed, QD_WITHINS),
                            .memory_bytes = (int64_t)draw(&seed, 3) * GIB,
                            .peers = peers[draw(&seed, 4)]};
    l->wanted = 1 + (int)draw(&seed, (uint32_t)l->count);
    if (l->demand.peers > 1 && l->wanted > l->demand.peers)
        l->wanted -= l->wanted % l->demand.peers;
}

static bool same_host(const qd_place *a, const qd_place *b) {
    return a->host == b->host;
}

static bool same_island(const qd_place *a, const qd_place *b) {
    return a->host == b->host && a->island == b->island && a->memory_bytes == b->memory_bytes;
}

typedef bool (*same_spot)(const qd_place *a, const qd_place *b);

static bool usable(const layout *l, int rank) {
    return l->free[rank] && l->place[rank].memory_bytes >= l->demand.memory_bytes;
}

/* Usable ranks in the spot of a rank. */
static int usable_at(const layout *l, int rank, same_spot same) {
    int count = 0;
    for (int other = 1; other <= l->count; other++)
        count += usable(l, other) && same(&l->place[rank], &l->place[other]);
    return count;
}

/* The least usable ranks of a spot that has enough; 0: none has. */
static int best_fit(const layout *l, same_spot same) {
    int best = 0;
    for (int rank = 1; rank <= l->count; rank++) {
        int here = usable_at(l, rank, same);
        if (here >= l->wanted && (best == 0 || here < best))
            best = here;
    }
    return best;
}

static int usable_in_all(const layout *l) {
    int count = 0;
    for (int rank = 1; rank <= l->count; rank++)
        count += usable(l, rank);
    return count;
}

static bool fits(const layout *l) {
    switch (l->demand.within) {
    case QD_WITHIN_ISLAND:
        return best_fit(l, same_island) > 0;
    case QD_WITHIN_HOST:
        return best_fit(l, same_host) > 0;
    default:
        return usable_in_all(l) >= l->wanted;
    }
}

static int compare_falling(const void *a, const void *b) {
    return *(const int *)b - *(const int *)a;
}

/* The fewest hosts that hold the gang if each holds whole groups; 0: they can't. */
static int fewest_hosts(const layout *l, int unit) {
    int wholes[MOST], hosts = 0, sum = 0;
    for (int rank = 1; rank <= l->count; rank++) {
        bool first = true;
        for (int other = 1; other < rank; other++)
            first = first && !same_host(&l->place[other], &l->place[rank]);
        if (first) {
            int here = usable_at(l, rank, same_host);
            wholes[hosts++] = here - here % unit;
        }
    }
    qsort(wholes, (size_t)hosts, sizeof *wholes, compare_falling);
    for (int i = 0; i < hosts; i++) {
        sum += wholes[i];
        if (sum >= l->wanted)
            return i + 1;
    }
    return 0;
}

static int spots_used(const layout *l, const int *chosen, int count, same_spot same) {
    int spots = 0;
    for (int i = 0; i < count; i++) {
        bool first = true;
        for (int k = 0; k < i; k++)
            first = first && !same(&l->place[chosen[k]], &l->place[chosen[i]]);
        spots += first;
    }
    return spots;
}

static int groups_apart(const layout *l, const int *chosen, int unit, same_spot same) {
    int apart = 0;
    for (int i = 0; i + unit <= l->wanted; i += unit)
        apart += spots_used(l, chosen + i, unit, same) > 1;
    return apart;
}

/* On the host of a gang: groups that cannot lie in one of its islands. */
static int least_apart(const layout *l, const int *chosen, int unit) {
    int whole = 0;
    for (int rank = 1; rank <= l->count; rank++) {
        bool first = same_host(&l->place[rank], &l->place[chosen[0]]);
        for (int other = 1; other < rank; other++)
            first = first && !same_island(&l->place[other], &l->place[rank]);
        whole += first ? usable_at(l, rank, same_island) / unit : 0;
    }
    return l->wanted / unit > whole ? l->wanted / unit - whole : 0;
}

static void check_choice(const layout *l, const int *chosen) {
    int unit = l->demand.peers > 1 ? l->demand.peers : 1;
    for (int i = 0; i < l->wanted; i++) {
        ck_assert(usable(l, chosen[i]));
        for (int k = 0; k < i; k++)
            ck_assert_int_ne(chosen[k], chosen[i]);
    }
    int hosts = spots_used(l, chosen, l->wanted, same_host);
    if (best_fit(l, same_island) > 0) {
        ck_assert_int_eq(spots_used(l, chosen, l->wanted, same_island), 1);
        ck_assert_int_eq(usable_at(l, chosen[0], same_island), best_fit(l, same_island));
    } else if (best_fit(l, same_host) > 0) {
        ck_assert_int_eq(hosts, 1);
        ck_assert_int_eq(usable_at(l, chosen[0], same_host), best_fit(l, same_host));
        ck_assert_int_le(groups_apart(l, chosen, unit, same_island), least_apart(l, chosen, unit));
    } else if (fewest_hosts(l, unit) > 0 && l->wanted % unit == 0) {
        ck_assert_int_eq(hosts, fewest_hosts(l, unit));
        ck_assert_int_eq(groups_apart(l, chosen, unit, same_host), 0);
    } else if (fewest_hosts(l, unit) == 0) {
        ck_assert_int_eq(hosts, fewest_hosts(l, 1));
    }
}

static void make_table(const layout *l, qd_rank_table *table) {
    ck_assert_int_eq(qd_ranks_init(table, l->count), 0);
    for (int rank = l->count; rank >= 1; rank--)
        qd_ranks_ready(table, rank, l->place[rank]);
    for (int rank = 1; rank <= l->count; rank++)
        if (!l->free[rank])
            qd_ranks_hold(table, rank, 1, 1);
}

START_TEST(a_gang_lies_in_one_island_else_on_one_host_else_on_as_few_as_can_be) {
    int placed = 0;
    for (uint64_t seed = 1; seed <= 20000; seed++) {
        layout l;
        qd_rank_table table;
        int chosen[MOST];
        draw_layout(seed, &l);
        make_table(&l, &table);
        for (int look = 0; look < 2; look++) { /* with other memory in between */
            ck_assert_int_eq(qd_placement_fits(&table, &l.demand, l.wanted), fits(&l));
            qd_placement_fits(&table, &(qd_demand){.memory_bytes = 2 * (int64_t)GIB}, 1);
        }
        if (fits(&l)) {
            qd_placement_choose(&table, &l.demand, l.wanted, chosen);
            check_choice(&l, chosen);
            placed++;
        }
        qd_ranks_fini(&table);
    }
    ck_assert_int_ge(placed, 5000);
}
END_TEST

/* ---- in the core ---- */

/* Islands of so many ranks, each on a host of its own; the memory of a rank in GiB. */
static void open_islands(int islands, int ranks_each, const double *memory_gib,
                         const qd_scheduling *scheduling) {
    int ranks = islands * ranks_each;
    kit.time_ns = -ranks - 1;
    ck_assert_int_eq(qd_core_create(ranks, scheduling, &kit.core), 0);
    for (int rank = 1; rank <= ranks; rank++) {
        qd_event event = ready(rank);
        int island = (rank - 1) / ranks_each;
        event.place = (qd_place){.host = island + 1, .island = 1};
        event.place.memory_bytes = (int64_t)(memory_gib ? memory_gib[island] * GIB : 0);
        event.more = rank < ranks;
        kit_feed(event);
    }
    kit.time_ns = 0;
}

static const qd_scheduling *by_class(void) {
    qd_scheduling *s = (qd_scheduling *)scheduling_of("multifactor");
    s->preempt_by = QD_PREEMPT_CLASS;
    s->min_run_s = 0;
    s->save_grace_s = 5;
    return s;
}

static qd_event in_island(qd_event event) {
    event.submit.demand.within = QD_WITHIN_ISLAND;
    return event;
}

static qd_event with_memory(qd_event event, double gib) {
    event.submit.demand.memory_bytes = (int64_t)(gib * GIB);
    return event;
}

static qd_event of_class(qd_event event, int importance) {
    event.submit.importance = importance;
    return event;
}

static void assert_ranks(int64_t job, int count, const int *ranks) {
    qd_job_view view = kit_job(job);
    ck_assert_int_eq(view.state, QD_STATE_RUNNING);
    ck_assert_int_eq(view.rank_count, count);
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(view.ranks[i], ranks[i]);
}

static qd_why ask(int64_t job) {
    qd_why why;
    ck_assert_int_eq(qd_why_ask(kit.core, job, &why), 0);
    return why;
}

static const qd_why_reason *reason_of(const qd_why *why, qd_reason reason) {
    for (int i = 0; i < why->count; i++)
        if (why->reasons[i].reason == reason)
            return &why->reasons[i];
    ck_abort_msg("job %lld does not wait for %s", (long long)why->job, qd_reason_names[reason]);
    return NULL;
}

START_TEST(a_gang_takes_the_island_that_it_leaves_least_free_in) {
    open_islands(3, 4, NULL, scheduling_of("fifo"));
    kit_feed(submit(1, 3, 3));
    kit_feed(submit(2, 2, 2));
    assert_ranks(1, 3, (int[]){1, 2, 3});
    assert_ranks(2, 2, (int[]){5, 6});
    kit_feed(submit(3, 1, 1));
    assert_ranks(3, 1, (int[]){4});
    kit_feed(submit(4, 4, 4));
    assert_ranks(4, 4, (int[]){9, 10, 11, 12});
    kit_close();
}
END_TEST

/* Ranks that mpirun dealt to the hosts in turn. */
START_TEST(peers_are_neighbours_in_the_gang_whatever_their_numbers) {
    ck_assert_int_eq(qd_core_create(8, scheduling_of("fifo"), &kit.core), 0);
    for (int rank = 1; rank <= 8; rank++) {
        qd_event event = ready(rank);
        event.place.host = rank % 2;
        kit_feed(event);
    }
    qd_event event = submit(1, 8, 8);
    event.submit.demand.peers = 4;
    kit_feed(event);
    assert_ranks(1, 8, (int[]){2, 4, 6, 8, 1, 3, 5, 7});
    kit_close();
}
END_TEST

/* Trap 9, whose jobs are bound to an island by the memory that they need. */
START_TEST(many_low_jobs_that_need_another_island_do_not_delay_a_high_one) {
    open_islands(2, 4, (double[]){32, 16}, by_class());
    for (int64_t job = 1; job <= 1000; job++)
        kit_feed(with_memory(in_island(of_class(submit(job, 4, 4), -50)), 32));
    assert_ranks(1, 4, (int[]){1, 2, 3, 4});
    kit_feed(in_island(of_class(submit(1001, 4, 4), 50)));
    assert_ranks(1001, 4, (int[]){5, 6, 7, 8});
    kit_close();
}
END_TEST

/* Trap 15, its H. */
START_TEST(a_job_for_which_no_rank_has_the_memory_ends_and_nobody_makes_room) {
    open_islands(3, 4, (double[]){16, 16, 16}, by_class());
    for (int64_t job = 1; job <= 6; job++)
        kit_feed(of_class(submit(job, 2, 2), -50));
    kit_feed(with_memory(of_class(submit(7, 1, 1), 50), 32));
    expect_state(7, QD_STATE_CANCELLED);
    ck_assert_str_eq(kit_job(7).reason, "needs 1 rank, each with 32 GiB; here are at most 0");
    for (int64_t job = 1; job <= 6; job++)
        expect_state(job, QD_STATE_RUNNING);
    kit_close();
}
END_TEST

START_TEST(what_workers_will_be_like_is_unknown_before_they_have_come) {
    kit_open(2);
    kit_feed(with_memory(submit(1, 1, 1), 4));
    kit_feed(with_memory(submit(2, 2, 2), 4));
    for (int rank = 1; rank <= 2; rank++) {
        qd_event event = ready(rank);
        event.place.memory_bytes = rank == 1 ? GIB : 4 * (int64_t)GIB;
        expect_state(2, QD_STATE_PENDING);
        kit_feed(event);
    }
    assert_ranks(1, 1, (int[]){2});
    expect_state(2, QD_STATE_CANCELLED);
    kit_close();
}
END_TEST

/* A: 3 of island 1 until 100; B: 3 of island 2 until 50; H needs an island as a whole. */
START_TEST(backfill_leaves_an_island_to_the_head_that_needs_it) {
    open_islands(2, 4, NULL, scheduling_of("easy"));
    feed_at(0, estimated(1, 3, 100));
    feed_at(0, estimated(2, 3, 50));
    feed_at(1, in_island(estimated(3, 4, 10)));
    qd_why why = ask(3);
    ck_assert_int_eq(why.start_ns, INT64_C(50000000000));
    feed_at(2, estimated(4, 1, 1000));
    assert_ranks(4, 1, (int[]){4});
    feed_at(3, estimated(5, 1, 1000));
    expect_state(5, QD_STATE_PENDING);
    feed_at(4, estimated(6, 1, 46));
    assert_ranks(6, 1, (int[]){8});
    end_at(50, 2, QD_OUTCOME_DONE);
    end_at(50, 6, QD_OUTCOME_DONE);
    assert_ranks(3, 4, (int[]){5, 6, 7, 8});
    kit_close();
}
END_TEST

START_TEST(why_says_how_many_are_free_together) {
    open_islands(2, 4, NULL, scheduling_of("fifo"));
    kit_feed(submit(1, 3, 3));
    kit_feed(submit(2, 2, 2));
    kit_feed(in_island(submit(3, 3, 3)));
    qd_why why = ask(3);
    const qd_why_reason *reason = reason_of(&why, QD_REASON_PLACE);
    ck_assert_int_eq(reason->ranks, 2);
    qd_text text = {0};
    qd_why_format(&why, &text);
    ck_assert_ptr_nonnull(strstr(text.bytes, "Constraints for 0.0 s; needs 3 ranks in one island; "
                                             "here are at most 4; free together: 2; with those "
                                             "that may make room: 2"));
    qd_text_fini(&text);
    kit_close();
}
END_TEST

/* Four islands of 8, in each six jobs of the high class and two of the low one. */
static void fill_islands(void) {
    open_islands(4, 8, NULL, by_class());
    for (int64_t job = 1; job <= 32; job++)
        kit_feed(of_class(submit(job, 1, 1), (job - 1) % 8 < 6 ? 50 : -50));
    for (int64_t job = 1; job <= 32; job++)
        assert_ranks(job, 1, (int[]){(int)job});
}

/* Trap 23. */
START_TEST(nobody_makes_room_for_what_cannot_be_together) {
    fill_islands();
    feed_at(1, in_island(of_class(submit(33, 8, 8), 50)));
    for (int64_t job = 1; job <= 32; job++)
        expect_state(job, QD_STATE_RUNNING);
    qd_why why = ask(33);
    const qd_why_reason *reason = reason_of(&why, QD_REASON_PLACE);
    ck_assert_int_eq(reason->ranks, 0);
    ck_assert_int_eq(reason->most, 2);
    kit_close();
}
END_TEST

/* Trap 23, its second half: the place is found before anybody is told. The low jobs of the last
 * island have run for the shortest time. */
START_TEST(those_of_one_island_make_room_for_a_job_that_needs_it) {
    fill_islands();
    feed_at(1, in_island(of_class(submit(33, 2, 2), 50)));
    for (int64_t job = 1; job <= 32; job++)
        expect_state(job, (job > 30 ? QD_STATE_COMPLETING : QD_STATE_RUNNING));
    end_at(2, 31, QD_OUTCOME_SAVED);
    expect_state(33, QD_STATE_PENDING);
    feed_at(3, of_class(submit(34, 1, 1), 0)); /* the free rank is kept */
    expect_state(31, QD_STATE_PENDING);
    end_at(4, 32, QD_OUTCOME_SAVED);
    assert_ranks(33, 2, (int[]){31, 32});
    kit_close();
}
END_TEST

START_TEST(a_claim_to_a_rank_that_is_lost_is_made_anew_elsewhere) {
    fill_islands();
    feed_at(1, in_island(of_class(submit(33, 2, 2), 50)));
    end_at(2, 31, QD_OUTCOME_SAVED);
    feed_at(3, lost(31, "broken"));
    expect_state(23, QD_STATE_COMPLETING);
    expect_state(24, QD_STATE_COMPLETING);
    end_at(4, 23, QD_OUTCOME_SAVED);
    end_at(4, 24, QD_OUTCOME_SAVED);
    assert_ranks(33, 2, (int[]){23, 24});
    kit_close();
}
END_TEST

/* Trap 15, its K. */
START_TEST(one_rank_takes_one_victim) {
    open_islands(3, 4, (double[]){16, 16, 16}, by_class());
    for (int64_t job = 1; job <= 6; job++)
        kit_feed(of_class(submit(job, 2, 2), -50));
    feed_at(1, in_island(of_class(submit(7, 1, 1), 50)));
    int told = 0;
    int64_t victim = 0;
    for (int64_t job = 1; job <= 6; job++) {
        bool saves = kit_job(job).state == QD_STATE_COMPLETING;
        told += saves;
        victim = saves ? job : victim;
    }
    ck_assert_int_eq(told, 1);
    feed_at(3, now());
    end_at(6, victim, QD_OUTCOME_SAVED);
    expect_state(7, QD_STATE_RUNNING);
    for (int64_t job = 1; job <= 6; job++)
        ck_assert_int_eq(kit_job(job).preemptions, job == victim);
    kit_close();
}
END_TEST

START_TEST(a_job_waits_for_drained_ranks_of_its_island) {
    open_islands(2, 2, (double[]){8, 4}, scheduling_of("fifo"));
    kit_feed((qd_event){.kind = QD_EVENT_RANK_DRAIN, .rank = 1});
    kit_feed(with_memory(submit(1, 2, 2), 8));
    qd_why why = ask(1);
    reason_of(&why, QD_REASON_NODES);
    kit_feed((qd_event){.kind = QD_EVENT_RANK_RESUME, .rank = 1});
    assert_ranks(1, 2, (int[]){1, 2});
    kit_close();
}
END_TEST

/* Two islands of 2. For 10 s one rank is held: 3 idle, 1 of them beside it. For 10 s more, one
 * whole island: 2 idle, none of them in a broken one. */
START_TEST(fragmentation_is_the_idle_part_of_broken_islands) {
    const int64_t second = 1000000000;
    qd_trace_job jobs[] = {{.submit_ns = 0, .duration_ns = 10 * second, .ranks = 1},
                           {.submit_ns = 10 * second, .duration_ns = 10 * second, .ranks = 2}};
    qd_trace trace = {.jobs = jobs, .count = 2};
    qd_simulation simulation;
    qd_simulation_metrics metrics;
    qd_simulation_config config = {
        .trace = &trace, .ranks = 4, .island_ranks = 2, .scheduling = scheduling_of("fifo")};
    ck_assert_int_eq(qd_simulate(&config, &simulation), 0);
    ck_assert_int_eq(qd_simulation_measure(&trace, 4, &simulation, &metrics), 0);
    ck_assert_double_eq_tol(metrics.fragmentation, 10.0 / (30.0 + 20.0), 1e-12);
    qd_simulation_fini(&simulation);
}
END_TEST

/* Two islands of 4: ranks 1-4 and 5-8. E: {2..6} within an island, beside one of 1 rank in it. */
START_TEST(a_resized_job_stays_in_its_island_and_grows_in_it_only) {
    open_islands(2, 4, NULL, scheduling_of("fifo"));
    feed_at(0, submit(1, 1, 1));
    feed_at(0, submit(2, 3, 3));
    feed_at(1, in_island(submit(3, 2, 6)));
    qd_job_view view = kit_job(3);
    ck_assert_int_eq(view.rank_count, 4); /* the other island, all of it */
    qd_event event = {.kind = QD_EVENT_RESIZE, .job = 3, .text = ""};
    event.submit.ranks_min = 2;
    feed_at(2, event);
    end_at(2, 3, QD_OUTCOME_SAVED);
    feed_at(3, submit(4, 1, 1));
    end_at(4, 2, QD_OUTCOME_DONE); /* 3 ranks are free elsewhere, 1 beside it */
    event.submit.ranks_min = 6;
    feed_at(5, event);
    end_at(5, 3, QD_OUTCOME_SAVED);
    view = kit_job(3);
    ck_assert_int_eq(view.rank_count, 3);
    for (int i = 0; i < view.rank_count; i++)
        ck_assert_int_ge(view.ranks[i], 5);
    kit_close();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("placement");
    TCase *tc = tcase_create("choice");
    suite_add_tcase(suite, tc);
    tcase_add_test(tc, a_gang_lies_in_one_island_else_on_one_host_else_on_as_few_as_can_be);
    tc = tcase_create("core");
    suite_add_tcase(suite, tc);
    tcase_add_test(tc, a_gang_takes_the_island_that_it_leaves_least_free_in);
    tcase_add_test(tc, peers_are_neighbours_in_the_gang_whatever_their_numbers);
    tcase_add_test(tc, many_low_jobs_that_need_another_island_do_not_delay_a_high_one);
    tcase_add_test(tc, a_job_for_which_no_rank_has_the_memory_ends_and_nobody_makes_room);
    tcase_add_test(tc, what_workers_will_be_like_is_unknown_before_they_have_come);
    tcase_add_test(tc, backfill_leaves_an_island_to_the_head_that_needs_it);
    tcase_add_test(tc, why_says_how_many_are_free_together);
    tcase_add_test(tc, a_job_waits_for_drained_ranks_of_its_island);
    tcase_add_test(tc, nobody_makes_room_for_what_cannot_be_together);
    tcase_add_test(tc, those_of_one_island_make_room_for_a_job_that_needs_it);
    tcase_add_test(tc, a_claim_to_a_rank_that_is_lost_is_made_anew_elsewhere);
    tcase_add_test(tc, one_rank_takes_one_victim);
    tcase_add_test(tc, a_resized_job_stays_in_its_island_and_grows_in_it_only);
    tcase_add_test(tc, fragmentation_is_the_idle_part_of_broken_islands);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad != 0;
}
