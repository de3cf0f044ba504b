/*
 * planner_links.h: which link a group of ranks spans, and what collectives over it take. Inside of
 * models/planner*.c.
 *
 * Ranks lie on devices in the order tensor, data, pipeline, the first one fastest: tensor ranks are
 * neighbours, inside a node where they can be.
 *
 * Times are those of rings and of pieces given straight from member to member: of S bytes and n
 * members, reduce-scatter and all-gather S (n - 1) / n / B each, all-reduce both. Groups that span
 * nodes do it in two levels: inside with all bytes, between nodes with the 1/g that each of g
 * members of a node has. Latencies count once a doubling of the members (Thakur, Rabenseifner,
 * Gropp, "Optimization of collective communication operations in MPICH", 2005).
 */
#ifndef QD_MODELS_PLANNER_LINKS_H
#define QD_MODELS_PLANNER_LINKS_H

#include "models/hardware.h"

typedef struct qd_span_of_group {
    int members;
    int inside; /* members of it that a node holds, at most */
    int nodes;  /* it spans */
} qd_span_of_group;

/* Of `members` ranks, each `stride` devices from the next. */
qd_span_of_group qd_span_of(const qd_hardware *hardware, int members, int64_t stride);

/* What one member sends, and what it takes. */
typedef struct qd_exchange_cost {
    double seconds, inside_bytes, between_bytes;
} qd_exchange_cost;

/* Of a vector of `bytes`; reduce-scatter takes what all-gather does. */
qd_exchange_cost qd_cost_of_gather(const qd_hardware *hardware, qd_span_of_group span,
                                   double bytes);
qd_exchange_cost qd_cost_of_allreduce(const qd_hardware *hardware, qd_span_of_group span,
                                      double bytes);

/* From a rank to another, `between` nodes or not. */
qd_exchange_cost qd_cost_of_send(const qd_hardware *hardware, bool between, double bytes);

#endif
