/*
 * tensor_slots.h: a layer computed slot by slot of tensor parallelism, each with the shapes that it
 * would have alone, and their partial results added in the tree of collectives/tree.h: the same
 * bits whether one rank holds all slots or each its own (DESIGN 3.4).
 */
#ifndef QD_WORKER_CPU_KERNELS_TENSOR_SLOTS_H
#define QD_WORKER_CPU_KERNELS_TENSOR_SLOTS_H

#include "models/op.h"
#include "worker/cpu/kernels/isa.h"
#include "worker/cpu/kernels/rows.h"
#include "worker/tensor_exchange.h"

/* What slots deal out, and which of them are held here. */
typedef struct qd_slots {
    int count;           /* in all; 1: nothing is cut */
    int first, end;      /* held */
    int64_t extent;      /* of what is dealt out, by all slots */
    int64_t unit;        /* of it that is not cut */
    int64_t begin;       /* of what is held */
    const qd_rows *rows; /* of the sum, of which this member gets its own; NULL: all */
    const qd_tensor_exchange *exchange; /* NULL: all slots are held */
} qd_slots;

/* Of a node that cuts such an extent; whatever of it the graph holds. */
qd_slots QD_CPU(slots_of)(const qd_graph *graph, const qd_node *node, int64_t extent, int64_t unit,
                          const qd_tensor_exchange *exchange);

/* Of rows that are added up, all of a value of the residual stream or those that are held. */
qd_slots QD_CPU(slots_of_rows)(const qd_graph *graph, int value,
                               const qd_tensor_exchange *exchange);

/* What a held slot owns, counted from the first that is held. */
static inline void qd_slots_range(const qd_slots *slots, int slot, int64_t *first, int64_t *end) {
    qd_cut_range(slots->count, slots->extent, slots->unit, slot, first, end);
    *first -= slots->begin;
    *end -= slots->begin;
}

/* The most that one slot owns. */
static inline int64_t qd_slots_widest(const qd_slots *slots) {
    int64_t unit = slots->unit > 0 ? slots->unit : 1, units = slots->extent / unit;
    return (units + slots->count - 1) / slots->count * unit;
}

/* Computes the partial result of one slot, which owns [first, end) of what is held, into part. */
typedef int qd_slot_run(const void *context, int64_t first, int64_t end, float *part);

/*
 * sum[count] of the partial results of all slots, also those of other members; the scratch holds
 * qd_cut_scratch_parts(slots) vectors of count floats, rounded up to 16 (models/op.h), and sum may
 * be the first of them, where adds is not set. Where the sum's rows are shared, it is that of the
 * own ones. QD_E of run or of the exchange.
 */
int QD_CPU(sum_slots)(const qd_slots *slots, qd_slot_run *run, const void *context, float *sum,
                      int64_t count, bool adds, float *scratch);

#endif
