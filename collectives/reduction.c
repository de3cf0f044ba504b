#include "collectives/reduction.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "runtime/error.h"

static int check_ranges(int members, int leaves, const int *starts) {
    if (leaves < members)
        return qd_error_set(QD_EINTERNAL,
                            "%d slots over %d members; each member needs at least one slot", leaves,
                            members);
    if (starts[0] != 0 || starts[members] != leaves)
        return qd_error_set(QD_EINTERNAL, "slots %d..%d of %d are given out; all must be",
                            starts[0], starts[members], leaves);
    for (int i = 0; i < members; i++)
        if (starts[i] >= starts[i + 1])
            return qd_error_set(QD_EINTERNAL,
                                "member %d of %d holds slots %d..%d; each needs at least one", i,
                                members, starts[i], starts[i + 1]);
    return 0;
}

/* A node of the tree and whose it is. */
typedef struct entry {
    qd_tree_node node;
    qd_holding holding;
} entry;

typedef struct entries {
    entry *list;
    int count;
} entries;

static int by_first(const void *a, const void *b) {
    const entry *x = a, *y = b;
    return (x->node.first > y->node.first) - (x->node.first < y->node.first);
}

static bool is_of_host(const qd_reduction *r, const int *host_of, int host, int first, int end) {
    for (int i = 0; i < r->members; i++)
        if (host_of[i] != host && r->starts[i] < end && first < r->starts[i + 1])
            return false;
    return true;
}

/* Adds the nodes of the cover of all leaves that a host holds, found from [first, end) on. */
static void cover_host(const qd_reduction *r, const int *host_of, int host, int first, int end,
                       entries *to) {
    if (is_of_host(r, host_of, host, first, end)) {
        to->list[to->count] =
            (entry){{first, end}, {.holder = host, .k = r->covered[host]++, .host = true}};
        to->count++;
        return;
    }
    if (end - first == 1)
        return;
    int split = qd_tree_split(first, end);
    cover_host(r, host_of, host, first, split, to);
    cover_host(r, host_of, host, split, end, to);
}

static void add_members(const qd_reduction *r, const int *host_of, int host, entries *to) {
    qd_tree_node nodes[QD_TREE_MAX_COVER];
    for (int i = 0; i < r->members; i++) {
        r->held[i] = qd_tree_cover(r->leaves, r->starts[i], r->starts[i + 1], nodes);
        for (int k = 0; host_of[i] == host && k < r->held[i]; k++)
            to->list[to->count++] = (entry){nodes[k], {.holder = i, .k = k}};
    }
}

static int make_sum(entries *from, const qd_tree_node *outputs, int output_count, qd_sum *sum,
                    qd_holding **source) {
    qsort(from->list, (size_t)from->count, sizeof *from->list, by_first);
    qd_tree_node *nodes = malloc((size_t)from->count * sizeof *nodes);
    *source = malloc((size_t)from->count * sizeof **source);
    int rc = nodes && *source ? 0 : QD_ENOMEM;
    for (int i = 0; !rc && i < from->count; i++) {
        nodes[i] = from->list[i].node;
        (*source)[i] = from->list[i].holding;
    }
    if (!rc)
        rc = qd_sum_create(nodes, from->count, outputs, output_count, sum);
    free(nodes);
    return rc;
}

static int make_sums(qd_reduction *r, const int *host_of, int my_host) {
    /* A cover has no more nodes than its members' nodes are. */
    size_t most = (size_t)r->members * QD_TREE_MAX_COVER;
    entries mine = {calloc(most, sizeof(entry)), 0}, all = {calloc(2 * most, sizeof(entry)), 0};
    qd_tree_node *cover = calloc(most, sizeof *cover);
    int rc = mine.list && all.list && cover ? 0 : QD_ENOMEM;
    if (!rc) {
        add_members(r, host_of, my_host, &mine);
        cover_host(r, host_of, my_host, 0, r->leaves, &all);
        for (int k = 0; k < all.count; k++)
            cover[k] = all.list[k].node;
        rc = make_sum(&mine, cover, all.count, &r->relay, &r->relay_source);
        r->relay_output = calloc((size_t)all.count + 1, sizeof *r->relay_output);
        rc = rc || r->relay_output ? rc : QD_ENOMEM;
    }
    if (!rc) {
        memcpy(all.list, mine.list, (size_t)mine.count * sizeof(entry));
        all.count = mine.count;
        for (int h = 0; h < r->hosts; h++)
            if (h != my_host)
                cover_host(r, host_of, h, 0, r->leaves, &all);
        qd_tree_node root = {0, r->leaves};
        rc = make_sum(&all, &root, 1, &r->own, &r->own_source);
    }
    free(mine.list);
    free(all.list);
    free(cover);
    return rc;
}

static int allocate(qd_reduction *r, const int *starts) {
    size_t bounds = (size_t)r->members + 1;
    r->starts = malloc(bounds * sizeof *r->starts);
    r->held = calloc((size_t)r->members, sizeof *r->held);
    r->covered = calloc((size_t)r->hosts, sizeof *r->covered);
    if (!r->starts || !r->held || !r->covered)
        return QD_ENOMEM;
    memcpy(r->starts, starts, bounds * sizeof *starts);
    r->digest = XXH3_64bits(starts, bounds * sizeof *starts);
    return 0;
}

static int largest(const int *values, int count, int so_far) {
    for (int i = 0; i < count; i++)
        if (values[i] > so_far)
            so_far = values[i];
    return so_far;
}

int qd_reduction_create(int members, int leaves, const int *starts, const int *host_of, int hosts,
                        int my_host, qd_reduction **out) {
    int rc = check_ranges(members, leaves, starts);
    if (rc)
        return rc;
    qd_reduction *r = calloc(1, sizeof *r);
    rc = r ? 0 : QD_ENOMEM;
    if (!rc) {
        *r = (qd_reduction){.members = members, .leaves = leaves, .hosts = hosts};
        rc = allocate(r, starts);
    }
    if (!rc)
        rc = make_sums(r, host_of, my_host);
    if (rc) {
        qd_reduction_destroy(r);
        return qd_error_set(rc, "no memory for a reduction of %d slots over %d members", leaves,
                            members);
    }
    r->most = largest(r->covered, hosts, largest(r->held, members, 1));
    *out = r;
    return 0;
}

void qd_reduction_destroy(qd_reduction *r) {
    if (!r)
        return;
    free(r->starts);
    free(r->held);
    free(r->covered);
    qd_sum_destroy(&r->relay);
    qd_sum_destroy(&r->own);
    free(r->relay_output);
    free(r->relay_source);
    free(r->own_source);
    free(r);
}

bool qd_reduction_fits(const qd_reduction *r, int leaves, const int *starts) {
    return r->leaves == leaves &&
           memcmp(r->starts, starts, ((size_t)r->members + 1) * sizeof *starts) == 0;
}

int64_t qd_piece_begin(int64_t n, int pieces, int p) {
    return n / pieces * p + n % pieces * p / pieces;
}
