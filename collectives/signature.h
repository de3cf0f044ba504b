/*
 * signature.h: what a member believes that the members are calling; all must believe the same.
 * Each call's first words are compared, so that a difference is an error that names the member,
 * the operations and the sizes, and not a hang or a wrong sum.
 */
#ifndef QD_COLLECTIVES_SIGNATURE_H
#define QD_COLLECTIVES_SIGNATURE_H

#include <stddef.h>
#include <stdint.h>

struct qd_group;

typedef enum {
    QD_CALL_NONE,
    QD_CALL_BARRIER,
    QD_CALL_ALLREDUCE,
    QD_CALL_REDUCE_SCATTER,
    QD_CALL_ALL_GATHER,
    QD_CALL_BROADCAST,
    QD_CALL_ALL_TO_ALL,
    QD_CALL_SEND,
    QD_CALL_RECEIVE,
    QD_CALL_KINDS
} qd_call_kind;

/* "all-reduce" ... */
extern const char *const qd_call_words[QD_CALL_KINDS];

/* Travels as it is (members run one binary), and its size keeps what lies behind it aligned to a
 * cache line. */
typedef struct qd_signature {
    uint64_t call; /* calls on this group so far: 1, 2, ... */
    uint32_t kind; /* qd_call_kind */
    uint32_t leaves;
    int64_t count;   /* floats or bytes of the vector */
    uint64_t digest; /* of how slots or pieces are given out */
    uint32_t group;
    uint32_t member; /* whose this is; not compared */
    uint32_t root;   /* of a broadcast */
    uint32_t unused[5];
} qd_signature;

_Static_assert(sizeof(qd_signature) == 64, "one cache line");

/* 0, or QD_EPROTO naming the member and what both call. */
int qd_signature_check(const struct qd_group *group, const qd_signature *theirs,
                       const qd_signature *mine);

#endif
