/*
 * tree.h: the one order in which values of data slots are added, whoever holds them: a
 * left-balanced binary tree over the slots (leaves). A node over n > 1 leaves splits them so that
 * the left child takes the largest power of two below n. Pure; no communication.
 *
 * Addition of floats is not associative; with the order fixed by the leaves alone, a sum is the
 * same bits on every number of ranks (DESIGN 3.4).
 */
#ifndef QD_COLLECTIVES_TREE_H
#define QD_COLLECTIVES_TREE_H

#include <stdint.h>

enum { QD_TREE_MAX_COVER = 64 };

/* The leaves [first, end) of a node. */
typedef struct qd_tree_node {
    int first, end;
} qd_tree_node;

/* Where the node over [first, end), end - first > 1, splits: the right child's first leaf. */
int qd_tree_split(int first, int end);

/*
 * The fewest nodes of the tree over `leaves` leaves whose leaves are exactly [first, end), from
 * left to right. Returns how many (0 for an empty range).
 */
int qd_tree_cover(int leaves, int first, int end, qd_tree_node nodes[QD_TREE_MAX_COVER]);

/*
 * Partial sums of a member that computes its leaves one after the other from left to right. Slot
 * vectors are numbered 0 .. qd_tree_stack_depth()-1; the caller owns their memory.
 *
 *   qd_tree_stack s;
 *   qd_tree_stack_init(&s, leaves, first, end);
 *   for each leaf: compute it into vector qd_tree_stack_top(&s); then
 *                  while (qd_tree_stack_push_next(&s, &into, &from)) add vector `from` to `into`
 *   Afterwards vectors 0 .. s.count-1 hold the nodes of qd_tree_cover(leaves, first, end).
 */
typedef struct qd_tree_stack {
    int leaves, next, end;
    int count;
    int pushed; /* 1 while the merges of the newest leaf are being handed out */
    qd_tree_node nodes[QD_TREE_MAX_COVER];
} qd_tree_stack;

void qd_tree_stack_init(qd_tree_stack *stack, int leaves, int first, int end);

/* The vector that the next leaf is computed into. */
int qd_tree_stack_top(const qd_tree_stack *stack);

/* Hands out the additions that the leaf just computed makes possible, one a call; returns 0 when
 * there are no more (and the next leaf may be computed), 1 with *into += *from to be done. */
int qd_tree_stack_push_next(qd_tree_stack *stack, int *into, int *from);

/* Vectors that are in use at once, at most. */
int qd_tree_stack_depth(int leaves, int first, int end);

#endif
