#include "scheduler/profile.h"

#include <stdbool.h>
#include <stdlib.h>

#include "runtime/error.h"

struct qd_profile_step {
    qd_tree_node node; /* first: a node is a step. Of an unused one, left is the next unused one */
    int64_t at_ns;
    int64_t change; /* of the free ranks; never 0 in the tree */
    /* Of the steps below and this one, in order: their sum, and the lowest and the highest sum of
     * a beginning of them that is not empty. */
    int64_t sum, lowest, highest;
};

typedef struct block {
    struct block *next;
    qd_profile_step steps[];
} block;

static qd_profile_step *step_of(const qd_tree_node *node) {
    return (qd_profile_step *)node;
}

static int compare(const qd_tree_node *a, const qd_tree_node *b) {
    int64_t x = step_of(a)->at_ns, y = step_of(b)->at_ns;
    return (x > y) - (x < y);
}

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static void sum_up(qd_tree_node *node) {
    qd_profile_step *step = step_of(node);
    const qd_profile_step *left = step_of(node->left), *right = step_of(node->right);
    int64_t sum = (left ? left->sum : 0) + step->change;
    step->lowest = left ? least(left->lowest, sum) : sum;
    step->highest = left ? most(left->highest, sum) : sum;
    if (right) {
        step->lowest = least(step->lowest, sum + right->lowest);
        step->highest = most(step->highest, sum + right->highest);
        sum += right->sum;
    }
    step->sum = sum;
}

void qd_profile_init(qd_profile *profile) {
    *profile = (qd_profile){.steps = {.compare = compare, .sum_up = sum_up}};
}

void qd_profile_fini(qd_profile *profile) {
    for (block *b = profile->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    qd_profile_init(profile);
}

static void put_back(qd_profile *profile, qd_profile_step *step) {
    step->node.left = (qd_tree_node *)profile->unused;
    profile->unused = step;
    profile->unused_count++;
}

int qd_profile_reserve(qd_profile *profile, size_t steps) {
    if (steps <= profile->allocated)
        return 0;
    /* At least double: many small reservations cost no more than a large one. */
    size_t lacking = steps - profile->allocated;
    size_t count = lacking > profile->allocated ? lacking : profile->allocated;
    block *fresh = malloc(sizeof *fresh + count * sizeof fresh->steps[0]);
    if (!fresh)
        return qd_error_set(QD_ENOMEM, "no memory for %zu steps of the plan", count);
    fresh->next = profile->blocks;
    profile->blocks = fresh;
    profile->allocated += count;
    for (size_t i = 0; i < count; i++)
        put_back(profile, &fresh->steps[i]);
    return 0;
}

static void put_back_all(qd_profile *profile, qd_tree_node *node) {
    if (!node)
        return;
    put_back_all(profile, node->right);
    qd_tree_node *left = node->left;
    put_back(profile, step_of(node));
    put_back_all(profile, left);
}

void qd_profile_clear(qd_profile *profile) {
    put_back_all(profile, profile->steps.root);
    profile->steps.root = NULL;
}

static qd_profile_step *find(const qd_profile *profile, int64_t at_ns) {
    qd_tree_node *node = profile->steps.root;
    while (node && step_of(node)->at_ns != at_ns)
        node = at_ns < step_of(node)->at_ns ? node->left : node->right;
    return step_of(node);
}

void qd_profile_add(qd_profile *profile, int64_t at_ns, int64_t ranks) {
    if (at_ns == QD_NEVER || ranks == 0)
        return;
    qd_profile_step *step = find(profile, at_ns);
    if (step) {
        step->change += ranks;
        if (step->change != 0) {
            qd_tree_changed(&profile->steps, &step->node);
            return;
        }
        qd_tree_remove(&profile->steps, &step->node);
        put_back(profile, step);
        return;
    }
    step = profile->unused;
    profile->unused = step_of(step->node.left);
    profile->unused_count--;
    step->at_ns = at_ns;
    step->change = ranks;
    qd_tree_insert(&profile->steps, &step->node, (uint64_t)at_ns);
}

int64_t qd_profile_free_at(const qd_profile *profile, int64_t at_ns) {
    int64_t free_ranks = profile->now_free;
    for (const qd_tree_node *node = profile->steps.root; node;) {
        const qd_profile_step *step = step_of(node);
        if (step->at_ns > at_ns) {
            node = node->left;
            continue;
        }
        free_ranks += step->change + (node->left ? step_of(node->left)->sum : 0);
        node = node->right;
    }
    return free_ranks;
}

/* What is looked for: at least (or else less than) so many free ranks. */
typedef struct wanted {
    int64_t ranks;
    bool at_least;
} wanted;

static bool has(wanted w, int64_t lowest, int64_t highest) {
    return w.at_least ? highest >= w.ranks : lowest < w.ranks;
}

/*
 * The first step later than after_ns, below node, behind which the number is as wanted; before:
 * free ranks before the first step below node. Parts that lie wholly before after_ns, or that never
 * reach the number, are not entered, so only the paths to after_ns and to the answer are walked.
 */
static const qd_profile_step *search(const qd_tree_node *node, int64_t before, int64_t after_ns,
                                     wanted w) {
    while (node) {
        const qd_profile_step *step = step_of(node);
        if (!has(w, before + step->lowest, before + step->highest))
            return NULL;
        int64_t here = before + step->change + (node->left ? step_of(node->left)->sum : 0);
        if (step->at_ns > after_ns) {
            const qd_profile_step *found = search(node->left, before, after_ns, w);
            if (found)
                return found;
            if (has(w, here, here))
                return step;
        }
        before = here;
        node = node->right;
    }
    return NULL;
}

/* The first instant later than after_ns. */
static int64_t first_after(const qd_profile *profile, int64_t after_ns, wanted w) {
    const qd_profile_step *step = search(profile->steps.root, profile->now_free, after_ns, w);
    return step ? step->at_ns : QD_NEVER;
}

static int64_t first(const qd_profile *profile, int64_t from_ns, wanted w) {
    int64_t free_ranks = qd_profile_free_at(profile, from_ns);
    return has(w, free_ranks, free_ranks) ? from_ns : first_after(profile, from_ns, w);
}

int64_t qd_profile_first_with(const qd_profile *profile, int64_t from_ns, int64_t ranks) {
    return first(profile, from_ns, (wanted){.ranks = ranks, .at_least = true});
}

int64_t qd_profile_first_short_of(const qd_profile *profile, int64_t from_ns, int64_t ranks) {
    return first(profile, from_ns, (wanted){.ranks = ranks});
}

int64_t qd_profile_earliest(const qd_profile *profile, int64_t from_ns, int64_t ranks,
                            int64_t duration_ns) {
    const wanted enough = {.ranks = ranks, .at_least = true}, too_few = {.ranks = ranks};
    int64_t start = first(profile, from_ns, enough);
    while (start != QD_NEVER) {
        int64_t gap = first_after(profile, start, too_few);
        if (gap >= qd_time_after(start, duration_ns))
            return start;
        start = first_after(profile, gap, enough);
    }
    return QD_NEVER;
}

int64_t qd_time_after(int64_t from_ns, int64_t duration_ns) {
    int64_t sum;
    if (from_ns == QD_NEVER || duration_ns == QD_NEVER ||
        __builtin_add_overflow(from_ns, duration_ns, &sum))
        return QD_NEVER;
    return sum;
}
