#include "scheduler/queue.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "runtime/error.h"

static const qd_gap anything = {.ranks = INT64_MAX, .beyond = INT64_MAX, .open = INT64_MAX};

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
    entry->narrowest_yielding = entry->yields ? entry->ranks : INT_MAX;
    for (int c = 0; c < QD_WIDTH_CLASSES; c++)
        entry->shortest[c] = INT64_MAX;
    if (!entry->yields)
        entry->shortest[class_of(entry->ranks)] = entry->run_ns;
    const qd_queue_entry *below[] = {entry_of(node->left), entry_of(node->right)};
    for (int i = 0; i < 2; i++) {
        if (!below[i])
            continue;
        if (below[i]->narrowest < entry->narrowest)
            entry->narrowest = below[i]->narrowest;
        if (below[i]->narrowest_yielding < entry->narrowest_yielding)
            entry->narrowest_yielding = below[i]->narrowest_yielding;
        for (int c = 0; c < QD_WIDTH_CLASSES; c++)
            if (below[i]->shortest[c] < entry->shortest[c])
                entry->shortest[c] = below[i]->shortest[c];
    }
}

int qd_queue_init(qd_queue *queue, int lanes) {
    size_t n = (size_t)lanes;
    *queue = (qd_queue){.lanes = calloc(n, sizeof *queue->lanes),
                        .lane_count = lanes,
                        .used = calloc(n, sizeof *queue->used)};
    if (!queue->lanes || !queue->used) {
        qd_queue_fini(queue);
        return qd_error_set(QD_ENOMEM, "no memory for a queue of %d lanes", lanes);
    }
    for (int i = 0; i < lanes; i++)
        queue->lanes[i] =
            (qd_lane){.tree = {.compare = compare, .sum_up = sum_up}, .most_ranks = INT64_MAX};
    return 0;
}

void qd_queue_fini(qd_queue *queue) {
    free(queue->lanes);
    free(queue->used);
    *queue = (qd_queue){0};
}

int64_t qd_queue_place(const qd_queue *queue, const qd_queue_entry *entry) {
    return entry->key + queue->lanes[entry->lane].offset;
}

void qd_queue_add(qd_queue *queue, qd_queue_entry *entry) {
    qd_lane *lane = &queue->lanes[entry->lane];
    if (lane->count++ == 0) {
        lane->used_at = queue->used_count++;
        queue->used[lane->used_at] = entry->lane;
    }
    qd_tree_insert(&lane->tree, &entry->node, (uint64_t)entry->job);
}

void qd_queue_remove(qd_queue *queue, qd_queue_entry *entry) {
    qd_lane *lane = &queue->lanes[entry->lane];
    qd_tree_remove(&lane->tree, &entry->node);
    if (--lane->count > 0)
        return;
    int last = queue->used[--queue->used_count];
    queue->used[lane->used_at] = last;
    queue->lanes[last].used_at = lane->used_at;
}

static bool fits(const qd_queue_entry *entry, const qd_gap *gap) {
    if (entry->yields)
        return entry->ranks <= gap->open;
    return entry->ranks <= gap->ranks &&
           (entry->ranks <= gap->beyond || entry->run_ns <= gap->window_ns);
}

/* False only if nothing below fits. */
static bool may_hold_one(const qd_queue_entry *entry, const qd_gap *gap) {
    if (entry->narrowest > gap->ranks)
        return false;
    if (entry->narrowest <= gap->beyond || entry->narrowest_yielding <= gap->open)
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

/* a, b: of this queue, or NULL, which comes last. */
static bool comes_before(const qd_queue *queue, const qd_queue_entry *a, const qd_queue_entry *b) {
    if (!a || !b)
        return a;
    int64_t x = qd_queue_place(queue, a), y = qd_queue_place(queue, b);
    return x != y ? x < y : a->job < b->job;
}

static qd_gap narrowed(const qd_gap *gap, int64_t most) {
    return (qd_gap){.ranks = gap->ranks < most ? gap->ranks : most,
                    .beyond = gap->beyond < most ? gap->beyond : most,
                    .open = gap->open < most ? gap->open : most,
                    .window_ns = gap->window_ns};
}

/* gap: NULL: every entry fits, wherever it is. */
static qd_queue_entry *find(const qd_queue *queue, const qd_queue_entry *after, const qd_gap *gap) {
    qd_queue_entry *best = NULL, seen_from_lane;
    for (int i = 0; i < queue->used_count; i++) {
        const qd_lane *lane = &queue->lanes[queue->used[i]];
        qd_gap in_lane = gap ? narrowed(gap, lane->most_ranks) : anything;
        if (after) {
            seen_from_lane.key = qd_queue_place(queue, after) - lane->offset;
            seen_from_lane.job = after->job;
        }
        qd_queue_entry *found = search(lane->tree.root, after ? &seen_from_lane : NULL, &in_lane);
        if (comes_before(queue, found, best))
            best = found;
    }
    return best;
}

qd_queue_entry *qd_queue_fitting(const qd_queue *queue, const qd_queue_entry *after,
                                 const qd_gap *gap) {
    return find(queue, after, gap);
}

qd_queue_entry *qd_queue_fitting_any(const qd_queue *queue, const qd_queue_entry *after,
                                     const qd_gap *gaps, int count) {
    qd_queue_entry *best = NULL;
    for (int i = 0; i < count; i++) {
        qd_queue_entry *found = qd_queue_fitting(queue, after, &gaps[i]);
        if (comes_before(queue, found, best))
            best = found;
    }
    return best;
}

void qd_queue_set_yields(qd_queue *queue, qd_queue_entry *entry, bool yields) {
    if (entry->yields == yields)
        return;
    entry->yields = yields;
    qd_tree_changed(&queue->lanes[entry->lane].tree, &entry->node);
}

qd_queue_entry *qd_queue_allowed(const qd_queue *queue, const qd_queue_entry *after) {
    return find(queue, after, &anything);
}

qd_queue_entry *qd_queue_allowed_in(const qd_lane *lane) {
    qd_gap gap = narrowed(&anything, lane->most_ranks);
    return search(lane->tree.root, NULL, &gap);
}

qd_queue_entry *qd_queue_next(const qd_queue *queue, const qd_queue_entry *entry) {
    return find(queue, entry, NULL);
}

qd_queue_entry *qd_queue_first(const qd_queue *queue) {
    return find(queue, NULL, NULL);
}
