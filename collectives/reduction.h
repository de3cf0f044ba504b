/*
 * reduction.h: the additions of one ordered reduction as data: which node vectors each member
 * holds and the list of additions that makes their sum in tree order (tree.h). A transport brings
 * the vectors together piece by piece and runs the list on each piece; it decides no order.
 */
#ifndef QD_COLLECTIVES_REDUCTION_H
#define QD_COLLECTIVES_REDUCTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* operand < sources: a node vector; else register operand - sources. into: a register, or -1 for
 * the result. */
typedef struct qd_addition {
    int into, left, right;
} qd_addition;

typedef struct qd_reduction {
    int members, leaves;
    int *starts;          /* [members + 1], as in qd_slot_ranges */
    int *first_source;    /* [members + 1]: member i holds sources first_source[i] .. [i+1]-1 */
    int sources;          /* node vectors of all members; first_source[members] */
    int max_held;         /* most node vectors that one member holds */
    uint64_t digest;      /* of members, leaves and starts */
    qd_addition *list;    /* [sources - 1], in the order in which they are done */
    int registers;        /* most intermediate sums alive at once */
    const float **source; /* [sources] the vectors; whoever calls qd_reduction_run sets them */
    float *scratch;       /* [registers][block] */
    const float **block;  /* [sources + registers] operands of the block in hand */
} qd_reduction;

/*
 * starts is copied. Each member must hold a leaf; members >= 1. QD_ENOMEM, QD_EINTERNAL (naming
 * the member whose range is wrong).
 */
int qd_reduction_create(int members, int leaves, const int *starts, qd_reduction **reduction);
void qd_reduction_destroy(qd_reduction *reduction);

/* Whether the reduction is the one for these ranges. */
bool qd_reduction_fits(const qd_reduction *reduction, int members, int leaves, const int *starts);

/* result[0 .. n-1] = sum of n floats of each of reduction->source in tree order. result may be
 * one of them. */
void qd_reduction_run(qd_reduction *reduction, float *result, size_t n);

/* Where piece p of n elements cut into `pieces` begins; piece p ends where p + 1 begins. Sizes
 * differ by at most one element. */
size_t qd_piece_begin(size_t n, int pieces, int p);

/* Elements of a chunk such that one member's node vectors of a chunk take at most limit elements:
 * a multiple of the members, and at least one element for each. */
size_t qd_reduction_chunk(const qd_reduction *reduction, size_t limit);

/* Payload bytes that `member` gives to the others for a vector or chunk of n elements: its nodes
 * outside its own piece once each, and its piece of the sum to each other member. */
uint64_t qd_reduction_bytes(const qd_reduction *reduction, int member, size_t n);

#endif
