#include "collectives/tree.h"

#include <stdbool.h>

int qd_tree_split(int first, int end) {
    int n = end - first, left = 1;
    while (left < n - left)
        left *= 2;
    return first + left;
}

typedef struct cover {
    int first, end;
    int count;
    qd_tree_node *nodes;
} cover;

static void cover_below(cover *c, int first, int end) {
    if (end <= c->first || c->end <= first)
        return;
    if (c->first <= first && end <= c->end) {
        c->nodes[c->count++] = (qd_tree_node){first, end};
        return;
    }
    int split = qd_tree_split(first, end);
    cover_below(c, first, split);
    cover_below(c, split, end);
}

int qd_tree_cover(int leaves, int first, int end, qd_tree_node nodes[QD_TREE_MAX_COVER]) {
    /* At most two nodes of each size are needed, and an int has fewer than 32 sizes: 64 is enough.
     */
    cover c = {.first = first, .end = end, .nodes = nodes};
    if (first < end)
        cover_below(&c, 0, leaves);
    return c.count;
}

void qd_tree_stack_init(qd_tree_stack *stack, int leaves, int first, int end) {
    *stack = (qd_tree_stack){.leaves = leaves, .next = first, .end = end};
}

int qd_tree_stack_top(const qd_tree_stack *stack) {
    return stack->count;
}

/* Whether some node over [first, end) has the children [first, split) and [split, end). */
static bool siblings(int leaves, int first, int split, int end) {
    int a = 0, b = leaves;
    while (b - a > 1) {
        int s = qd_tree_split(a, b);
        if (a == first && b == end)
            return s == split;
        if (end <= s)
            b = s;
        else if (s <= first)
            a = s;
        else
            return false;
    }
    return false;
}

int qd_tree_stack_push_next(qd_tree_stack *stack, int *into, int *from) {
    if (!stack->pushed) {
        if (stack->next >= stack->end)
            return 0;
        stack->nodes[stack->count++] = (qd_tree_node){stack->next, stack->next + 1};
        stack->next++;
        stack->pushed = 1;
    }
    if (stack->count > 1) {
        qd_tree_node *left = &stack->nodes[stack->count - 2];
        qd_tree_node right = stack->nodes[stack->count - 1];
        if (siblings(stack->leaves, left->first, left->end, right.end)) {
            left->end = right.end;
            stack->count--;
            *into = stack->count - 1;
            *from = stack->count;
            return 1;
        }
    }
    stack->pushed = 0;
    return 0;
}

int qd_tree_stack_depth(int leaves, int first, int end) {
    qd_tree_stack stack;
    int depth = 0, into, from;
    qd_tree_stack_init(&stack, leaves, first, end);
    while (stack.next < stack.end) {
        /* The new leaf's own vector is in use until its additions are done. */
        if (stack.count + 1 > depth)
            depth = stack.count + 1;
        while (qd_tree_stack_push_next(&stack, &into, &from)) {
        }
    }
    return depth;
}
