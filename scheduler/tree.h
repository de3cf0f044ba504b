/*
 * tree.h: an ordered set whose nodes know something about what is below them: a treap (Aragon and
 * Seidel, FOCS 1989). Nodes live in the things that are ordered; the tree allocates nothing. The
 * user says how two nodes compare and how a node sums itself up from its children; searches walk
 * left and right by those sums (queue.c, profile.c).
 *
 * Every operation takes O(log n) expected time. The shape follows from the weights alone, so that
 * equal sets with equal weights are equal trees, whatever the order in which they were built.
 */
#ifndef QD_SCHEDULER_TREE_H
#define QD_SCHEDULER_TREE_H

#include <stdint.h>

typedef struct qd_tree_node {
    struct qd_tree_node *left, *right;
    uint64_t weight; /* higher is nearer to the root */
} qd_tree_node;

typedef struct qd_tree {
    qd_tree_node *root;
    /* < 0, 0, > 0 as a comes before, is, or comes after b. A total order. */
    int (*compare)(const qd_tree_node *a, const qd_tree_node *b);
    /* Computes the sums of a node whose children are right. NULL: there are none. */
    void (*sum_up)(qd_tree_node *node);
} qd_tree;

/* Adds a node that is not in a tree. seed is spread over 64 bits to become its weight; nodes of one
 * tree have different ones. */
void qd_tree_insert(qd_tree *tree, qd_tree_node *node, uint64_t seed);

/* Takes out a node that is in the tree. */
void qd_tree_remove(qd_tree *tree, qd_tree_node *node);

/* Sums up again from a node in the tree to the root, after something in it has changed that does
 * not alter its place. */
void qd_tree_changed(qd_tree *tree, qd_tree_node *node);

/* NULL when there is none. */
qd_tree_node *qd_tree_first(const qd_tree *tree);

qd_tree_node *qd_tree_last(const qd_tree *tree);

/* The first node behind node, which need not be in the tree. NULL when there is none. */
qd_tree_node *qd_tree_after(const qd_tree *tree, const qd_tree_node *node);

#endif
