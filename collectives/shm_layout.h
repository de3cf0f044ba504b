/*
 * shm_layout.h: what a group keeps in its shared segment: one qd_shm_member after the other. Only
 * the layout; transport_shm.c says how it is used.
 */
#ifndef QD_COLLECTIVES_SHM_LAYOUT_H
#define QD_COLLECTIVES_SHM_LAYOUT_H

#include <stdatomic.h>

#include "collectives/group_state.h"
#include "collectives/tree.h"

/* Floats of one staging buffer: large enough to make waits rare, small enough for the buffers of
 * all members to stay in a cache. */
enum { QD_SHM_STAGING_FLOATS = 1 << 17 };

/* With this many, a float for each of them from each of the most node vectors fits. */
enum { QD_SHM_MAX_MEMBERS = QD_SHM_STAGING_FLOATS / QD_TREE_MAX_COVER };

/* Written by its member alone; counters on lines of their own, so that the others' polling does
 * not disturb each other. */
typedef struct qd_shm_member {
    _Alignas(64) _Atomic uint64_t in;       /* last ticket put into staging */
    _Alignas(64) _Atomic uint64_t out;      /* last piece of a sum put into staging */
    _Alignas(64) qd_signature signature[2]; /* by ticket, modulo 2 */
    _Alignas(4096) float staging[2][QD_SHM_STAGING_FLOATS];
} qd_shm_member;

static inline size_t qd_shm_layout_offset(int member) {
    return (size_t)member * sizeof(qd_shm_member);
}

/* Bytes of the segment that member `index` touches, in all-reduces of at most count floats. */
size_t qd_shm_touched_bytes(const qd_reduction *reduction, int index, int64_t count);

static inline size_t qd_shm_layout_bytes(int members) {
    return qd_shm_layout_offset(members);
}

#endif
