#include "collectives/reduction.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "collectives/tree.h"
#include "runtime/align.h"
#include "runtime/error.h"

/* Elements added at a time: a few blocks fit into the first-level cache (8 KiB each). */
enum { BLOCK = 2048 };

/* Walks the tree from left to right and writes the additions down. */
typedef struct compiler {
    qd_reduction *reduction;
    const qd_tree_node *nodes; /* of all sources, from left to right */
    int next_source;
    int next_addition;
} compiler;

/* Returns the operand that holds the node [first, end); may use registers from free_register on.
 * The sources cut the leaves from left to right, so the next one either is this node or lies
 * inside it. */
static int compile(compiler *c, int first, int end, int free_register) {
    qd_tree_node next = c->nodes[c->next_source];
    if (next.first == first && next.end == end)
        return c->next_source++;
    qd_reduction *r = c->reduction;
    int split = qd_tree_split(first, end);
    int left = compile(c, first, split, free_register);
    bool left_waits = left >= r->sources;
    int right = compile(c, split, end, free_register + (left_waits ? 1 : 0));
    if (free_register + 1 > r->registers)
        r->registers = free_register + 1;
    r->list[c->next_addition++] = (qd_addition){free_register, left, right};
    return r->sources + free_register;
}

static int check_ranges(int members, int leaves, const int *starts) {
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

static int allocate(qd_reduction *r, const int *starts) {
    size_t bounds = (size_t)r->members + 1;
    r->starts = malloc(bounds * sizeof *r->starts);
    r->first_source = malloc(bounds * sizeof *r->first_source);
    if (!r->starts || !r->first_source)
        return QD_ENOMEM;
    memcpy(r->starts, starts, bounds * sizeof *starts);
    return 0;
}

static int find_sources(qd_reduction *r, qd_tree_node **nodes) {
    *nodes = malloc((size_t)r->members * QD_TREE_MAX_COVER * sizeof **nodes);
    if (!*nodes)
        return QD_ENOMEM;
    for (int i = 0; i < r->members; i++) {
        r->first_source[i] = r->sources;
        int held = qd_tree_cover(r->leaves, r->starts[i], r->starts[i + 1], *nodes + r->sources);
        r->sources += held;
        if (held > r->max_held)
            r->max_held = held;
    }
    r->first_source[r->members] = r->sources;
    return 0;
}

static int compile_all(qd_reduction *r, const qd_tree_node *nodes) {
    r->list = malloc((size_t)r->sources * sizeof *r->list);
    if (!r->list)
        return QD_ENOMEM;
    compiler c = {.reduction = r, .nodes = nodes};
    compile(&c, 0, r->leaves, 0);
    if (c.next_addition > 0)
        r->list[c.next_addition - 1].into = -1;
    r->source = calloc((size_t)r->sources, sizeof *r->source);
    r->block = malloc((size_t)(r->sources + r->registers) * sizeof *r->block);
    r->scratch =
        aligned_alloc(QD_ALIGN_BYTES, ((size_t)r->registers + 1) * BLOCK * sizeof *r->scratch);
    if (!r->source || !r->block || !r->scratch)
        return QD_ENOMEM;
    for (int i = 0; i < r->registers; i++)
        r->block[r->sources + i] = r->scratch + (size_t)i * BLOCK;
    return 0;
}

int qd_reduction_create(int members, int leaves, const int *starts, qd_reduction **out) {
    int rc = check_ranges(members, leaves, starts);
    if (rc)
        return rc;
    qd_tree_node *nodes = NULL;
    qd_reduction *r = calloc(1, sizeof *r);
    if (!r) {
        rc = QD_ENOMEM;
        goto out;
    }
    r->members = members;
    r->leaves = leaves;
    rc = allocate(r, starts);
    if (!rc)
        rc = find_sources(r, &nodes);
    if (!rc)
        rc = compile_all(r, nodes);
    if (rc)
        goto out;
    r->digest = XXH3_64bits(starts, ((size_t)members + 1) * sizeof *starts);
    *out = r;
    r = NULL;
out:
    free(nodes);
    qd_reduction_destroy(r);
    if (rc == QD_ENOMEM)
        qd_error_set(rc, "no memory for a reduction of %d slots over %d members", leaves, members);
    return rc;
}

void qd_reduction_destroy(qd_reduction *r) {
    if (!r)
        return;
    free(r->starts);
    free(r->first_source);
    free(r->list);
    free(r->source);
    free(r->scratch);
    free(r->block);
    free(r);
}

bool qd_reduction_fits(const qd_reduction *r, int members, int leaves, const int *starts) {
    return r && r->members == members && r->leaves == leaves &&
           memcmp(r->starts, starts, ((size_t)members + 1) * sizeof *starts) == 0;
}

/* into may be left or right itself. Without the pragma the compiler would test for that overlap
 * and then add one element at a time. */
static void add(float *into, const float *left, const float *right, size_t n) {
#pragma GCC ivdep
    for (size_t i = 0; i < n; i++)
        into[i] = left[i] + right[i];
}

void qd_reduction_run(qd_reduction *r, float *result, size_t n) {
    if (r->sources == 1 && result != r->source[0])
        memcpy(result, r->source[0], n * sizeof *result);
    for (size_t begin = 0; begin < n; begin += BLOCK) {
        size_t length = n - begin < BLOCK ? n - begin : BLOCK;
        for (int s = 0; s < r->sources; s++)
            r->block[s] = r->source[s] + begin;
        for (int k = 0; k < r->sources - 1; k++) {
            const qd_addition *a = &r->list[k];
            float *into = a->into < 0 ? result + begin : r->scratch + (size_t)a->into * BLOCK;
            add(into, r->block[a->left], r->block[a->right], length);
        }
    }
}

size_t qd_piece_begin(size_t n, int pieces, int p) {
    return n / (size_t)pieces * (size_t)p + n % (size_t)pieces * (size_t)p / (size_t)pieces;
}

size_t qd_reduction_chunk(const qd_reduction *r, size_t limit) {
    size_t members = (size_t)r->members;
    size_t piece = limit / (size_t)r->max_held / members;
    return (piece > 0 ? piece : 1) * members;
}

uint64_t qd_reduction_bytes(const qd_reduction *r, int member, size_t n) {
    size_t own = qd_piece_begin(n, r->members, member + 1) - qd_piece_begin(n, r->members, member);
    size_t held = (size_t)(r->first_source[member + 1] - r->first_source[member]);
    return (held * (n - own) + own * (size_t)(r->members - 1)) * sizeof(float);
}
