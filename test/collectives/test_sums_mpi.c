/* Sums whose values travel as bf16, and sums by the MPI library. */
#include <math.h>

#include "collectives/elements.h"
#include "mpi_check.h"
#include "slot_values.h"

enum { MOST_RANKS = 64, COUNT = 40009 };

/* The nearest bf16 by comparison with both neighbours, ties to the one whose last bit is 0: not by
 * the arithmetic on bits that elements.c does. */
static float nearest_bf16(float x) {
    uint32_t bits, low_bits, high_bits;
    float low, high;
    memcpy(&bits, &x, sizeof bits);
    low_bits = bits & 0xffff0000;
    high_bits = low_bits + 0x10000;
    memcpy(&low, &low_bits, sizeof low);
    memcpy(&high, &high_bits, sizeof high);
    double below = fabs((double)x - (double)low), above = fabs((double)high - (double)x);
    if (below != above)
        return below < above ? low : high;
    return low_bits >> 16 & 1 ? high : low;
}

static float rounded_tree_sum(uint32_t seed, int first, int end, int64_t i) {
    if (end - first == 1)
        return nearest_bf16(leaf_value(seed, first, i));
    int split = first + left_leaves(end - first);
    return nearest_bf16(rounded_tree_sum(seed, first, split, i) +
                        rounded_tree_sum(seed, split, end, i));
}

/* As a rank adds its slots: each rounded, and each sum. */
static parts fill_rounded(const qd_slot_ranges *ranges, int member, uint32_t seed) {
    parts p = {0};
    float *leaf[QD_TREE_MAX_COVER];
    qd_tree_stack s;
    int into, from;
    for (int k = 0; k < QD_TREE_MAX_COVER; k++)
        leaf[k] = k < 12 ? new_vector(COUNT) : NULL;
    qd_tree_stack_init(&s, ranges->leaves, ranges->starts[member], ranges->starts[member + 1]);
    for (int slot = ranges->starts[member]; slot < ranges->starts[member + 1]; slot++) {
        float *v = leaf[qd_tree_stack_top(&s)];
        for (int64_t i = 0; i < COUNT; i++)
            v[i] = leaf_value(seed, slot, i);
        qd_elements_round(QD_WIRE_BF16, v, COUNT);
        while (qd_tree_stack_push_next(&s, &into, &from))
            qd_elements_add(QD_WIRE_BF16, leaf[into], leaf[into], leaf[from], COUNT);
    }
    p.count = s.count;
    for (int k = 0; k < 12; k++)
        if (k < p.count)
            p.vector[k] = leaf[k];
        else
            free(leaf[k]);
    return p;
}

static qd_group *group_with(mpi_test *t, int size, qd_wire_type wire, qd_reduction_kind kind) {
    int members[MOST_RANKS];
    qd_group_config config = members_from(t, members, 0, size);
    config.wire = wire;
    config.reduction = kind;
    return t->world->rank < size ? new_group(t, &config) : NULL;
}

/* Also of a group of one: what does not travel is rounded, too. */
static void bf16_sums_are_the_rounded_tree_on_every_number_of_members(mpi_test *t) {
    enum { LEAVES = 13 };
    int starts[MOST_RANKS + 1];
    for (int size = 1; size <= t->world->size; size++) {
        qd_group *g = group_with(t, size, QD_WIRE_BF16, QD_REDUCTION_ORDERED);
        if (!g)
            continue;
        for (int i = 0; i <= size; i++)
            starts[i] = LEAVES * i / size;
        qd_slot_ranges ranges = {.leaves = LEAVES, .starts = starts};
        parts p = fill_rounded(&ranges, qd_group_index(g), 3);
        bool good = true;
        CHECK(t, qd_allreduce_ordered(g, &ranges, p.vector, p.count, p.vector[0], COUNT) == 0);
        for (int64_t i = 0; i < COUNT; i++)
            good = good && same_bits(p.vector[0][i], rounded_tree_sum(3, 0, LEAVES, i));
        CHECK(t, good);
        free_parts(&p);
        qd_group_destroy(g);
    }
}

/* Leaves that were not rounded by who brings them are rounded by the sum. */
static void bf16_halves_the_bytes(mpi_test *t) {
    int starts[MOST_RANKS + 1], m = t->world->size;
    int64_t count = 1000 * m;
    uint64_t bytes[2] = {0};
    for (int wire = 0; wire < 2; wire++) {
        qd_group *g = group_with(t, m, (qd_wire_type)wire, QD_REDUCTION_ORDERED);
        qd_slot_ranges ranges = one_each(starts, m);
        float *v = new_vector(count);
        for (int64_t i = 0; i < count; i++)
            v[i] = leaf_value(4, t->world->rank, i);
        CHECK(t, g && qd_allreduce_ordered(g, &ranges, &v, 1, v, count) == 0);
        bool good = true;
        for (int64_t i = 0; i < count; i++)
            good =
                good && same_bits(v[i], wire ? rounded_tree_sum(4, 0, m, i) : tree_sum(4, 0, m, i));
        CHECK(t, good);
        bytes[wire] = g ? qd_group_bytes_sent(g) : 0;
        free(v);
        qd_group_destroy(g);
    }
    CHECK(t, bytes[0] > 0 && bytes[0] == 2 * bytes[1]);
}

static void rounding_is_to_the_nearest_with_ties_to_even(mpi_test *t) {
    static const uint32_t bits[] = {0x00000000, 0x80000000, 0x3f808000, 0x3f818000, 0x3f808001,
                                    0x3f807fff, 0x00000001, 0x00008000, 0x00018000, 0x7f7f7fff,
                                    0xc2f68000, 0x7f800000, 0xff800000};
    enum { N = sizeof bits / sizeof bits[0] };
    float v[N];
    memcpy(v, bits, sizeof v);
    qd_elements_round(QD_WIRE_BF16, v, N);
    for (int i = 0; i < N; i++) {
        float x, expected;
        memcpy(&x, &bits[i], sizeof x);
        expected = isinf(x) ? x : nearest_bf16(x);
        CHECK(t, same_bits(v[i], expected));
    }
    float special[2] = {__builtin_nanf("0x1"), __builtin_inff()};
    uint32_t odd_nan = 0x7f800001;
    memcpy(&special[0], &odd_nan, sizeof odd_nan);
    qd_elements_round(QD_WIRE_BF16, special, 2);
    CHECK(t, isnan(special[0]) && isinf(special[1]));
}

static void fast_sums_are_right_up_to_rounding(mpi_test *t) {
    int starts[MOST_RANKS + 1], m = t->world->size;
    qd_group *g = group_with(t, m, QD_WIRE_FP32, QD_REDUCTION_FAST);
    if (!g)
        return;
    static const int64_t sizes[] = {0, 1, COUNT, 700001};
    for (int k = 0; k < 4; k++) {
        qd_slot_ranges ranges = uneven(starts, m);
        parts p = fill_parts(&ranges, t->world->rank, 6, sizes[k]);
        qd_operation *op = NULL;
        bool good = true;
        CHECK(t,
              qd_allreduce_start(g, &ranges, p.vector, p.count, p.vector[0], sizes[k], &op) == 0);
        CHECK(t, qd_operation_wait(op) == 0);
        for (int64_t i = 0; i < sizes[k]; i += 3) {
            double sum = 0, size = 0;
            for (int leaf = 0; leaf < ranges.leaves; leaf++) {
                sum += (double)leaf_value(6, leaf, i);
                size += fabs((double)leaf_value(6, leaf, i));
            }
            good = good && fabs((double)p.vector[0][i] - sum) <= size * ranges.leaves * 0x1p-24;
        }
        CHECK(t, good);
        free_parts(&p);
    }
    qd_group_destroy(g);
}

static void fast_members_that_differ_are_named(mpi_test *t) {
    int starts[MOST_RANKS + 1], m = t->world->size;
    qd_group *g = group_with(t, m, QD_WIRE_FP32, QD_REDUCTION_FAST);
    bool last = t->world->rank == m - 1;
    qd_slot_ranges ranges = one_each(starts, m);
    float *v = new_vector(2000);
    memset(v, 0, 2000 * sizeof *v);
    CHECK(t, g && qd_allreduce_ordered(g, &ranges, &v, 1, v, last ? 2000 : 1000) == QD_EPROTO);
    CHECK(t,
          strstr(qd_error_message(), "2000 floats") && strstr(qd_error_message(), "1000 floats"));
    free(v);
    qd_group_destroy(g);
}

static void members_with_other_sums_do_not_meet(mpi_test *t) {
    int members[MOST_RANKS];
    qd_group *g = NULL;
    qd_group_config config = members_from(t, members, 0, t->world->size);
    config.wire = t->world->rank == 0 ? QD_WIRE_BF16 : QD_WIRE_FP32;
    CHECK(t, qd_group_create(&config, &g) == QD_EPROTO);
    CHECK(t, strstr(qd_error_message(), "bf16") && strstr(qd_error_message(), "fp32"));
    config.reduction = QD_REDUCTION_FAST;
    config.wire = QD_WIRE_BF16;
    CHECK(t, qd_group_create(&config, &g) == QD_EINTERNAL);
}

int main(int argc, char **argv) {
#define ROW(test)                                                                                  \
    { #test, test }
    static const mpi_test_row rows[] = {
        ROW(rounding_is_to_the_nearest_with_ties_to_even),
        ROW(bf16_sums_are_the_rounded_tree_on_every_number_of_members),
        ROW(bf16_halves_the_bytes),
        ROW(fast_sums_are_right_up_to_rounding),
        ROW(fast_members_that_differ_are_named),
        ROW(members_with_other_sums_do_not_meet),
    };
    return mpi_test_main(argc, argv, rows, sizeof rows / sizeof rows[0]);
}
