/*
 * transport.h: how a group moves data, as a table of functions: shm, mpi, self. group.c and
 * allreduce.c check their arguments and call through it; they do not know which one it is.
 * A new transport is one more file with such a table, and a row in group.c's choice.
 */
#ifndef QD_COLLECTIVES_TRANSPORT_H
#define QD_COLLECTIVES_TRANSPORT_H

#include <stdint.h>

struct qd_group;
struct qd_reduction;
struct qd_signature;

/* An all-reduce whose arguments are good: see qd_allreduce_ordered. */
typedef struct qd_allreduce_call {
    const struct qd_signature *signature;
    struct qd_reduction *reduction;
    float *const *parts;
    float *result;
    int64_t count;
} qd_allreduce_call;

typedef struct qd_transport {
    const char *name;
    /* Makes *state for a group whose members have met. QD_ENOMEM. */
    int (*open)(const struct qd_group *group, void **state);
    /* Never waits; state may be NULL. */
    void (*close)(void *state);
    int (*barrier)(struct qd_group *group, const struct qd_signature *signature);
    int (*allreduce)(struct qd_group *group, const qd_allreduce_call *call);
} qd_transport;

extern const qd_transport qd_transport_self; /* a group of one */
extern const qd_transport qd_transport_shm;
extern const qd_transport qd_transport_mpi;

#endif
