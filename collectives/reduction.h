/*
 * reduction.h: the additions of one ordered reduction as data: which node vectors each member
 * holds and the lists of additions that make their sum in tree order (tree.h). The pipeline brings
 * the vectors together piece by piece and runs a list on each piece; it decides no order.
 *
 * Members that share memory (a host) add before anything crosses to another host: as much as the
 * tree allows, which is the cover of all leaves that the host holds. So there are two lists for
 * each host: `relay` makes its cover of its members' nodes, `own` makes the sum of its members'
 * nodes and the other hosts' covers. With one host, own alone does all; with one member on each,
 * relay only copies.
 */
#ifndef QD_COLLECTIVES_REDUCTION_H
#define QD_COLLECTIVES_REDUCTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectives/elements.h"
#include "collectives/tree.h"

/* A source is a vector of floats of this member's own or one in the wire's type. */
typedef struct qd_source {
    const void *at;
    bool packed;
} qd_source;

/* left, right: operand < sources: a source; else register operand - sources. right -1: a copy.
 * into: a register, or -1 - k for output k. */
typedef struct qd_addition {
    int into, left, right;
} qd_addition;

/* Sums of some nodes (sources, from left to right) that are larger nodes (outputs). */
typedef struct qd_sum {
    int sources, outputs, registers, additions;
    qd_addition *list; /* in the order in which they are done */
    qd_source *source; /* [sources] whoever runs the sum sets them */
    float *scratch;    /* [registers + 2][block] */
} qd_sum;

/* nodes: from left to right, every output a union of whole ones. QD_ENOMEM (message set). */
int qd_sum_create(const qd_tree_node *nodes, int count, const qd_tree_node *outputs,
                  int output_count, qd_sum *sum);
void qd_sum_destroy(qd_sum *sum);

/* output[k][0 .. n-1] of each output, in the wire's type where packed is set, else floats. An
 * output may be one of the sources. also: NULL, or where the only output, not packed, goes a
 * second time, packed, while it is still in the first-level cache. */
void qd_sum_run(qd_sum *sum, qd_wire_type type, void *const *output, bool packed, void *also,
                size_t n);

/* Node k of holder, a member (own node) or a host (node of its cover). */
typedef struct qd_holding {
    int holder, k;
    bool host;
} qd_holding;

typedef struct qd_reduction {
    struct qd_reduction *next; /* of the same group */
    int users;                 /* operations that use it now */
    uint64_t digest;           /* of members, leaves and starts */
    int members, leaves, hosts;
    int *starts;                           /* [members + 1], as in qd_slot_ranges */
    int *held;                             /* [members] node vectors of each */
    int *covered;                          /* [hosts] nodes of each host's cover */
    int most;                              /* the largest of all held and covered */
    qd_sum relay, own;                     /* of this member's host */
    void **relay_output;                   /* [covered[own host]] whoever runs relay sets them */
    qd_holding *relay_source, *own_source; /* [sources] of each: whose vector it is */
} qd_reduction;

/*
 * host_of: [members] number of each one's host, 0 .. hosts-1; my_host: this member's. starts is
 * copied. Each member must hold a leaf. QD_ENOMEM, QD_EINTERNAL (naming the member whose range
 * is wrong).
 */
int qd_reduction_create(int members, int leaves, const int *starts, const int *host_of, int hosts,
                        int my_host, qd_reduction **reduction);
void qd_reduction_destroy(qd_reduction *reduction);

/* Whether the reduction is the one for these ranges. */
bool qd_reduction_fits(const qd_reduction *reduction, int leaves, const int *starts);

/* Where piece p of n elements cut into `pieces` begins; piece p ends where p + 1 begins. Sizes
 * differ by at most one element. */
int64_t qd_piece_begin(int64_t n, int pieces, int p);

#endif
