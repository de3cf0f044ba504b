#include "scheduler/queue.h"

#include <stdbool.h>
#include <stddef.h>

static qd_queue_entry *entry_of(const qd_tree_node *node) {
    return (qd_queue_entry *)node;
}

static int compare(const qd_tree_node *a, const qd_tree_node *b) {
    const qd_queue_entry *x = entry_of(a), *y = entry_of(b);
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->job > y->job) - (x->job < y->job);
}

/* Class c holds the widths 2^(c-1) + 1 .. 2^c. */
static int class_of(int64_t ranks) {
    int c = ranks > 1 ? 64 - __builtin_clzll((unsigned long long)(ranks - 1)) : 0;
    return c < QD_WIDTH_CLASSES ? c : QD_WIDTH_CLASSES - 1;
}

static void sum_up(qd_tree_node *node) {
    qd_queue_entry *entry = entry_of(node);
    entry->narrowest = entry->ranks;
    for (int c = 0; c < QD_WIDTH_CLASSES; c++)
        entry->shortest[c] = INT64_MAX;
    entry->shortest[class_of(entry->ranks)] = entry->run_ns;
    const qd_queue_entry *below[] = {entry_of(node->left), entry_of(node->right)};
    for (int i = 0; i < 2; i++) {
        if (!below[i])
            continue;
        if (below[i]->narrowest < entry->narrowest)
            entry->narrowest = below[i]->narrowest;
        for (int c = 0; c < QD_WIDTH_CLASSES; c++)
            if (below[i]->shortest[c] < entry->shortest[c])
                entry->shortest[c] = below[i]->shortest[c];
    }
}

void qd_queue_init(qd_queue *queue) {
    *queue = (qd_queue){.tree = {.compare = compare, .sum_up = sum_up}};
}

void qd_queue_add(qd_queue *queue, qd_queue_entry *entry) {
    qd_tree_insert(&queue->tree, &entry->node, (uint64_t)entry->job);
    queue->count++;
}

void qd_queue_remove(qd_queue *queue, qd_queue_entry *entry) {
    qd_tree_remove(&queue->tree, &entry->node);
    queue->count--;
}

qd_queue_entry *qd_queue_first(const qd_queue *queue) {
    return entry_of(qd_tree_first(&queue->tree));
}

qd_queue_entry *qd_queue_next(const qd_queue *queue, const qd_queue_entry *entry) {
    return entry_of(qd_tree_after(&queue->tree, &entry->node));
}

static bool fits(const qd_queue_entry *entry, const qd_gap *gap) {
    return entry->ranks <= gap->ranks &&
           (entry->ranks <= gap->beyond || entry->run_ns <= gap->window_ns);
}

/* False only if nothing below fits. */
static bool may_hold_one(const qd_queue_entry *entry, const qd_gap *gap) {
    if (entry->narrowest > gap->ranks)
        return false;
    if (entry->narrowest <= gap->beyond)
        return true;
    for (int c = class_of(gap->ranks); c >= 0; c--)
        if (entry->shortest[c] <= gap->window_ns)
            return true;
    return false;
}

static qd_queue_entry *search(const qd_tree_node *node, const qd_queue_entry *after,
                              const qd_gap *gap) {
    while (node) {
        qd_queue_entry *entry = entry_of(node);
        if (!may_hold_one(entry, gap))
            return NULL;
        if (!after || compare(node, &after->node) > 0) {
            qd_queue_entry *found = search(node->left, after, gap);
            if (found)
                return found;
            if (fits(entry, gap))
                return entry;
            after = NULL; /* all to the right is behind it, too */
        }
        node = node->right;
    }
    return NULL;
}

qd_queue_entry *qd_queue_fitting(const qd_queue *queue, const qd_queue_entry *after,
                                 const qd_gap *gap) {
    return search(queue->tree.root, after, gap);
}
