/*
 * fast.h: `reduction: fast`: all-reduces by MPI_Iallreduce on a communicator of the members. The
 * library chooses the order of additions, so results are equal up to rounding only. Members agree
 * on the call by the pipeline first, as for any other, because MPI would hang or worse on a
 * difference; data goes through buffers of the group's own, which may be abandoned.
 */
#ifndef QD_COLLECTIVES_FAST_H
#define QD_COLLECTIVES_FAST_H

struct qd_group;
struct qd_operation;

typedef struct qd_fast qd_fast;

/* Collective over the members, all of which have met. */
int qd_fast_create(const struct qd_group *group, qd_fast **fast);
void qd_fast_destroy(qd_fast *fast);

/* Queues the operation: parts, vector and the signature's count are set. */
void qd_fast_begin(struct qd_operation *operation);

/* As qd_pipeline_pass. */
int qd_fast_pass(struct qd_group *group);

/* Marks all others if a sum is under way: MPI does not say who is late. */
void qd_fast_find_late(struct qd_group *group);

#endif
