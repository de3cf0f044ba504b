/*
 * allreduce.h: ordered sums: every member gets the sum over all data slots (all-reduce) or its
 * own piece of it (reduce-scatter), added in the tree of tree.h, bit for bit the same for any
 * distribution of slots over members, on any transport.
 *
 * Each member holds the leaves [starts[i], starts[i+1]) as the nodes of their cover. The vector
 * is cut into one piece a member; each gets its piece of all nodes straight from the others and
 * adds them in tree order (reduce-scatter), and gives the result to all (all-gather). With one
 * node a member that sends 2 (m-1)/m of the vector, as a ring does (Patarasuk and Yuan, 2009).
 */
#ifndef QD_COLLECTIVES_ALLREDUCE_H
#define QD_COLLECTIVES_ALLREDUCE_H

#include "collectives/group.h"
#include "collectives/operation.h"

typedef struct qd_slot_ranges {
    int leaves;        /* slots in all */
    const int *starts; /* [members + 1], starts[0] = 0, ascending, starts[members] = leaves */
    bool exact;        /* floats travel as they are, whatever the group's wire; all members alike */
} qd_slot_ranges;

/*
 * parts: this member's node vectors, in the order of qd_tree_cover, each of count floats and
 * 64-byte aligned; destroyed by the call. result: count floats, 64-byte aligned, may be parts[0].
 * All members call with the same ranges and count; a member that differs is named in a QD_EPROTO
 * error on the others rather than waited for. The arrays may go when start returns, the vectors
 * when wait does. Errors of a start: QD_EINTERNAL (wrong arguments; nothing happened), QD_ELOST
 * (broken group), QD_ENOMEM; else see qd_operation_wait.
 */
int qd_allreduce_ordered(qd_group *group, const qd_slot_ranges *ranges, float *const *parts,
                         int part_count, float *result, int64_t count);
int qd_allreduce_start(qd_group *group, const qd_slot_ranges *ranges, float *const *parts,
                       int part_count, float *result, int64_t count, qd_operation **operation);

/*
 * As the all-reduce, but member i gets only elements [bounds[i], bounds[i+1]) of the sum. bounds:
 * [members + 1], from 0, ascending, equal neighbours are fine; the same on all members. parts:
 * vectors of bounds[members] floats. result: own piece, may be parts[0] + bounds[own index].
 */
int qd_reduce_scatter(qd_group *group, const qd_slot_ranges *ranges, float *const *parts,
                      int part_count, const int64_t *bounds, float *result);
int qd_reduce_scatter_start(qd_group *group, const qd_slot_ranges *ranges, float *const *parts,
                            int part_count, const int64_t *bounds, float *result,
                            qd_operation **operation);

/*
 * Bytes of shared memory that lie in the memory of member `index` of `members` on one host, once it
 * has made such calls of at most count floats; 0 for a member alone. QD_ENOMEM, QD_EINTERNAL.
 */
int qd_allreduce_shared_bytes(const qd_slot_ranges *ranges, int members, int index, int64_t count,
                              size_t *bytes);

#endif
