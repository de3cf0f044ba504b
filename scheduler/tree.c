#include "scheduler/tree.h"

#include <stddef.h>

/* The finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014): different seeds, different
 * weights. */
static uint64_t spread(uint64_t z) {
    z += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void sum_up(const qd_tree *tree, qd_tree_node *node) {
    if (tree->sum_up)
        tree->sum_up(node);
}

/* What comes before node goes to *left, the rest to *right. */
static void split(const qd_tree *tree, qd_tree_node *root, const qd_tree_node *node,
                  qd_tree_node **left, qd_tree_node **right) {
    if (!root) {
        *left = *right = NULL;
    } else if (tree->compare(root, node) < 0) {
        split(tree, root->right, node, &root->right, right);
        *left = root;
        sum_up(tree, root);
    } else {
        split(tree, root->left, node, left, &root->left);
        *right = root;
        sum_up(tree, root);
    }
}

/* All of left comes before all of right. */
static qd_tree_node *merge(const qd_tree *tree, qd_tree_node *left, qd_tree_node *right) {
    if (!left || !right)
        return left ? left : right;
    qd_tree_node *root = left->weight > right->weight ? left : right;
    if (root == left)
        left->right = merge(tree, left->right, right);
    else
        right->left = merge(tree, left, right->left);
    sum_up(tree, root);
    return root;
}

static void insert(const qd_tree *tree, qd_tree_node **root, qd_tree_node *node) {
    if (!*root || node->weight > (*root)->weight) {
        split(tree, *root, node, &node->left, &node->right);
        *root = node;
    } else {
        insert(tree, tree->compare(node, *root) < 0 ? &(*root)->left : &(*root)->right, node);
    }
    sum_up(tree, *root);
}

void qd_tree_insert(qd_tree *tree, qd_tree_node *node, uint64_t seed) {
    *node = (qd_tree_node){.weight = spread(seed)};
    insert(tree, &tree->root, node);
}

static void take_out(const qd_tree *tree, qd_tree_node **root, const qd_tree_node *node) {
    if (*root == node) {
        *root = merge(tree, node->left, node->right);
        return;
    }
    take_out(tree, tree->compare(node, *root) < 0 ? &(*root)->left : &(*root)->right, node);
    sum_up(tree, *root);
}

void qd_tree_remove(qd_tree *tree, qd_tree_node *node) {
    take_out(tree, &tree->root, node);
    node->left = node->right = NULL;
}

static void change(const qd_tree *tree, qd_tree_node *root, const qd_tree_node *node) {
    if (root != node)
        change(tree, tree->compare(node, root) < 0 ? root->left : root->right, node);
    sum_up(tree, root);
}

void qd_tree_changed(qd_tree *tree, qd_tree_node *node) {
    change(tree, tree->root, node);
}

qd_tree_node *qd_tree_first(const qd_tree *tree) {
    qd_tree_node *node = tree->root;
    while (node && node->left)
        node = node->left;
    return node;
}

qd_tree_node *qd_tree_last(const qd_tree *tree) {
    qd_tree_node *node = tree->root;
    while (node && node->right)
        node = node->right;
    return node;
}

qd_tree_node *qd_tree_after(const qd_tree *tree, const qd_tree_node *node) {
    qd_tree_node *best = NULL;
    for (qd_tree_node *at = tree->root; at;) {
        if (tree->compare(at, node) > 0) {
            best = at;
            at = at->left;
        } else {
            at = at->right;
        }
    }
    return best;
}
