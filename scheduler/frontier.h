/*
 * frontier.h: how early a job could start at best, from what was planned before it. While a plan
 * only fills up, a job that is at least as wide and as long as one that was placed cannot start
 * before it. So a search for a start need not begin at now, but at the latest start of all jobs
 * that are no wider and no longer: what makes planning a whole queue cheap, whose jobs would all
 * walk the same gaps again.
 *
 * Widths and run times are put into classes (four to a doubling, and eight), rounded so that the
 * answer is never too late; a tree of maxima over both (Fenwick, Software: Practice and Experience
 * 24, 1994) makes each call O(log(widths) log(times)), whatever the number of jobs.
 */
#ifndef QD_SCHEDULER_FRONTIER_H
#define QD_SCHEDULER_FRONTIER_H

#include <stdint.h>

typedef struct qd_frontier qd_frontier;

/* For jobs of up to so many ranks, >= 1; takes 16 KiB for each class of their widths. NULL when
 * there is no memory. Destroy accepts NULL. */
qd_frontier *qd_frontier_create(int most_ranks);
void qd_frontier_destroy(qd_frontier *frontier);

/* Something was given back: nothing is known any more. */
void qd_frontier_forget(qd_frontier *frontier);

/* A job was placed, of 1 .. most_ranks. run_ns may be QD_NEVER. */
void qd_frontier_placed(qd_frontier *frontier, int ranks, int64_t run_ns, int64_t start_ns);

/* A bound below which such a job, of 1 .. most_ranks, cannot start; INT64_MIN: none is known. */
int64_t qd_frontier_earliest_ns(const qd_frontier *frontier, int ranks, int64_t run_ns);

#endif
