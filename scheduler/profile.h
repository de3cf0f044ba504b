/*
 * profile.h: how many ranks are free, from now into the future: the sum of what running jobs hold
 * and planned jobs claim, as far as their ends are predicted. Numbers of ranks only; which ones is
 * the placement's business. Time is in ns, exact: there is no grain, no window and no cap on the
 * number of steps.
 *
 * Kept as the changes of the free number at the instants where it changes, in a tree that knows
 * the sum, and the lowest and highest running sum, of each part: so adding and taking away an
 * interval, and finding the first instant at which so many are free, take O(log n) for n instants.
 * (Flux's planner keeps points in time in two trees and looks for an earliest one in the same
 * order: flux-sched, resource/planner; the running sums here do with one.)
 */
#ifndef QD_SCHEDULER_PROFILE_H
#define QD_SCHEDULER_PROFILE_H

#include <stddef.h>
#include <stdint.h>

#include "scheduler/tree.h"

/* An instant that is never reached: an end that nobody can predict. */
#define QD_NEVER INT64_MAX

typedef struct qd_profile_step qd_profile_step;

/* Start with qd_profile_init. */
typedef struct qd_profile {
    qd_tree steps;
    int64_t now_free;        /* before the first step */
    qd_profile_step *unused; /* allocated, not in the tree */
    size_t unused_count, allocated;
    void *blocks; /* what was allocated, to be freed */
} qd_profile;

void qd_profile_init(qd_profile *profile);
void qd_profile_fini(qd_profile *profile);

/* Makes room so that the steps in use can become `steps` without an allocation. QD_ENOMEM. */
int qd_profile_reserve(qd_profile *profile, size_t steps);

/* Forgets all steps, keeps the room. O(n). */
void qd_profile_clear(qd_profile *profile);

/* From at_ns on, ranks more (fewer if negative) are free; at QD_NEVER: nothing happens. Uses up to
 * one step of the room; changes that cancel out give theirs back. */
void qd_profile_add(qd_profile *profile, int64_t at_ns, int64_t ranks);

/* Free ranks at at_ns, changes at that instant included. */
int64_t qd_profile_free_at(const qd_profile *profile, int64_t at_ns);

/* The first instant >= from_ns at which at least ranks are free; QD_NEVER. */
int64_t qd_profile_first_with(const qd_profile *profile, int64_t from_ns, int64_t ranks);

/* The first instant >= from_ns at which fewer than ranks are free; QD_NEVER. */
int64_t qd_profile_first_short_of(const qd_profile *profile, int64_t from_ns, int64_t ranks);

/*
 * The first start >= from_ns at which ranks are free for all of [start, start + duration_ns);
 * duration_ns QD_NEVER: for good. QD_NEVER when there is none. O((1 + g) log n), where g gaps are
 * wide enough but too short.
 */
int64_t qd_profile_earliest(const qd_profile *profile, int64_t from_ns, int64_t ranks,
                            int64_t duration_ns);

/* from + duration; QD_NEVER if either is, or where it would overflow. Both >= 0, or from any. */
int64_t qd_time_after(int64_t from_ns, int64_t duration_ns);

#endif
