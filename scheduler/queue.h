/*
 * queue.h: the jobs that wait, in the order in which the policy wants to start them, and able to
 * say who is the next that could start into a given gap. Each part of a tree knows the narrowest
 * job in it and the shortest of each width (by powers of two), so that a search enters only parts
 * in which there may be one: O(log n) for each job found, however many wait that do not fit.
 *
 * Order may change with time. Jobs whose order among themselves does not are in one lane, a tree of
 * its own, and what moves is the lane's offset: the place of a job is its key plus that. So time
 * costs nothing for each job; the operations below cost O(log n) for each lane that is not empty.
 */
#ifndef QD_SCHEDULER_QUEUE_H
#define QD_SCHEDULER_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "scheduler/tree.h"

enum { QD_WIDTH_CLASSES = 20 }; /* the last one: from 2^18 + 1 ranks on */

/* What the queue knows of a job; lives in its record. */
typedef struct qd_queue_entry {
    qd_tree_node node; /* first: a node is an entry */
    int lane;
    int64_t key; /* key + offset of the lane: lower starts earlier; equal ones: by job number */
    int64_t job;
    int64_t run_ns; /* predicted run time; QD_NEVER: unknown */
    int ranks;      /* the least it needs */
    bool yields;    /* its run time does not count, since it can be told to save (room.h) */
    /* Of this entry and those below. */
    int narrowest, narrowest_yielding;
    int64_t shortest[QD_WIDTH_CLASSES];
} qd_queue_entry;

typedef struct qd_lane {
    qd_tree tree;
    int64_t offset;
    int64_t most_ranks; /* who is wider than this does not fit now, whatever gap there is */
    int count;
    int used_at; /* index into used, if count > 0 */
} qd_lane;

typedef struct qd_queue {
    qd_lane *lanes; /* [lane_count] */
    int lane_count;
    int *used; /* [used_count]: the lanes that are not empty, in no particular order */
    int used_count;
} qd_queue;

/* A hole in the plan: `ranks` are free for window_ns; `beyond` of them (<= ranks) for good, and
 * `open` (beyond <= open <= ranks) for jobs that yield, which only these are for. */
typedef struct qd_gap {
    int64_t ranks, beyond, open;
    int64_t window_ns;
} qd_gap;

/* All lanes empty, their offsets 0, any width fits. QD_ENOMEM; fini accepts zeros. */
int qd_queue_init(qd_queue *queue, int lanes);
void qd_queue_fini(qd_queue *queue);

/* The place of an entry, of this queue or a copy of one that was. */
int64_t qd_queue_place(const qd_queue *queue, const qd_queue_entry *entry);

/* entry: lane, key, job, run_ns, ranks have been set; it must stay where it is. */
void qd_queue_add(qd_queue *queue, qd_queue_entry *entry);
void qd_queue_remove(qd_queue *queue, qd_queue_entry *entry);

/* NULL when there is none. */
qd_queue_entry *qd_queue_first(const qd_queue *queue);
qd_queue_entry *qd_queue_next(const qd_queue *queue, const qd_queue_entry *entry); /* or a copy */

/* The first entry behind `after` (or a copy of it; NULL: of all) that fits into the gap: its ranks
 * are free, and it either ends within the window or takes no more than `beyond`; and that is not
 * too wide for its lane. NULL when there is none. */
qd_queue_entry *qd_queue_fitting(const qd_queue *queue, const qd_queue_entry *after,
                                 const qd_gap *gap);

/* The first that fits into one of several gaps. */
qd_queue_entry *qd_queue_fitting_any(const qd_queue *queue, const qd_queue_entry *after,
                                     const qd_gap *gaps, int count);

/* The entry, which is in the queue, yields or does not from now on. */
void qd_queue_set_yields(qd_queue *queue, qd_queue_entry *entry, bool yields);

/* The first entry behind `after` (as above), or of one lane, that is not too wide for its lane;
 * NULL. */
qd_queue_entry *qd_queue_allowed(const qd_queue *queue, const qd_queue_entry *after);
qd_queue_entry *qd_queue_allowed_in(const qd_lane *lane);

#endif
