/*
 * volume.h: how much each member of a group has to send, in closed form, from sizes alone; in
 * elements. It says once more, without a look at what sends, what allreduce.h and hosts.h promise.
 *
 * A vector is cut into a piece for each member; member i brings k_i nodes of the tree. On one host,
 * each gets its piece of every node straight from who has it, and gives the sum to all:
 *   reduce-scatter  k_i (n - n_i)      all-gather  (m - 1) n_i
 * With one node each and pieces alike that is (m-1)/m n, and 2 (m-1)/m n in both, as much as a ring
 * sends (nccl-tests, doc/PERFORMANCE.md). It differs where a member's slots are no subtree (k_i >
 * 1: who holds them may not add them, or the bits would tell), and by rest elements where m does
 * not divide n.
 *
 * Between hosts, one member of each host, in the owner's place there, stands for a piece of
 * another's: it gets the piece from the others of its host, adds what makes whole nodes (c of
 * them), sends that, and passes the sum on. With N hosts of g members, whose slots are a subtree
 * (c = 1), a reduce-scatter sends
 *   within  n (g-1)/g: all pieces but the own one and those of N - 1 others that it stands for
 *   between (n/g) (N-1)/N: those N - 1 pieces of n / (N g)
 * and an all-gather the same again: the figures of the hierarchical all-reduce, 2 n (g-1)/g and
 * 2 (n/g) (N-1)/N.
 */
#ifndef QD_TEST_COLLECTIVES_VOLUME_H
#define QD_TEST_COLLECTIVES_VOLUME_H

#include "slot_values.h"

typedef struct volume {
    uint64_t all, between_hosts;
} volume;

static inline volume volume_sum(volume a, volume b) {
    return (volume){a.all + b.all, a.between_hosts + b.between_hosts};
}

/* host: [members] on which each is; NULL: all on one. starts: slots of each, as in qd_slot_ranges;
 * unused where nothing is added. */
typedef struct volume_group {
    int members, leaves;
    const int *host, *starts;
} volume_group;

/* ---- nodes ---- */

static inline int volume_host(const volume_group *g, int member) {
    return g->host ? g->host[member] : 0;
}

/* Whether a slot is a member's, or one's of the host (member -1). */
static inline bool volume_has(const volume_group *g, int member, int host, int leaf) {
    int owner = 0;
    while (leaf >= g->starts[owner + 1])
        owner++;
    return member >= 0 ? owner == member : volume_host(g, owner) == host;
}

/* The largest nodes over [first, end) that hold nothing but what is had. */
static inline int volume_nodes(const volume_group *g, int member, int host, int first, int end) {
    int had = 0;
    for (int leaf = first; leaf < end; leaf++)
        had += volume_has(g, member, host, leaf);
    if (had == 0 || had == end - first)
        return had > 0;
    int split = first + left_leaves(end - first);
    return volume_nodes(g, member, host, first, split) + volume_nodes(g, member, host, split, end);
}

/* ---- hosts ---- */

static inline int volume_locals(const volume_group *g, int host) {
    int locals = 0;
    for (int i = 0; i < g->members; i++)
        locals += volume_host(g, i) == host;
    return locals;
}

static inline int volume_hosts(const volume_group *g) {
    int hosts = 0;
    for (int i = 0; i < g->members; i++)
        hosts = volume_host(g, i) >= hosts ? volume_host(g, i) + 1 : hosts;
    return hosts;
}

/* Who on a host stands for a piece: the owner, or who is in the owner's place. */
static inline int volume_stands(const volume_group *g, int host, int owner) {
    int place = 0, at = 0;
    if (volume_host(g, owner) == host)
        return owner;
    for (int i = 0; i < owner; i++)
        place += volume_host(g, i) == volume_host(g, owner);
    place %= volume_locals(g, host);
    for (int i = 0;; i++)
        if (volume_host(g, i) == host && at++ == place)
            return i;
}

/* ---- what member `me` sends ---- */

/* bounds: [members + 1] of the pieces. */
static inline volume volume_of_reduce_scatter(const volume_group *g, const int64_t *bounds,
                                              int me) {
    int host = volume_host(g, me);
    uint64_t own = (uint64_t)volume_nodes(g, me, -1, 0, g->leaves);
    uint64_t of_host = (uint64_t)volume_nodes(g, -1, host, 0, g->leaves);
    volume v = {0};
    for (int f = 0; f < g->members; f++) {
        uint64_t n = (uint64_t)(bounds[f + 1] - bounds[f]);
        if (volume_stands(g, host, f) != me)
            v.all += own * n;
        else if (volume_host(g, f) != host)
            v = volume_sum(v, (volume){of_host * n, of_host * n});
    }
    return v;
}

static inline volume volume_of_all_gather(const volume_group *g, const int64_t *bounds, int me) {
    int host = volume_host(g, me);
    uint64_t neighbours = (uint64_t)volume_locals(g, host) - 1;
    uint64_t elsewhere = (uint64_t)volume_hosts(g) - 1,
             own = (uint64_t)(bounds[me + 1] - bounds[me]);
    volume v = {(neighbours + elsewhere) * own, elsewhere * own};
    for (int f = 0; f < g->members; f++)
        if (volume_host(g, f) != host && volume_stands(g, host, f) == me)
            v.all += neighbours * (uint64_t)(bounds[f + 1] - bounds[f]);
    return v;
}

/* Piece f of n elements begins at f n / m, rounded down. */
static inline volume volume_of_all_reduce(const volume_group *g, int64_t n, int me) {
    int64_t bounds[65];
    for (int f = 0; f <= g->members; f++)
        bounds[f] = f * n / g->members;
    return volume_sum(volume_of_reduce_scatter(g, bounds, me), volume_of_all_gather(g, bounds, me));
}

#endif
