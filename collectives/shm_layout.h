/*
 * shm_layout.h: what the members of a host keep in their shared segment: one qd_shm_member after
 * the other. Only the layout; stages.c says how it is used.
 */
#ifndef QD_COLLECTIVES_SHM_LAYOUT_H
#define QD_COLLECTIVES_SHM_LAYOUT_H

#include <stdatomic.h>

#include "collectives/signature.h"
#include "collectives/stream.h"

/* QD_STAGING_BYTES: of one window of a member, all pieces together: large enough to make waits
 * rare, small enough for the windows of all members to stay in a cache. */
enum { QD_WINDOWS = 3, QD_STAGING_BYTES = 1 << 18, QD_SHM_FAILURE_BYTES = 512 };

/* With this many a piece's place still holds a float of each of the most node vectors. */
enum { QD_SHM_MAX_MEMBERS = QD_STAGING_BYTES / 256 };

/* Written by its member alone; counters on lines of their own, so that the others' polling does
 * not disturb each other. Tickets number the chunks of a group's life. */
typedef struct qd_shm_member {
    _Alignas(64) _Atomic uint64_t in;   /* last ticket whose parts are in staging */
    _Atomic int failed;                 /* a QD_E code that concerns the others: see failure */
    _Alignas(64) _Atomic uint64_t out;  /* last ticket whose sums are in staging */
    _Alignas(64) _Atomic uint64_t done; /* last ticket for which it needs no other's staging */
    _Alignas(64) qd_signature signature[QD_WINDOWS]; /* by ticket, modulo QD_WINDOWS */
    char failure[QD_SHM_FAILURE_BYTES];
    _Alignas(4096) unsigned char staging[QD_WINDOWS][QD_STAGING_BYTES];
} qd_shm_member;

/* Bytes of the place of one piece in a window. */
static inline size_t qd_place_bytes(int members) {
    size_t even = QD_STAGING_BYTES / (size_t)members / 64 * 64;
    return even > 256 ? even : 256;
}

/* Behind each member's are its channels (stream.c). */
static inline size_t qd_shm_layout_offset(int local, int locals) {
    size_t bytes = sizeof(qd_shm_member) + qd_streams_shm_bytes(locals);
    return (size_t)local * ((bytes + 4095) / 4096 * 4096);
}

static inline size_t qd_shm_layout_bytes(int locals) {
    return qd_shm_layout_offset(locals, locals);
}

#endif
