/* Which ranks a gang gets: islands, hosts, peers, memory; against a plain count of what is free. */
#include <stdlib.h>

#include "core_kit.h"
#include "scheduler/placement.h"

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

int main(void) {
    Suite *suite = suite_create("placement");
    TCase *tc = tcase_create("choice");
    suite_add_tcase(suite, tc);
    tcase_add_test(tc, a_gang_lies_in_one_island_else_on_one_host_else_on_as_few_as_can_be);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad != 0;
}
