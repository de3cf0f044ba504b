/* The ordered all-reduce gives every member the same bits as a sequential evaluation of the tree,
 * on every transport and for every way of giving out the slots. */
#include <stdint.h>

#include "collectives/allreduce.h"
#include "mpi_check.h"
#include "slot_values.h"

enum { MOST_RANKS = 64, LARGE = 3 << 20 };

/* One all-reduce, checked; in_place: the result goes where the first node was. */
static void reduce_and_check(mpi_test *t, qd_group *group, const qd_slot_ranges *ranges,
                             int64_t count, bool in_place) {
    uint32_t seed = (uint32_t)(count * 31 + ranges->leaves);
    parts p = fill_parts(ranges, qd_group_index(group), seed, count);
    float *own = new_vector(count), *result = in_place ? p.vector[0] : own;
    int rc = qd_allreduce_ordered(group, ranges, p.vector, p.count, result, count);
    CHECK(t, rc == 0);
    if (rc == 0)
        CHECK(t, is_tree_sum(result, seed, ranges->leaves, count));
    free(own);
    free_parts(&p);
}

static void every_count_and_distribution_gives_the_tree_sum(mpi_test *t) {
    static const int64_t counts[] = {0, 1, 7, 1000, 100003};
    int members[MOST_RANKS], starts[MOST_RANKS + 1];
    qd_group_config config = members_from(t, members, 0, t->world->size);
    qd_group *group = new_group(t, &config);
    if (!group)
        return;
    CHECK(t,
          strcmp(qd_group_transport(group), expected_transport(t, members, t->world->size)) == 0);
    CHECK(t, qd_group_size(group) == t->world->size);
    CHECK(t, qd_group_index(group) == t->world->rank);
    for (int d = 0; d < DISTRIBUTIONS; d++)
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            qd_slot_ranges ranges = distributions[d](starts, t->world->size);
            reduce_and_check(t, group, &ranges, counts[c], (d + (int)c) % 2 == 0);
        }
    qd_group_destroy(group);
}

/* A gang is laid out by the places of its ranks, not by their numbers. */
static void members_in_any_order_find_the_tree_sum(mpi_test *t) {
    int members[MOST_RANKS], starts[MOST_RANKS + 1], size = t->world->size;
    qd_group_config config = members_from(t, members, 0, size);
    for (int i = 0; i < size; i++)
        members[i] = (size - i) % size; /* 0, and the others backwards */
    qd_group *group = new_group(t, &config);
    if (!group)
        return;
    CHECK(t, members[qd_group_index(group)] == t->world->rank);
    qd_slot_ranges ranges = uneven(starts, size);
    reduce_and_check(t, group, &ranges, 100003, false);
    qd_group_destroy(group);
}

static void a_vector_of_many_chunks_gives_the_tree_sum(mpi_test *t) {
    int members[MOST_RANKS], starts[MOST_RANKS + 1];
    qd_group_config config = members_from(t, members, 0, t->world->size);
    qd_group *group = new_group(t, &config);
    if (!group)
        return;
    qd_slot_ranges ranges = one_each(starts, t->world->size);
    reduce_and_check(t, group, &ranges, LARGE, true);
    ranges = uneven(starts, t->world->size);
    reduce_and_check(t, group, &ranges, LARGE / 3 + 1, false);
    qd_group_destroy(group);
}

/* The sum depends on the slots alone: groups of fewer members find what all find. */
static void fewer_members_find_the_same_bits(mpi_test *t) {
    enum { LEAVES = 11, COUNT = 5003 };
    int members[MOST_RANKS], starts[MOST_RANKS + 1];
    for (int size = 1; size <= t->world->size; size++) {
        qd_group_config config = members_from(t, members, 0, size);
        if (t->world->rank >= size)
            continue;
        qd_group *group = new_group(t, &config);
        if (!group)
            continue;
        for (int i = 0; i <= size; i++)
            starts[i] = LEAVES * i / size;
        reduce_and_check(t, group, &(qd_slot_ranges){.leaves = LEAVES, .starts = starts}, COUNT,
                         size % 2 == 0);
        qd_group_destroy(group);
    }
}

static void disjoint_groups_work_at_the_same_time(mpi_test *t) {
    int members[MOST_RANKS], starts[MOST_RANKS + 1];
    int n = t->world->size, cut = (n + 2) / 3;
    qd_group_config lower = members_from(t, members, 0, cut);
    qd_group_config upper = members_from(t, members, cut, n - cut);
    bool low = t->world->rank < cut;
    for (int i = 0; i < (low ? cut : n - cut); i++)
        members[i] = low ? i : cut + i;
    qd_group *group = new_group(t, low ? &lower : &upper);
    if (!group)
        return;
    int size = qd_group_size(group);
    CHECK(t, strcmp(qd_group_transport(group), expected_transport(t, members, size)) == 0);
    for (int i = 0; i < 5; i++) {
        qd_slot_ranges ranges = distributions[i % DISTRIBUTIONS](starts, size);
        reduce_and_check(t, group, &ranges, 20000 + 1000 * low + i, i % 2 == 0);
    }
    CHECK(t, qd_group_barrier(group) == 0);
    qd_group_destroy(group);
}

static void two_groups_of_the_same_members_keep_apart(mpi_test *t) {
    int members[MOST_RANKS], starts[MOST_RANKS + 1];
    qd_group_config config = members_from(t, members, 0, t->world->size);
    qd_group *a = new_group(t, &config);
    config.id = t->next_id++;
    qd_group *b = new_group(t, &config);
    qd_slot_ranges ranges = one_each(starts, t->world->size);
    for (int i = 0; a && b && i < 4; i++) {
        reduce_and_check(t, a, &ranges, 1000 + i, true);
        reduce_and_check(t, b, &ranges, 2000 + i, false);
    }
    qd_group_destroy(a);
    qd_group_destroy(b);
}

static void a_thousand_small_calls_with_barriers_between(mpi_test *t) {
    enum { COUNT = 33 };
    int members[MOST_RANKS], starts[MOST_RANKS + 1];
    qd_group_config config = members_from(t, members, 0, t->world->size);
    qd_group *group = new_group(t, &config);
    if (!group)
        return;
    qd_slot_ranges ranges = one_each(starts, t->world->size);
    float *vector = new_vector(COUNT);
    for (int call = 0; call < 1000; call++) {
        bool good = true;
        for (int i = 0; i < COUNT; i++)
            vector[i] = leaf_value((uint32_t)call, t->world->rank, i);
        CHECK(t, qd_allreduce_ordered(group, &ranges, &vector, 1, vector, COUNT) == 0);
        for (int i = 0; i < COUNT; i++)
            good = good && same_bits(vector[i], tree_sum((uint32_t)call, 0, ranges.leaves, i));
        CHECK(t, good);
        if (call % 7 == 0)
            CHECK(t, qd_group_barrier(group) == 0);
    }
    free(vector);
    qd_group_destroy(group);
}

static void special_values_pass_unchanged(mpi_test *t) {
    int members[MOST_RANKS], starts[MOST_RANKS + 1];
    qd_group_config config = members_from(t, members, 0, t->world->size);
    qd_group *group = new_group(t, &config);
    if (!group)
        return;
    qd_slot_ranges ranges = one_each(starts, t->world->size);
    bool first = t->world->rank == 0;
    float *v = new_vector(4);
    v[0] = first ? __builtin_nanf("") : 1;
    v[1] = first ? __builtin_inff() : 1;
    v[2] = -0.0f;
    v[3] = first ? 0x1p-149f : 0; /* the smallest there is: nothing is flushed to zero */
    CHECK(t, qd_allreduce_ordered(group, &ranges, &v, 1, v, 4) == 0);
    CHECK(t, v[0] != v[0] && v[1] == __builtin_inff());
    CHECK(t, same_bits(v[2], -0.0f) && v[3] == 0x1p-149f);
    free(v);
    qd_group_destroy(group);
}

int main(int argc, char **argv) {
#define ROW(test)                                                                                  \
    { #test, test }
    static const mpi_test_row rows[] = {
        ROW(every_count_and_distribution_gives_the_tree_sum),
        ROW(members_in_any_order_find_the_tree_sum),
        ROW(a_vector_of_many_chunks_gives_the_tree_sum),
        ROW(fewer_members_find_the_same_bits),
        ROW(disjoint_groups_work_at_the_same_time),
        ROW(two_groups_of_the_same_members_keep_apart),
        ROW(a_thousand_small_calls_with_barriers_between),
        ROW(special_values_pass_unchanged),
    };
    return mpi_test_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
