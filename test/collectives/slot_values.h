/*
 * slot_values.h: values of slots whose sum shows the order of its additions, their sum by the
 * definition of the tree, and ways of giving slots out. Independent of collectives/tree.c.
 */
#ifndef QD_TEST_COLLECTIVES_SLOT_VALUES_H
#define QD_TEST_COLLECTIVES_SLOT_VALUES_H

#include <stdint.h>

#include "collectives/allreduce.h"
#include "collectives/tree.h"
#include "mpi_check.h"

/* Element i of slot `leaf`: of magnitudes so different that the order of additions shows. */
static inline float leaf_value(uint32_t seed, int leaf, int64_t i) {
    uint32_t h = (uint32_t)i * 2654435761u ^ (uint32_t)leaf * 2246822519u ^ seed * 3266489917u;
    h ^= h >> 16;
    h *= 2146121005u;
    h ^= h >> 15;
    h *= 2221713035u;
    h ^= h >> 16;
    static const float scale[4] = {1.0f, 1e-3f, 37.0f, 1e4f};
    return ((float)(h >> 8) * 0x1p-24f - 0.5f) * scale[h & 3];
}

/* The definition of the tree, independent of tree.c. */
static inline int left_leaves(int n) {
    int size = 1;
    for (int p = 1; p < n; p *= 2)
        size = p;
    return size;
}

static inline float tree_sum(uint32_t seed, int first, int end, int64_t i) {
    if (end - first == 1)
        return leaf_value(seed, first, i);
    int split = first + left_leaves(end - first);
    return tree_sum(seed, first, split, i) + tree_sum(seed, split, end, i);
}

static inline float *new_vector(int64_t count) {
    size_t bytes = ((size_t)count * sizeof(float) + 63) / 64 * 64;
    float *v = aligned_alloc(64, bytes > 0 ? bytes : 64);
    if (!v)
        abort();
    return v;
}

static inline bool same_bits(float a, float b) {
    return memcmp(&a, &b, sizeof a) == 0;
}

/* Large vectors are looked at in steps, and around the borders of pieces and chunks anyway. */
static inline bool is_tree_sum(const float *result, uint32_t seed, int leaves, int64_t count) {
    int64_t step = count > 200000 ? 37 : 1;
    for (int64_t i = 0; i < count; i += step)
        if (!same_bits(result[i], tree_sum(seed, 0, leaves, i)))
            return false;
    for (int64_t border = 1 << 12; border < count; border += 1 << 12)
        for (int64_t i = border - 2; i < border + 2 && i < count; i++)
            if (!same_bits(result[i], tree_sum(seed, 0, leaves, i)))
                return false;
    return count == 0 || same_bits(result[count - 1], tree_sum(seed, 0, leaves, count - 1));
}

typedef struct parts {
    float *vector[QD_TREE_MAX_COVER];
    int count;
} parts;

static inline parts fill_parts(const qd_slot_ranges *ranges, int member, uint32_t seed,
                               int64_t count) {
    qd_tree_node nodes[QD_TREE_MAX_COVER];
    parts p = {.count = qd_tree_cover(ranges->leaves, ranges->starts[member],
                                      ranges->starts[member + 1], nodes)};
    for (int k = 0; k < p.count; k++) {
        p.vector[k] = new_vector(count);
        for (int64_t i = 0; i < count; i++)
            p.vector[k][i] = tree_sum(seed, nodes[k].first, nodes[k].end, i);
    }
    return p;
}

static inline void free_parts(parts *p) {
    for (int k = 0; k < p->count; k++)
        free(p->vector[k]);
}

/* Ways of giving out slots. Each member gets at least one. */
static inline qd_slot_ranges one_each(int *starts, int members) {
    for (int i = 0; i <= members; i++)
        starts[i] = i;
    return (qd_slot_ranges){.leaves = members, .starts = starts};
}

static inline qd_slot_ranges even(int *starts, int members) {
    for (int i = 0; i <= members; i++)
        starts[i] = 4 * i;
    return (qd_slot_ranges){.leaves = 4 * members, .starts = starts};
}

static inline qd_slot_ranges uneven(int *starts, int members) {
    starts[0] = 0;
    for (int i = 0; i < members; i++)
        starts[i + 1] = starts[i] + 1 + (i * 5 + 2) % 4;
    return (qd_slot_ranges){.leaves = starts[members], .starts = starts};
}

static inline qd_slot_ranges heavy_last(int *starts, int members) {
    for (int i = 0; i < members; i++)
        starts[i] = i;
    starts[members] = members + 21;
    return (qd_slot_ranges){.leaves = members + 21, .starts = starts};
}

static qd_slot_ranges (*const distributions[])(int *, int) = {one_each, even, uneven, heavy_last};
enum { DISTRIBUTIONS = sizeof distributions / sizeof distributions[0] };

static inline qd_group *new_group(mpi_test *t, const qd_group_config *config) {
    qd_group *group = NULL;
    int rc = qd_group_create(config, &group);
    CHECK(t, rc == 0);
    return rc == 0 ? group : NULL;
}

#endif
