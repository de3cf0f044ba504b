/* place.h: where a rank is, and what a gang wants of the place it gets. Plain values. */
#ifndef QD_SCHEDULER_PLACE_H
#define QD_SCHEDULER_PLACE_H

#include <stdint.h>

#include "models/job.h"

/* As a rank tells it; numbers are names. Zeros: it does not know. */
typedef struct qd_place {
    int host;
    int island; /* of that host: the ranks that reach each other by the shortest way */
    int64_t memory_bytes;
} qd_place;

/* What a gang must lie in; as in models/job.h. */
typedef enum {
    QD_WITHIN_ANYTHING = QD_JOB_WITHIN_ANYTHING,
    QD_WITHIN_HOST = QD_JOB_WITHIN_HOST,
    QD_WITHIN_ISLAND = QD_JOB_WITHIN_ISLAND,
    QD_WITHINS,
} qd_within;

/* Zeros: it takes any place. */
typedef struct qd_demand {
    int within;           /* a qd_within */
    int64_t memory_bytes; /* that each member must have */
    int peers;            /* members of a group that talks most; no demand, but a wish. 0 is 1 */
} qd_demand;

#endif
