#include <check.h>
#include <stdbool.h>
#include <stdlib.h>

#include "collectives/tree.h"

enum { MOST = 40 };

/* The definition, written for itself: the left child takes the largest power of two below n. */
static int left_leaves(int n) {
    int size = 1;
    for (int p = 1; p < n; p *= 2)
        size = p;
    return size;
}

static bool is_node(int leaves, int first, int end) {
    int a = 0, b = leaves;
    for (;;) {
        if (a == first && b == end)
            return true;
        if (b - a == 1)
            return false;
        int split = a + left_leaves(b - a);
        if (first < split)
            b = split;
        else
            a = split;
    }
}

/* Fewest nodes that make [first, end): the best over every node that can come first. */
static int fewest_nodes(int leaves, int first, int end) {
    int best[MOST + 1];
    best[end] = 0;
    for (int a = end - 1; a >= first; a--) {
        best[a] = MOST + 1;
        for (int b = a + 1; b <= end; b++)
            if (is_node(leaves, a, b) && best[b] + 1 < best[a])
                best[a] = best[b] + 1;
    }
    return best[first];
}

START_TEST(a_node_splits_at_the_largest_power_of_two_below_its_size) {
    for (int n = 2; n <= 1 << 12; n++) {
        ck_assert_int_eq(qd_tree_split(0, n), left_leaves(n));
        ck_assert_int_eq(qd_tree_split(n, 2 * n), n + left_leaves(n));
    }
    ck_assert_int_eq(qd_tree_split(0, (1 << 30) + 1), 1 << 30);
    ck_assert_int_eq(qd_tree_split(0, 2147483647), 1 << 30);
    ck_assert_int_eq(qd_tree_split(0, 1 << 30), 1 << 29);
}
END_TEST

START_TEST(a_cover_is_exact_from_left_to_right_and_of_nodes_of_the_tree) {
    qd_tree_node nodes[QD_TREE_MAX_COVER];
    for (int n = 1; n <= MOST; n++)
        for (int first = 0; first < n; first++)
            for (int end = first; end <= n; end++) {
                int count = qd_tree_cover(n, first, end, nodes), at = first;
                for (int i = 0; i < count; i++) {
                    ck_assert_int_eq(nodes[i].first, at);
                    ck_assert_int_lt(nodes[i].first, nodes[i].end);
                    ck_assert(is_node(n, nodes[i].first, nodes[i].end));
                    at = nodes[i].end;
                }
                ck_assert_int_eq(at, end);
            }
}
END_TEST

START_TEST(a_cover_has_the_fewest_nodes) {
    qd_tree_node nodes[QD_TREE_MAX_COVER];
    for (int n = 1; n <= MOST; n++)
        for (int first = 0; first < n; first++)
            for (int end = first + 1; end <= n; end++)
                ck_assert_int_eq(qd_tree_cover(n, first, end, nodes), fewest_nodes(n, first, end));
}
END_TEST

START_TEST(an_empty_range_has_no_nodes) {
    qd_tree_node nodes[QD_TREE_MAX_COVER];
    ck_assert_int_eq(qd_tree_cover(5, 0, 0, nodes), 0);
    ck_assert_int_eq(qd_tree_cover(5, 5, 5, nodes), 0);
    ck_assert_int_eq(qd_tree_stack_depth(5, 3, 3), 0);
}
END_TEST

START_TEST(the_widest_cover_fits) {
    qd_tree_node nodes[QD_TREE_MAX_COVER];
    /* One leaf off both ends of the largest full tree: 29 sizes twice. */
    ck_assert_int_eq(qd_tree_cover(1 << 30, 1, (1 << 30) - 1, nodes), 58);
    int count = qd_tree_cover(2147483647, 1, 2147483646, nodes);
    ck_assert_int_le(count, QD_TREE_MAX_COVER);
    ck_assert_int_eq(nodes[count - 1].end, 2147483646);
}
END_TEST

START_TEST(the_stack_ends_with_the_cover) {
    for (int n = 1; n <= MOST; n++)
        for (int first = 0; first < n; first++)
            for (int end = first; end <= n; end++) {
                qd_tree_node nodes[QD_TREE_MAX_COVER];
                qd_tree_stack s;
                int into, from;
                qd_tree_stack_init(&s, n, first, end);
                for (int leaf = first; leaf < end; leaf++)
                    while (qd_tree_stack_push_next(&s, &into, &from))
                        ck_assert_int_eq(from, into + 1);
                ck_assert_int_eq(qd_tree_stack_push_next(&s, &into, &from), 0);
                ck_assert_int_eq(s.count, qd_tree_cover(n, first, end, nodes));
                for (int i = 0; i < s.count; i++) {
                    ck_assert_int_eq(s.nodes[i].first, nodes[i].first);
                    ck_assert_int_eq(s.nodes[i].end, nodes[i].end);
                }
            }
}
END_TEST

START_TEST(the_depth_is_the_highest_vector_used_plus_one) {
    for (int n = 1; n <= MOST; n++)
        for (int first = 0; first < n; first++)
            for (int end = first + 1; end <= n; end++) {
                qd_tree_stack s;
                int into, from, highest = 0;
                qd_tree_stack_init(&s, n, first, end);
                for (int leaf = first; leaf < end; leaf++) {
                    int top = qd_tree_stack_top(&s);
                    highest = top > highest ? top : highest;
                    while (qd_tree_stack_push_next(&s, &into, &from))
                        ck_assert_int_le(from, highest);
                }
                ck_assert_int_eq(qd_tree_stack_depth(n, first, end), highest + 1);
            }
}
END_TEST

START_TEST(the_depth_of_a_whole_tree_grows_as_its_logarithm) {
    ck_assert_int_eq(qd_tree_stack_depth(1, 0, 1), 1);
    ck_assert_int_eq(qd_tree_stack_depth(2, 0, 2), 2);
    ck_assert_int_eq(qd_tree_stack_depth(8, 0, 8), 4);
    ck_assert_int_eq(qd_tree_stack_depth(1 << 16, 0, 1 << 16), 17);
}
END_TEST

/* Values whose sum depends on the order in which it is taken. */
static float leaf_value(int leaf) {
    unsigned h = (unsigned)leaf * 2654435761u + 12345u;
    h ^= h >> 15;
    h *= 2246822519u;
    h ^= h >> 13;
    return (float)(int)(h % 2000001u - 1000000) * (1.0f / (float)(1 + leaf % 7));
}

static float sum_of_node(int first, int end) {
    if (end - first == 1)
        return leaf_value(first);
    int split = first + left_leaves(end - first);
    return sum_of_node(first, split) + sum_of_node(split, end);
}

START_TEST(partial_sums_are_those_of_the_recursive_definition) {
    for (int n = 1; n <= MOST; n++)
        for (int first = 0; first < n; first++)
            for (int end = first + 1; end <= n; end++) {
                float vector[QD_TREE_MAX_COVER];
                qd_tree_stack s;
                int into, from;
                qd_tree_stack_init(&s, n, first, end);
                for (int leaf = first; leaf < end; leaf++) {
                    vector[qd_tree_stack_top(&s)] = leaf_value(leaf);
                    while (qd_tree_stack_push_next(&s, &into, &from))
                        vector[into] += vector[from];
                }
                for (int i = 0; i < s.count; i++)
                    ck_assert(vector[i] == sum_of_node(s.nodes[i].first, s.nodes[i].end));
            }
}
END_TEST

int main(void) {
    TCase *tc = tcase_create("tree");
    tcase_add_test(tc, a_node_splits_at_the_largest_power_of_two_below_its_size);
    tcase_add_test(tc, a_cover_is_exact_from_left_to_right_and_of_nodes_of_the_tree);
    tcase_add_test(tc, a_cover_has_the_fewest_nodes);
    tcase_add_test(tc, an_empty_range_has_no_nodes);
    tcase_add_test(tc, the_widest_cover_fits);
    tcase_add_test(tc, the_stack_ends_with_the_cover);
    tcase_add_test(tc, the_depth_is_the_highest_vector_used_plus_one);
    tcase_add_test(tc, the_depth_of_a_whole_tree_grows_as_its_logarithm);
    tcase_add_test(tc, partial_sums_are_those_of_the_recursive_definition);
    Suite *suite = suite_create("tree");
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
